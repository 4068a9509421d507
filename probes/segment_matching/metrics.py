"""What a rank counts in segment matching: recall@k and MRR."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from valens.errors import ResultError

MRR = "MRR"
CHANCE = "chance"
"""The baseline whose ranks are drawn at random."""


def score_of(ranks: Int[np.ndarray, "*batch"], metric: str) -> Float[np.ndarray, "*batch"]:
    """Return what each rank counts: 1 / rank for MRR, whether it is k or less for recall@k."""
    if metric == MRR:
        return 1 / ranks
    name, _, k = metric.partition("@")
    if name != "recall" or not k.isdecimal():
        raise ResultError(f"A metric is recall@k, with a number for k, or {MRR}; {metric!r} was asked for.")
    return (ranks <= int(k)).astype(float)
