"""The score of the best layer, without having chosen the layer on the units that it is scored on.

A maximum over layers flatters: with thirty layers that are equally good, the best of thirty noisy means is above them all.
So the units are split at random into two; on each split the best layer is chosen, and the other is scored at that layer.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from valens.errors import ResultError
from valens.statistics import first_highest, split_units


def score_held_out(
    scores: Float[np.ndarray, "layer unit"], *, seed: int
) -> tuple[Float[np.ndarray, " unit"], tuple[int, int]]:
    """Score each unit at the layer that is best on the half without it.

    The mean over the units is the two splits' mean. Of equally good layers the first is chosen. Equal numbers of units are
    halved alike for one seed, so two representations' scores are paired.

    Args:
        scores: one score a unit at each layer [layer, unit]; higher is better.
        seed: decides the splits.

    Returns:
        The score of each unit [unit], and the layers that were chosen for the first and the second half, as indices from 0.

    Raises:
        ResultError: fewer than two units.

    """
    n = scores.shape[1]
    if n < 2:  # noqa: PLR2004
        raise ResultError(f"Splits need 2 documents or more; got {n}. Give more texts.")
    first, second = split_units(n, seed)
    held_out = np.empty(n)
    chosen = []
    for judging, judged in ((second, first), (first, second)):
        best = first_highest(scores[:, judging].mean(axis=1))
        held_out[judged] = scores[best, judged]
        chosen.append(best)
    return held_out, (chosen[0], chosen[1])
