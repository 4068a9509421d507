"""Drawing units again: bootstrap counts, the means they give, and the means with one unit left out.

A bootstrap is kept as counts, one row a resample: how often each unit was drawn. A statistic that takes weights is then
computed for all resamples at once, and two statistics computed from the same counts are paired.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from valens.errors import ResultError

_CHUNK = 2**22
"""How many counts are held at once: 32 MiB of them."""


def resample_counts(n: int, resamples: int, seed: int) -> Int[np.ndarray, "resample n"]:
    """Draw n of n units with replacement, and count how often each is drawn.

    Equal arguments give equal counts, whoever asks: that is what makes two statistics paired.

    Args:
        n: how many units there are, 1 or more.
        resamples: how many resamples are drawn, 1 or more.
        seed: decides them.

    Returns:
        The counts [resample, n]; every row sums to n.

    Raises:
        ResultError: no units or no resamples.

    """
    return next(_counts(n, resamples, seed, rows=resamples))


def split_units(n: int, seed: int) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Split the indices of n units at random in two, each in order; of an odd n the second has one more."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def bootstrap_means(
    samples: Float[np.ndarray, "*curves unit"], *, resamples: int, seed: int
) -> Float[np.ndarray, "*curves resample"]:
    """Average the units of each resample, in float64; the resamples are those of `resample_counts`.

    All curves share the resamples, so their differences are paired. What is held at once grows with neither the number of
    resamples nor that of units, except for the result.

    Args:
        samples: one score a unit [..., unit].
        resamples: how many resamples are drawn.
        seed: decides them.

    Returns:
        The means [..., resample].

    Raises:
        ResultError: no units or no resamples.

    """
    n = samples.shape[-1]
    exact = samples.astype(np.float64, copy=False).reshape(-1, n)
    means = np.empty((len(exact), resamples))
    done = 0
    for counts in _counts(n, resamples, seed, rows=max(1, _CHUNK // max(n, 1))):
        means[:, done : done + len(counts)] = exact @ counts.T.astype(np.float64) / n
        done += len(counts)
    return means.reshape(*samples.shape[:-1], resamples)


def jackknife_means(samples: Float[np.ndarray, "*curves unit"]) -> Float[np.ndarray, "*curves unit"]:
    """Average all units but one, for each unit, in float64; ResultError for fewer than two."""
    n = samples.shape[-1]
    if n < 2:  # noqa: PLR2004
        raise ResultError(f"Leaving one unit out needs 2 or more; got {n}. Give one score a document.")
    exact = samples.astype(np.float64, copy=False)
    return (exact.sum(axis=-1, keepdims=True) - exact) / (n - 1)


def _counts(n: int, resamples: int, seed: int, *, rows: int) -> Iterator[Int[np.ndarray, "resample n"]]:
    """Yield the counts, at most `rows` at a time, which makes no difference to the counts."""
    if n < 1 or resamples < 1:
        raise ResultError(f"A bootstrap draws 1 or more units 1 or more times; got n={n} and resamples={resamples}.")
    chance = np.random.default_rng(seed)
    for start in range(0, resamples, rows):
        yield chance.multinomial(n, np.full(n, 1 / n), size=min(rows, resamples - start))
