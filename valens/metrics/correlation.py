"""Rank correlation, of data that are weighed anew many times over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

_NUMBERS = 200_000
_FEWEST, _MOST = 64, 192
_STEPS = 25
"""For speed alone: resamples of so many numbers, within these bounds, fit into the processor's cache, and running sums are
taken in blocks of so many."""


def spearman(
    predicted: Float[np.ndarray, "layer pair"], gold: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " layer"]:
    """Return Spearman's correlation, ties at their mid-rank; nan (as in scipy and mteb) where predictions are equal."""
    return weighted_spearman(predicted, gold, np.ones((1, len(gold)), dtype=int))[:, 0]


def weighted_spearman(
    predicted: Float[np.ndarray, "layer pair"],
    gold: Float[np.ndarray, " pair"],
    weights: Int[np.ndarray, "resample pair"],
) -> Float[np.ndarray, "layer resample"]:
    """Return Spearman's correlation where each pair is repeated `weight` times, with the mid-ranks of THAT data.

    nan where all that has weight is tied.
    """
    orders = [_ties(values) for values in predicted]
    gold_order, gold_starts = _ties(gold)
    result = np.empty((len(predicted), len(weights)))
    n_together = min(max(_NUMBERS // len(gold), _FEWEST), _MOST)
    for start in range(0, len(weights), n_together):
        mass = np.ascontiguousarray(weights[start : start + n_together].T, dtype=np.float64)
        groups = np.add.reduceat(mass[gold_order], gold_starts, axis=0)
        rank = np.cumsum(groups, axis=0) - (groups + groups.sum(axis=0)) / 2
        weighted_rank = np.empty_like(mass)
        weighted_rank[gold_order] = np.repeat(rank, np.diff(gold_starts, append=len(gold)), axis=0)
        weighted_rank *= mass
        result[:, start : start + n_together] = list(_correlations(orders, mass, weighted_rank, _spread(groups)))
    return result


def _correlations(
    orders: list[tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " _"]]],
    mass: Float[np.ndarray, "pair resample"],
    weighted_rank: Float[np.ndarray, "pair resample"],
    gold_spread: Float[np.ndarray, " resample"],
) -> Iterator[Float[np.ndarray, " resample"]]:
    """Yield each layer's correlation with the gold ranks, which come less their mean and times their mass."""
    spread = mass.sum(axis=0) ** 3 - (mass**3).sum(axis=0)
    own = np.einsum("pr,pr->r", mass, weighted_rank) / 2
    spare = ((0, -len(mass) % _STEPS), (0, 0))
    mass, weighted_rank = np.pad(mass, spare), np.pad(weighted_rank, spare)
    sorted_mass, sorted_rank = np.empty_like(mass), np.empty_like(mass)
    for order, starts in orders:
        more_shared, less_spread = _of_ties(mass, weighted_rank, order, starts)
        rows = np.append(order, np.arange(len(order), len(mass)))
        np.take(mass, rows, axis=0, out=sorted_mass, mode="clip")  # into the same memory for each layer: twice as fast
        np.take(weighted_rank, rows, axis=0, out=sorted_rank, mode="clip")
        shared = _shared(sorted_mass, sorted_rank) - own + more_shared
        with np.errstate(invalid="ignore"):
            yield shared / np.sqrt((spread - less_spread) / 12 * gold_spread)


def _shared(
    mass: Float[np.ndarray, "row resample"], other: Float[np.ndarray, "row resample"]
) -> Float[np.ndarray, " resample"]:
    """Sum `other` times the mass up to and with each row, in whole blocks of `_STEPS` rows. Overwrites `mass`.

    The running sum is taken within blocks, all blocks at once: many times as fast as over row after row.
    """
    running, other = (rows.reshape(-1, _STEPS, rows.shape[1]) for rows in (mass, other))
    for step in range(1, _STEPS):
        running[:, step] += running[:, step - 1]
    before = np.cumsum(running[:, -1], axis=0) - running[:, -1]
    return np.einsum("bsr,bsr->r", other, running) + np.einsum("br,br->r", other.sum(axis=1), before)


def _of_ties(
    mass: Float[np.ndarray, "row resample"],
    other: Float[np.ndarray, "row resample"],
    order: Int[np.ndarray, " pair"],
    starts: Int[np.ndarray, " group"],
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, " resample"]]:
    """Return what mid-ranks of ties add to the sum of ranks without ties, and take from 12 times that of squares."""
    sizes = np.diff(starts, append=len(order))
    tied = order[np.repeat(sizes > 1, sizes)]
    if not len(tied):
        return np.zeros(mass.shape[1]), np.zeros(mass.shape[1])
    mass, other, sizes = mass[tied], other[tied], sizes[sizes > 1]
    firsts = np.cumsum(sizes) - sizes
    of_group = np.add.reduceat(mass, firsts, axis=0)
    before = np.cumsum(of_group, axis=0) - of_group
    as_if_apart = np.cumsum(mass, axis=0) - mass / 2 - np.repeat(before, sizes, axis=0)
    middle = np.repeat(of_group / 2, sizes, axis=0)
    return (other * (middle - as_if_apart)).sum(axis=0), (of_group**3).sum(axis=0) - (mass**3).sum(axis=0)


def _ties(values: Float[np.ndarray, " pair"]) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " group"]]:
    """Return the order that sorts the values, and where in it each group of equal values starts."""
    order = np.argsort(values, kind="stable")
    return order, np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)


def _spread(groups: Float[np.ndarray, "group resample"]) -> Float[np.ndarray, " resample"]:
    """Sum the squared mid-ranks less their mean, each as often as its mass: (n³ - the groups' cubes) / 12."""
    return (groups.sum(axis=0) ** 3 - (groups**3).sum(axis=0)) / 12
