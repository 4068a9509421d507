"""Intervals from bootstrap replicates, percentile and BCa (bias-corrected and accelerated), and Wilson's of a proportion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from valens.errors import ResultError
from valens.statistics.resampling import bootstrap_means, jackknife_means

_ROUNDING = 1e-12
"""Replicates that are nearer to the estimate than this, relative to the largest replicate, equal it."""


def percentile_interval(
    replicates: Float[np.ndarray, "*batch resample"], confidence: float = 0.95
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Return Efron's percentile interval: (1 - confidence) / 2 of the replicates lie outside on either side.

    Args:
        replicates: a statistic's value in each resample [..., resample]. nan (a resample on which the statistic is
            undefined) is left out.
        confidence: the share of replicates inside, between 0 and 1.

    Returns:
        The lower and the upper bound [...], as scipy.stats.quantile interpolates them; nan where all replicates are nan.

    Raises:
        ResultError: a confidence outside 0 to 1.

    """
    tails = np.broadcast_to(_tails(confidence), (*replicates.shape[:-1], 2))
    return _bounds(replicates, tails)


def bca_interval(
    estimate: Float[np.ndarray, "*batch"],
    replicates: Float[np.ndarray, "*batch resample"],
    jackknife: Float[np.ndarray, "*batch unit"],
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Return the percentile interval with its tails moved for bias and skewness (BCa).

    Equations 14.9 to 14.15 of Efron & Tibshirani, An Introduction to the Bootstrap, 1993. Replicates that equal the estimate
    count half as below it, and at least half a replicate lies on either side, so that one-sided replicates give a bound and
    not nan. Where nothing varies, both bounds are the estimate.

    Args:
        estimate: the statistic [...]; nan has nan bounds.
        replicates: its value in each resample [..., resample]; nan is left out.
        jackknife: its value without each of the units [..., unit]; nan is left out.
        confidence: the share of replicates inside before the tails are moved, between 0 and 1.

    Returns:
        The lower and the upper bound [...].

    Raises:
        ResultError: a confidence outside 0 to 1.

    """
    normal = ndtri(_tails(confidence))
    bias = ndtri(_share_below(estimate, replicates))[..., None]
    shifted = bias + normal
    # Beyond the pole of the correction the bound is the outermost replicate.
    slope = np.maximum(1 - _acceleration(jackknife)[..., None] * shifted, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        tails = ndtr(bias + shifted / slope)
    return _bounds(replicates, tails)


def bca_interval_of_means(
    samples: Float[np.ndarray, "*curves unit"], *, resamples: int = 10_000, seed: int, confidence: float = 0.95
) -> tuple[Float[np.ndarray, "*curves"], Float[np.ndarray, "*curves"]]:
    """Return the BCa interval of each curve's mean over its units.

    Args:
        samples: one score a unit [..., unit], two units or more.
        resamples: how many resamples the interval is taken from.
        seed: decides the resamples.
        confidence: as in `bca_interval`.

    Returns:
        The lower and the upper bound [...].

    Raises:
        ResultError: fewer than two units, or a confidence outside 0 to 1.

    """
    means = np.asarray(samples.mean(axis=-1, dtype=np.float64))
    replicates = bootstrap_means(samples, resamples=resamples, seed=seed)
    return bca_interval(means, replicates, jackknife_means(samples), confidence)


def wilson_interval(
    hits: Int[np.ndarray, " curve"], n: int, confidence: float = 0.95
) -> tuple[Float[np.ndarray, " curve"], Float[np.ndarray, " curve"]]:
    """Return Wilson's score interval of a proportion, for which a bootstrap near 0 or 1 is too narrow.

    Wilson 1927, Journal of the American Statistical Association 22. Where the units are all hits a bootstrap has nothing to
    draw from, and its interval is that one point; this one still says how few units there are.

    Args:
        hits: how many of the units each curve hits.
        n: how many units there are, 1 or more.
        confidence: between 0 and 1.

    Returns:
        The lower and the upper bound of each curve, as scipy.stats has them.

    Raises:
        ResultError: no units, or a confidence outside 0 to 1.

    """
    from scipy.stats import binomtest  # here, because scipy.stats takes a second to import

    _tails(confidence)
    if n < 1:
        raise ResultError(f"A proportion is one of 1 or more units; got n={n}. Give one score a document.")
    counts, place = np.unique(hits, return_inverse=True)
    bounds = [binomtest(int(count), n).proportion_ci(confidence, method="wilson") for count in counts]
    low, high = np.array(bounds)[place].T
    return low, high


def mean_of_defined(values: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch"]:
    """Average what is not nan over the last axis; nan where nothing is."""
    defined = ~np.isnan(values)
    count = np.asarray(defined.sum(axis=-1))
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _tails(confidence: float) -> Float[np.ndarray, " 2"]:
    """Return the shares of replicates that lie below the lower and the upper bound."""
    if not 0 < confidence < 1:
        raise ResultError(f"A confidence lies between 0 and 1, as 0.95; got {confidence}.")
    return np.array([(1 - confidence) / 2, (1 + confidence) / 2])


def _share_below(
    estimate: Float[np.ndarray, "*batch"], replicates: Float[np.ndarray, "*batch resample"]
) -> Float[np.ndarray, "*batch"]:
    """Return the share of the replicates below the estimate, never quite 0 or 1; nan where either is undefined."""
    defined = ~np.isnan(replicates)
    margin = _ROUNDING * np.abs(replicates).max(axis=-1, keepdims=True, initial=0.0, where=defined)
    gap = replicates - estimate[..., None]
    count = defined.sum(axis=-1)
    below = (gap < -margin).sum(axis=-1) + (np.abs(gap) <= margin).sum(axis=-1) / 2
    share = np.clip(below, 0.5, np.maximum(count - 0.5, 0.5)) / np.maximum(count, 1)
    return np.where(np.isnan(estimate) | (count == 0), np.nan, share)


def _acceleration(jackknife: Float[np.ndarray, "*batch unit"]) -> Float[np.ndarray, "*batch"]:
    """Return a sixth of the skewness of the statistic's influences; 0 where leaving any unit out changes nothing."""
    influence = mean_of_defined(jackknife)[..., None] - jackknife
    scale = np.abs(influence).max(axis=-1, keepdims=True, initial=0.0, where=~np.isnan(influence))
    level = np.abs(jackknife).max(axis=-1, keepdims=True, initial=0.0, where=~np.isnan(jackknife))
    moved = scale > _ROUNDING * level
    relative = np.where(moved & ~np.isnan(influence), influence, 0.0) / np.where(moved, scale, 1.0)
    spread = np.square(relative).sum(axis=-1)
    skew = np.power(relative, 3).sum(axis=-1)
    return np.divide(skew, 6 * spread**1.5, out=np.zeros(spread.shape), where=spread > 0)


def _bounds(
    replicates: Float[np.ndarray, "*batch resample"], tails: Float[np.ndarray, "*batch 2"]
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Return each row's own two quantiles, interpolated linearly between its replicates that are not nan."""
    from scipy.stats import quantile  # here, because scipy.stats takes a second to import

    low_high = quantile(replicates, tails, axis=-1, nan_policy="omit", keepdims=True)
    return low_high[..., 0], low_high[..., 1]
