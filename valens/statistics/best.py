"""Which layers cannot be told from the best: a set that holds the truly best layer with the asked confidence.

Multiple comparisons with the best (Hsu 1984, Annals of Statistics 12; his book of 1996, chapter 4): each layer is compared
with all others at once, by the largest studentised lead any of them has over it, against the bootstrap distribution of that
largest lead if all were equal. If a layer is the best, the leads over it are noise alone, so it is left out at most as
often as that distribution's tail; no further correction for the number of layers is needed.

The bootstrap makes this approximate for few units: of 30 simulated layers that were all equal, asked for 95 %, each was in
the set in 93.6 % of 300 draws of hits on 100 documents, and in 94.8 % on 500.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from valens.errors import ResultError
from valens.statistics.intervals import mean_of_defined
from valens.statistics.resampling import bootstrap_means

_EQUAL = 1e-10
"""A difference that varies by less than this share of what its two layers vary by is a constant with rounding."""


def not_distinguishable_from_best(
    samples: Float[np.ndarray, "layer unit"], *, confidence: float = 0.95, resamples: int = 10_000, seed: int
) -> Bool[np.ndarray, " layer"]:
    """Return whether each layer's mean cannot be told from the best layer's.

    Args:
        samples: scores of the same units at every layer [layer, unit]; higher is better, and a unit counts once.
        confidence: how often the truly best layer is in the set, between 0 and 1.
        resamples: how many bootstrap resamples of the units.
        seed: decides the resamples.

    Returns:
        True for the layers of the set [layer]; the best layer of these samples is always in it.

    Raises:
        ResultError: a confidence outside 0 to 1, or no units.

    """
    replicates = bootstrap_means(samples, resamples=resamples, seed=seed)
    return not_distinguishable_by_replicates(samples.mean(axis=-1, dtype=np.float64), replicates, confidence=confidence)


def not_distinguishable_by_replicates(
    score: Float[np.ndarray, " layer"], replicates: Float[np.ndarray, "layer resample"], *, confidence: float = 0.95
) -> Bool[np.ndarray, " layer"]:
    """Return whether each layer's score cannot be told from the best layer's, from replicates of any score.

    A resample in which any other layer is nan is left out. Layers that differ by nothing in every resample stay together; a
    layer that another leads by the same in every resample is out.

    Args:
        score: the score of each layer [layer], higher is better; a layer whose score is nan is not in the set.
        replicates: the scores in each resample [layer, resample], the same resamples for all layers.
        confidence: how often the truly best layer is in the set, between 0 and 1.

    Returns:
        True for the layers of the set [layer].

    Raises:
        ResultError: a confidence outside 0 to 1.

    """
    if not 0 < confidence < 1:
        raise ResultError(f"A confidence lies between 0 and 1, as 0.95; got {confidence}.")
    defined = ~np.isnan(score)
    in_set = np.zeros(len(score), dtype=bool)
    used = replicates[defined]
    in_set[defined] = _compared(score[defined], used[:, ~np.isnan(used).any(axis=0)], confidence)
    return in_set


def _compared(
    score: Float[np.ndarray, " layer"], replicates: Float[np.ndarray, "layer resample"], confidence: float
) -> Bool[np.ndarray, " layer"]:
    if not replicates.size:
        return np.ones(len(score), dtype=bool)
    noise = replicates - mean_of_defined(replicates)[:, None]
    variance = np.square(noise).mean(axis=-1)
    level = np.abs(score).max()
    in_set = np.empty(len(score), dtype=bool)
    for layer, own in enumerate(noise):
        lead, leads = score - score[layer], noise - own
        error = np.sqrt(np.square(leads).mean(axis=-1))
        sure = np.square(error) <= _EQUAL * (variance + variance[layer]) + (_EQUAL * level) ** 2
        largest = np.max(leads[~sure] / error[~sure, None], axis=0, initial=0.0)
        observed = np.max(lead[~sure] / error[~sure], initial=0.0)
        beaten = (lead[sure] > _EQUAL * level).any()
        in_set[layer] = not beaten and observed <= np.quantile(largest, confidence)
    return in_set
