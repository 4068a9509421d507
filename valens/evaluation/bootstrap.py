"""A task's score at every layer with its bootstrap replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri, stdtrit

from valens.statistics import percentile_interval, resample_counts, split_units

_LARGEST_GROUP = 0.05
"""Groups of pairs are resampled if none holds more than this share of the pairs, so that there are 20 or more."""

_KEPT = 500_000
"""Counts are kept for the next call if they are no more than so many: a few megabytes."""

_RUNS = 2
"""What is added to the seed to resample runs: 0 and 1 are the units of the first and the second split."""


@dataclass(frozen=True)
class Evaluation:
    """A task's score at every layer, with its uncertainty; nan where the metric is undefined (all cosines equal)."""

    score: Float[np.ndarray, " layer"]
    replicates: Float[np.ndarray, "layer resample"]
    """The score in each resample; the same resamples for every layer, and for every call on the task with this seed."""
    n: int
    """How many units were resampled."""
    unit: str
    """What was resampled: `query`, `text`, or `group of pairs`."""
    samples: Float[np.ndarray, "layer sample"] | None = None
    """What the score is made of, one number a query, pair, text or run; `splits` have none of their own."""
    sample: str = ""
    """What one of `samples` is, as in `nDCG@10 of a query`."""
    splits: tuple[Evaluation, ...] = ()
    """The same of two splits of the units, each with resamples of its own; empty unless they were asked for."""

    def interval(self, confidence: float = 0.95) -> tuple[Float[np.ndarray, " layer"], Float[np.ndarray, " layer"]]:
        """Return the percentile interval of each layer's score."""
        return percentile_interval(self.replicates, confidence)


def stacked(parts: Sequence[Evaluation]) -> Evaluation:
    """Join evaluations of some of the layers each, of one task with one seed, to one of all layers."""
    samples = [part.samples for part in parts if part.samples is not None]
    return replace(
        parts[0],
        score=np.concatenate([part.score for part in parts]),
        replicates=np.concatenate([part.replicates for part in parts]),
        samples=np.concatenate(samples) if samples else None,
        splits=tuple(map(stacked, zip(*(part.splits for part in parts), strict=True))),
    )


@dataclass(frozen=True)
class Bootstrap:
    """How the units of a task are resampled: how often, from which seed, and how often each of its two parts."""

    resamples: int
    seed: int
    resamples_of_splits: int = 0

    def counts(self, n: int) -> Int[np.ndarray, "resample n"]:
        """Draw resamples of all units; with splits, then for each the split itself and its resamples. Read-only."""
        few = n * (self.resamples + 2 * self.resamples_of_splits) <= _KEPT
        return _kept_counts(self, n) if few else self.draw(n)

    def draw(self, n: int) -> Int[np.ndarray, "resample n"]:
        """Draw what `counts` returns."""
        drawn = resample_counts(n, self.resamples, self.seed)
        if not self.resamples_of_splits:
            return drawn
        splits = enumerate(split_units(n, self.seed))
        return np.vstack([drawn, *(self._of_split(split, n, self.seed + index) for index, split in splits)])

    def _of_split(self, split: Int[np.ndarray, " unit"], n: int, seed: int) -> Int[np.ndarray, "resample n"]:
        """Draw the resamples of one split; the two splits have different seeds, so that they are independent."""
        counts = np.zeros((1 + self.resamples_of_splits, n), dtype=int)
        counts[0, split] = 1
        if len(split):
            counts[1:, split] = resample_counts(len(split), self.resamples_of_splits, seed)
        return counts

    def counts_of_runs(self, n: int) -> Int[np.ndarray, "resample n"]:
        """Draw resamples of n runs, a row for each of `counts`; a split itself has each run once.

        The splits share their runs, and so the resamples of them.
        """
        drawn = resample_counts(n, self.resamples, self.seed + _RUNS)
        if not self.resamples_of_splits:
            return drawn
        of_split = np.vstack([np.ones((1, n), int), resample_counts(n, self.resamples_of_splits, self.seed + _RUNS)])
        return np.vstack([drawn, of_split, of_split])

    def parts(self) -> list[slice]:
        """Return which rows of `counts` are the resamples of all units, and which are those of either split."""
        whole, split = self.resamples, 1 + self.resamples_of_splits
        splits = [slice(whole, whole + split), slice(whole + split, whole + 2 * split)]
        return [slice(0, whole), *(splits if self.resamples_of_splits else [])]


@lru_cache(maxsize=8)
def _kept_counts(bootstrap: Bootstrap, n: int) -> Int[np.ndarray, "resample n"]:
    """Return the counts, drawn once for all calls on tasks of this size: many layers are often scored in several calls."""
    counts = bootstrap.draw(n)
    counts.setflags(write=False)
    return counts


