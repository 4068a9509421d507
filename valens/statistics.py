"""What every probe needs to say how sure a number is: bootstrap counts, intervals, and paired differences.

A bootstrap is kept as counts, one row a resample: how often each unit was drawn. A statistic that takes weights is then
computed for all resamples at once, and two statistics computed from the same counts are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from valens.errors import ResultError


@dataclass(frozen=True)
class Difference:
    """How much more one thing scores than another; zero outside [low, high] is a difference at the asked confidence."""

    estimate: Float[np.ndarray, "*batch"]
    """The mean over the resamples of the difference."""
    low: Float[np.ndarray, "*batch"]
    high: Float[np.ndarray, "*batch"]


def resample_counts(n: int, resamples: int, seed: int) -> Int[np.ndarray, "resample n"]:
    """How often each of n units is drawn when n are drawn with replacement; every row sums to n.

    Equal arguments give equal counts, whoever asks: that is what makes two statistics paired.
    """
    if n < 1 or resamples < 1:
        raise ResultError(f"A bootstrap draws 1 or more units 1 or more times; got n={n} and resamples={resamples}.")
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)


def half_units(n: int, seed: int) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """The places of n units in two halves drawn at random, each in order; of an odd n the second has one more."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def percentile_interval(
    replicates: Float[np.ndarray, "*batch resample"], confidence: float = 0.95
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """The bounds that leave out (1 - confidence) / 2 of the replicates on either side (Efron's percentile interval).

    A replicate that is nan (a resample on which the statistic is undefined) is left out; where all are, the bounds are nan.
    """
    if not 0 < confidence < 1:
        raise ResultError(f"A confidence lies between 0 and 1, as 0.95; got {confidence}.")
    undefined = np.isnan(replicates).all(axis=-1, keepdims=True)
    tail = (1 - confidence) / 2
    bounds = np.nanquantile(np.where(undefined, 0.0, replicates), [tail, 1 - tail], axis=-1)
    bounds = np.where(undefined[..., 0], np.nan, bounds)
    return bounds[0, ...], bounds[1, ...]


def paired_difference(
    a: Float[np.ndarray, "*batch_a resample_a"], b: Float[np.ndarray, "*batch_b resample_b"], confidence: float = 0.95
) -> Difference:
    """A - b, resample by resample; both must come from the same counts, and leading axes broadcast.

    Whatever moves both alike from resample to resample (a hard draw of texts) cancels, so this interval is as a rule much
    narrower than the two separate ones suggest.
    """
    if a.shape[-1] != b.shape[-1]:
        raise ResultError(
            f"Paired replicates come from the same resamples; got {a.shape[-1]} and {b.shape[-1]}. "
            "Make both with the same number of resamples and the same seed."
        )
    replicates = a - b
    defined = ~np.isnan(replicates)
    count = defined.sum(axis=-1)
    total = np.where(defined, replicates, 0.0).sum(axis=-1)
    estimate = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return Difference(estimate, *percentile_interval(replicates, confidence))
