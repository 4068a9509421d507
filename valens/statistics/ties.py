"""Which score is the highest, where scores that are equal may differ in their last bits: of those, the first is.

The same numbers summed in another order (by another processor, by more threads) give other last bits. What is chosen by a
score must not hang on them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

ROUNDING = 1e-10
"""Scores that differ by no more are equal. Rounding moves a mean of scores by 1e-13 at the most; one answer more among a
million moves it by 1e-6."""


def highest_first(scores: Float[np.ndarray, " layer"]) -> list[int]:
    """Return the indices of scores from the highest to the lowest; of equal scores the first comes first."""
    order = np.argsort(-scores, kind="stable")
    group = np.cumsum(-np.diff(scores[order], prepend=scores[order[:1]]) > ROUNDING)
    return order[np.lexsort((order, group))].tolist()


def first_highest(scores: Float[np.ndarray, " layer"]) -> int:
    """Return the index of the highest score, of equal ones the first."""
    return highest_first(scores)[0]


def first_highest_each(scores: Float[np.ndarray, "layer resample split"]) -> Int[np.ndarray, "resample split"]:
    """Return, of each resample and split, the index of the first layer whose score is equal to the highest."""
    return np.asarray(np.argmax(scores >= scores.max(axis=0) - ROUNDING, axis=0))