def mean_of_units(scores: Float[np.ndarray, "layer n"], unit: str, sample: str, bootstrap: Bootstrap) -> Evaluation:
    """Evaluate a score that is a mean over independent units."""
    n = scores.shape[1]
    counts = bootstrap.counts(n)
    replicates = np.concatenate([_means(scores, counts[part]) for part in bootstrap.parts()], axis=1)
    return Evaluation(scores.mean(axis=1), replicates, n, unit, scores, sample)


def mean_of_runs(
    scores: Bool[np.ndarray, "layer run n"], shared: float, unit: str, sample: str, bootstrap: Bootstrap
) -> Evaluation:
    """Evaluate a mean over units and over runs, of which any two share this part of what they learnt from.

    To what the resampled units make of the mean is added what the resampled runs make of it, `run_factor` times as much.
    """
    evaluation = mean_of_units(scores.mean(axis=1), unit, sample, bootstrap)
    n_runs, n = scores.shape[1:]
    splits = split_units(n, bootstrap.seed)
    counts = bootstrap.counts_of_runs(n_runs)
    replicates = evaluation.replicates.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        for part, units in zip(bootstrap.parts(), (np.arange(n), *splits), strict=False):
            of_runs = scores[:, :, units].sum(axis=2) / len(units)
            deviations = of_runs - of_runs.mean(axis=1, keepdims=True)
            replicates[:, part] += run_factor(n_runs, shared) * _means(deviations, counts[part])
    return replace(evaluation, replicates=np.clip(replicates, 0.0, 1.0))


def run_factor(n: int, shared: float) -> float:
    """Return by how much to widen what n runs, drawn with replacement, make of their mean.

    A mean of such draws has (n - 1) / n of the variance of a mean of n independent runs. Runs that share texts vary
    together, unseen in their spread: where any two correlate by r, the variance of their mean is 1 + (n - 1) r times as
    large. A classifier's accuracy falls with the square of what it mislearns, so r is the part of the pairs of texts that
    two runs share, the square of the part of the texts. (Nadeau & Bengio 2003, Machine Learning 52, of the same problem in
    cross-validation, have the part of the texts itself, which is too wide for simulated classifications.) And n runs do not
    know their own spread for sure, for which a 95 % interval by Student's t is wider than one by the normal distribution.
    """
    student = stdtrit(max(n - 1, 1), 0.975) / ndtri(0.975)
    return float(student * np.sqrt(n / max(n - 1, 1) * (1 + (n - 1) * shared**2)))


def _means(
    scores: Float[np.ndarray, "layer n"], counts: Int[np.ndarray, "resample n"]
) -> Float[np.ndarray, "layer resample"]:
    """Return the means over resamples of the units, layer by layer: the last bits of a product depend on its shape.

    So what a layer's replicates are depends neither on the layers beside it nor on whether splits are scored, and equal
    layers differ by nothing at all.
    """
    weights = counts.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.stack([weights @ layer for layer in scores]) / counts.sum(axis=1)


def split_evaluation(evaluation: Evaluation, bootstrap: Bootstrap) -> Evaluation:
    """Give the resamples of all units and those of either split to an evaluation each."""
    whole, *splits = bootstrap.parts()
    sizes = [len(split) for split in split_units(evaluation.n, bootstrap.seed)]
    parts = tuple(
        Evaluation(evaluation.replicates[:, split][:, 0], evaluation.replicates[:, split][:, 1:], n, evaluation.unit)
        for split, n in zip(splits, sizes, strict=False)
    )
    return replace(evaluation, replicates=evaluation.replicates[:, whole], splits=parts)


def centred(
    values: Float[np.ndarray, "layer experiment resample"], score: Float[np.ndarray, "layer one"], seed: int
) -> Float[np.ndarray, "layer resample"]:
    """Average over resampled experiments in each resample of the texts, moved to have the score as its mean."""
    n_experiments, resamples = values.shape[1:]
    experiments = resample_counts(n_experiments, resamples, seed + _RUNS) / n_experiments
    replicates = np.einsum("ler,re->lr", values, experiments)
    defined = ~np.isnan(replicates)
    total = np.where(defined, replicates, 0.0).sum(axis=1, keepdims=True)
    return replicates - total / np.maximum(defined.sum(axis=1, keepdims=True), 1) + score


def pair_weights(
    first: Int[np.ndarray, " pair"], second: Int[np.ndarray, " pair"], bootstrap: Bootstrap
) -> tuple[Int[np.ndarray, "resample pair"], int, str]:
    """Return how often each pair is in each resample, how many units were drawn, and which."""
    n_texts = int(max(first.max(), second.max())) + 1
    links = csr_array((np.ones(len(first)), (first, second)), shape=(n_texts, n_texts))
    _, group_of_text = connected_components(links, directed=False)
    groups, group = np.unique(group_of_text[first], return_inverse=True)
    if np.bincount(group).max() <= _LARGEST_GROUP * len(first):
        return bootstrap.counts(len(groups))[:, group], len(groups), "group of pairs"
    texts, position = np.unique(np.stack([first, second]), return_inverse=True)
    counts = bootstrap.counts(len(texts))
    return counts[:, position[0]] * counts[:, position[1]], len(texts), "text"
