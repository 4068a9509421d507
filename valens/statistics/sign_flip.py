"""Is a mean difference zero? The sign-flip test, exact wherever all flips can be counted.

If the two things compared are exchangeable within a unit, each difference is as likely with the other sign. The p value is
the share of all 2^n ways to sign the differences whose mean is at least as far from zero as the one observed. Zeros do not
matter. The ways are counted

- by the binomial distribution where all differences have one size, as differences of hits have (McNemar's exact test);
- one by one for up to 16 differences;
- by the distribution of their sum where they are multiples of one step (ranks, hits averaged over a few draws);
- and otherwise estimated from random flips, as (1 + as extreme) / (1 + flips), which never rejects too often (Phipson &
  Smyth 2010).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import bdtr

from valens.errors import ResultError

FLIPS = 10_000
"""How many random flips every p value that is printed rests on: they carry two digits of it, and none below .001."""

_ENUMERATED = 16
_FINEST = 100
"""A step is looked for among the smallest difference and its parts down to a hundredth."""
_TIE = 1e-9
"""Sums that are nearer than this, relative to the sum of all sizes, are equally extreme."""
_SAME = 1e-5
"""How far from a whole number of steps a difference may lie: what float32 leaves of a few hundred steps."""
_CHEAP = 2 * 10**7
"""How many additions the distribution of a sum may take: some hundredths of a second."""
_CHUNK = 2**21
"""How many signs are held at once."""


def sign_flip_test(
    differences: Float[np.ndarray, "*curves unit"], *, flips: int = FLIPS, seed: int
) -> Float[np.ndarray, "*curves"]:
    """Return the two-sided p value of each curve's mean difference being 0.

    Args:
        differences: one paired difference a unit [..., unit].
        flips: how many random flips, where the test cannot be exact; 10,000 estimate p to about .004.
        seed: decides them. All curves share the flips, and a curve's p does not depend on the curves tested beside it.

    Returns:
        p [...]; 1 where all differences are 0, nan where any is nan.

    Raises:
        ResultError: fewer than one flip.

    """
    if flips < 1:
        raise ResultError(f"A sign-flip test needs 1 or more flips; got {flips}. 10,000 estimate p to about .004.")
    curves = differences.astype(np.float64, copy=False).reshape(-1, differences.shape[-1])
    p = np.array([_exact(curve[curve != 0]) for curve in curves])
    open_ = np.isnan(p) & ~np.isnan(curves).any(axis=-1)
    if open_.any():
        p[open_] = _estimated(curves[open_], flips, seed)
    return p.reshape(differences.shape[:-1])


def _exact(values: Float[np.ndarray, " n"]) -> float:
    """Return the p value of differences none of which is 0; nan where it cannot be had exactly."""
    n = len(values)
    if n == 0:
        return 1.0
    if not np.isfinite(values).all():
        return np.nan
    sizes = np.abs(values)
    if sizes.max() - sizes.min() <= _SAME * sizes.min():
        positive = int((values > 0).sum())
        return min(1.0, 2 * float(bdtr(min(positive, n - positive), n, 0.5)))
    if n <= _ENUMERATED:
        return _enumerated(values)
    steps = _steps(values)
    return np.nan if steps is None or n * np.abs(steps).sum() > _CHEAP else _counted(steps)


def _enumerated(values: Float[np.ndarray, " n"]) -> float:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= _least(values[None])[0]).mean())


def _steps(values: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"] | None:
    """Return the differences as whole numbers of the largest step that divides them all; None without such a step."""
    smallest = np.abs(values).min()
    if np.abs(values).max() > smallest * _CHEAP:
        return None
    distinct = np.unique(np.abs(values)) / smallest
    for parts in range(1, _FINEST + 1):
        if np.abs(distinct * parts - np.rint(distinct * parts)).max() <= _SAME:
            return np.rint(values / smallest * parts).astype(np.int64)
    return None


def _counted(steps: Int[np.ndarray, " n"]) -> float:
    """Add up the chance of every possible sum of the sizes with a positive sign, size by size."""
    sizes = np.sort(np.abs(steps))
    total = int(sizes.sum())
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    reached = 0
    for size in sizes.tolist():
        half = chance[: reached + 1] / 2
        chance[: reached + 1] = half
        chance[size : size + reached + 1] += half
        reached += size
    sums = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chance[sums >= abs(int(steps.sum()))].sum()))


def _estimated(curves: Float[np.ndarray, "curve unit"], flips: int, seed: int) -> Float[np.ndarray, " curve"]:
    n = curves.shape[-1]
    chance = np.random.default_rng(seed)
    least = _least(curves)[:, None]
    extreme = np.ones(len(curves))
    rows = max(1, _CHUNK // n)  # of the units alone, so that the same seed gives the same signs beside any other curves
    for start in range(0, flips, rows):
        signs = 2.0 * chance.integers(0, 2, size=(min(rows, flips - start), n), dtype=np.int8) - 1
        extreme += (np.abs(curves @ signs.T) >= least).sum(axis=-1)
    return extreme / (1 + flips)


def _least(curves: Float[np.ndarray, "curve unit"]) -> Float[np.ndarray, " curve"]:
    """Return the smallest sum that counts as extreme as the observed one."""
    return np.abs(curves.sum(axis=-1)) - _TIE * np.abs(curves).sum(axis=-1)
