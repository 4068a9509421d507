"""Two things measured on the same units: their difference, its interval, and its tests layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from valens.errors import ResultError
from valens.statistics.intervals import mean_of_defined, percentile_interval
from valens.statistics.multiplicity import holm
from valens.statistics.resampling import bootstrap_means
from valens.statistics.sign_flip import sign_flip_test

_EQUAL = 1e-12
"""Scores that differ by less than this share of them differ by rounding."""


@dataclass(frozen=True)
class Difference:
    """How much more one thing scores than another; zero outside [low, high] is a difference at the asked confidence."""

    estimate: Float[np.ndarray, "*batch"]
    """The mean over the resamples of the difference."""
    low: Float[np.ndarray, "*batch"]
    high: Float[np.ndarray, "*batch"]


@dataclass(frozen=True)
class Comparison:
    """How much more `a` scores than `b` at each layer, on the same units."""

    difference: Float[np.ndarray, " layer"]
    """The mean over the units of a - b."""
    low: Float[np.ndarray, " layer"]
    high: Float[np.ndarray, " layer"]
    """The bounds of the paired bootstrap's percentile interval, each layer's by itself."""
    p: Float[np.ndarray, " layer"]
    """Two-sided, of the sign-flip test, each layer's by itself."""
    p_holm: Float[np.ndarray, " layer"]
    """The same, corrected for the number of layers."""

    def columns(self) -> dict[str, Float[np.ndarray, " layer"]]:
        """Return the columns of a table: difference, low, high, p, p_holm."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def paired_difference(
    a: Float[np.ndarray, "*batch_a resample_a"], b: Float[np.ndarray, "*batch_b resample_b"], confidence: float = 0.95
) -> Difference:
    """Return how much more a scores than b, from their replicates in the same resamples.

    Whatever moves both alike from resample to resample (a hard draw of texts) cancels, so this interval is as a rule much
    narrower than the two separate ones suggest.

    Args:
        a: replicates of one score [..., resample].
        b: replicates of the other, from the same counts in the same order; leading axes broadcast.
        confidence: the share of the differences inside the interval, between 0 and 1.

    Returns:
        The mean of a - b over the resamples, and its percentile interval.

    Raises:
        ResultError: different numbers of resamples.

    """
    if a.shape[-1] != b.shape[-1]:
        raise ResultError(
            f"Paired replicates come from the same resamples; got {a.shape[-1]} and {b.shape[-1]}. "
            "Make both with the same number of resamples and the same seed."
        )
    replicates = a - b
    return Difference(mean_of_defined(replicates), *percentile_interval(replicates, confidence))


def compare_paired(
    a: Float[np.ndarray, "layer_a unit_a"],
    b: Float[np.ndarray, "layer_b unit_b"],
    *,
    resamples: int = 10_000,
    seed: int,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two representations layer by layer, from their scores of the same units.

    Args:
        a: scores of one representation [layer, unit]. A unit that was scored several times counts once: give its mean.
        b: scores of the other, of the same layers and units in the same order.
        resamples: how many bootstrap resamples the interval is made of; p rests on `sign_flip.FLIPS` flips in any case.
        seed: decides resamples and flips; equal seeds give equal resamples.
        confidence: of the interval, between 0 and 1.

    Returns:
        For each layer the mean of a - b, its percentile interval, and the sign-flip test's two-sided p, also Holm's.

    Raises:
        ResultError: different shapes, or no units.

    """
    if a.shape != b.shape:
        raise ResultError(
            f"A paired comparison needs equal layers and units; got shapes {list(a.shape)} and {list(b.shape)}. "
            "Give [layer, unit] of both, for the layers that both have."
        )
    differences = a.astype(np.float64) - b
    low, high = percentile_interval(bootstrap_means(differences, resamples=resamples, seed=seed), confidence)
    p = sign_flip_test(differences, seed=seed)
    return Comparison(differences.mean(axis=-1), low, high, p, holm(p))


def compare_replicates(
    a: Float[np.ndarray, " layer_a"],
    b: Float[np.ndarray, " layer_b"],
    replicates_a: Float[np.ndarray, "layer_a resample"],
    replicates_b: Float[np.ndarray, "layer_b resample"],
    confidence: float = 0.95,
) -> Comparison:
    """Compare two representations layer by layer, from scores of any kind and their replicates of the same resamples.

    `p` is two-sided, from the difference over its bootstrap standard error as of a normal distribution: of a thousand
    replicates none can show less than 1 in 1,000, which a correction over many layers would make 1 in 30. A difference that
    is the same in every resample has p = 0, or 1 if it is nothing.

    Args:
        a: scores of one representation [layer]; a nan score has a nan comparison.
        b: scores of the other [layer].
        replicates_a: those of a in each resample [layer, resample].
        replicates_b: those of b in the same resamples.
        confidence: of the interval, between 0 and 1.

    Returns:
        For each layer a - b, its percentile interval, and p, also Holm's.

    Raises:
        ResultError: different numbers of resamples.

    """
    gap = paired_difference(replicates_a, replicates_b, confidence)
    difference = a - b
    spread = replicates_a - replicates_b - gap.estimate[:, None]
    error = np.sqrt(mean_of_defined(np.square(spread)))
    flat = np.maximum(np.abs(a), np.abs(b)) * _EQUAL
    size = np.where(np.abs(difference) <= flat, 0.0, np.abs(difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(size == 0, 1.0, 2 * ndtr(-size / error))
    p = np.where(np.isnan(difference) | np.isnan(error), np.nan, p)
    return Comparison(difference, gap.low, gap.high, p, holm(p))
