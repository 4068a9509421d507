"""Score a task from vectors: one score a layer, and bootstrap replicates of it that are paired over layers and calls.

The score is mteb's, drawn with mteb's seed. The replicates say how it would move with other units of the same kind; what
was fitted (clusters, classifiers) is held. What is resampled, by type of task:

- Retrieval, Reranking: queries, and the mean of their scores.
- Pair classification: as STS. The similarity that is best for a layer is held.
- Classification: test texts, and the mean over the experiments of how often each is labelled right.
- Clustering: texts, each weighing in the table of labels and clusters as often as it is drawn, and the experiments. Texts
  alone would leave out how differently the texts can be clustered: their 90 % intervals held the expected score in
  51 to 76 % of simulated tasks, with the experiments in 75 to 91 %. So these are still rather too narrow than too wide.
  V-measure rises when texts repeat (by .02 to .06 on 350 texts of 10 labels, more than half an interval), so the
  replicates are moved to have the score as their mean.
- STS: texts, a pair counting as often as both its texts are drawn together (the product of their counts). So pairs that
  share a text move together, and an interval from 50 texts in 1,225 pairs is as wide as 50 texts make it. Where hardly any
  pairs share a text (STSBenchmark), that would draw each pair twice over, and intervals would be 1.7 times too wide:
  there, groups of pairs that share texts, directly or through others, are resampled as wholes.

Where `halves` are asked for, the units are parted at random into two, and the task is scored on either as well: a layer set
can then be chosen on one half and judged on the other. What is fitted (clusters, classifiers) is shared by the halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from valens import metrics
from valens.draws import clustering_items, training_items
from valens.errors import TaskError
from valens.statistics import half_units, percentile_interval, resample_counts
from valens.tasks import Classification, Clustering, PairClassification, Reranking, Retrieval, Sts, Task

_LARGEST_GROUP = 0.05
"""Groups of pairs are resampled if none holds more than this share of the pairs, so that there are 20 or more."""


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
    """What the score is made of, one number a query, pair, text or run; `halves` have none of their own."""
    sample: str = ""
    """What one of `samples` is, as in `nDCG@10 of a query`."""
    halves: tuple[Evaluation, ...] = ()
    """The same of two halves of the units, each with resamples of its own; empty unless they were asked for."""

    def interval(self, confidence: float = 0.95) -> tuple[Float[np.ndarray, " layer"], Float[np.ndarray, " layer"]]:
        """The percentile interval of each layer's score."""
        return percentile_interval(self.replicates, confidence)


def stacked(parts: Sequence[Evaluation]) -> Evaluation:
    """One evaluation of all layers from evaluations of some of them each, of one task with one seed."""
    samples = [part.samples for part in parts if part.samples is not None]
    return replace(
        parts[0],
        score=np.concatenate([part.score for part in parts]),
        replicates=np.concatenate([part.replicates for part in parts]),
        samples=np.concatenate(samples) if samples else None,
        halves=tuple(map(stacked, zip(*(part.halves for part in parts), strict=True))),
    )


@dataclass(frozen=True)
class _Bootstrap:
    resamples: int
    seed: int
    of_half: int = 0

    def counts(self, n: int) -> Int[np.ndarray, "resample n"]:
        """Resamples of all units; with halves, then for each the half itself (each unit of it once) and its resamples."""
        drawn = resample_counts(n, self.resamples, self.seed)
        if not self.of_half:
            return drawn
        halves = enumerate(half_units(n, self.seed))
        return np.vstack([drawn, *(self._of_half(half, n, self.seed + place) for place, half in halves)])

    def _of_half(self, half: Int[np.ndarray, " unit"], n: int, seed: int) -> Int[np.ndarray, "resample n"]:
        """The halves draw with different seeds, so that they are independent."""
        counts = np.zeros((1 + self.of_half, n), dtype=int)
        counts[0, half] = 1
        if len(half):
            counts[1:, half] = resample_counts(len(half), self.of_half, seed)
        return counts

    def parts(self) -> list[slice]:
        """Where in the rows of `counts` the resamples of all units stand, and those of either half with the half itself."""
        whole, half = self.resamples, 1 + self.of_half
        halves = [slice(whole, whole + half), slice(whole + half, whole + 2 * half)]
        return [slice(0, whole), *(halves if self.of_half else [])]


def evaluate(
    task: Task,
    vectors: Float[np.ndarray, "layer text d"],
    *,
    resamples: int = 1000,
    seed: int = 0,
    halves: int = 0,
    exact: bool = False,
) -> Evaluation:
    """Score the vectors of a task's texts, in the order of `task.texts`, at every layer at once.

    `halves` scores two halves of the units as well, with so many resamples each (0: no halves); a half without units, or
    without pairs, scores nan. `seed` draws resamples and halves only; what mteb draws for a metric is drawn with mteb's own
    seed. `exact` takes the score from mteb's own evaluators, at their price; all else is as without. Raises TaskError if the
    vectors do not fit the task or are not finite, MissingPackageError for `exact` without mteb.
    """
    _check(task, vectors)
    if vectors.dtype == np.float16:
        vectors = vectors.astype(np.float32)
    bootstrap = _Bootstrap(resamples, seed, halves)
    found = _parted(_SCORERS[type(task)](task, vectors, bootstrap), bootstrap)
    if exact:
        from valens.mteb.exact import exact_scores

        return replace(found, score=exact_scores(task, vectors))
    return _as_reported(found) if isinstance(task, Retrieval | Reranking) else found


def _sts(task: Sts, vectors: Float[np.ndarray, "layer text d"], bootstrap: _Bootstrap) -> Evaluation:
    first, second, gold = np.array(task.first), np.array(task.second), np.array(task.gold)
    cosines = np.stack([metrics.paired_cosine(layer, first, second) for layer in vectors])
    weights, n, unit = _pair_weights(first, second, bootstrap)
    replicates = metrics.weighted_spearman(cosines, gold, weights)
    return Evaluation(metrics.spearman(cosines, gold), replicates, n, unit, cosines, "cosine of a pair")


def _pair_classification(
    task: PairClassification, vectors: Float[np.ndarray, "layer text d"], bootstrap: _Bootstrap
) -> Evaluation:
    first, second, same = np.array(task.first), np.array(task.second), np.array(task.same)
    once = np.ones((1, len(same)), dtype=int)
    best = []
    for layer in vectors:
        similarities = metrics.pair_similarities(layer, first, second)
        best.append(similarities[metrics.weighted_average_precision(similarities, same, once)[:, 0].argmax()])
    similarity = np.stack(best)
    weights, n, unit = _pair_weights(first, second, bootstrap)
    replicates = metrics.weighted_average_precision(similarity, same, weights)
    score = metrics.weighted_average_precision(similarity, same, once)[:, 0]
    return Evaluation(score, replicates, n, unit, similarity, "best similarity of a pair")


def _retrieval(task: Retrieval, vectors: Float[np.ndarray, "layer text d"], bootstrap: _Bootstrap) -> Evaluation:
    queries, documents = list(task.queries), list(task.documents)
    gains = metrics.Gains.of(task.relevant, len(documents), missing=task.missing, itself=task.itself)
    found = (metrics.nearest(layer[queries], layer[documents], itself=task.itself) for layer in vectors)
    return _mean(np.stack([gains.ndcg(places) for places in found]), "query", "nDCG@10 of a query", bootstrap)


def _reranking(task: Reranking, vectors: Float[np.ndarray, "layer text d"], bootstrap: _Bootstrap) -> Evaluation:
    lists = [(query, list(candidates)) for query, candidates in zip(task.queries, task.candidates, strict=True)]
    lengths = np.array([len(candidates) for _, candidates in lists])
    there = np.arange(lengths.max()) < lengths[:, None]
    relevant, cosines = np.zeros(there.shape, dtype=bool), np.full(there.shape, -np.inf)
    relevant[there] = np.concatenate(task.relevant)
    missing = np.array(task.missing or [0] * len(lists))
    scores = []
    for layer in map(metrics.short, vectors):
        near = [layer[query : query + 1] @ layer[candidates].transpose(0, 1) for query, candidates in lists]
        cosines[there] = np.concatenate([row.numpy()[0] for row in near])
        scores.append(metrics.average_precision(cosines, relevant, missing))
    return _mean(np.stack(scores), "query", "average precision of a query", bootstrap)


def _classification(
    task: Classification, vectors: Float[np.ndarray, "layer text d"], bootstrap: _Bootstrap
) -> Evaluation:
    labels, rows = np.array(task.labels), np.array(task.rows)
    learnt, draws = training_items(task)
    test = list(task.test)
    given = metrics.classified(vectors[:, rows[learnt]], labels[learnt], vectors[:, rows[test]], draws)
    return _mean((given == labels[test]).mean(axis=1), "text", "share of the runs that label a text right", bootstrap)


def _clustering(task: Clustering, vectors: Float[np.ndarray, "layer text d"], bootstrap: _Bootstrap) -> Evaluation:
    n_texts, rows = len(task.texts), np.array(task.rows)
    names, labels = np.unique(task.labels, return_inverse=True)
    draws, n_clusters = clustering_items(task)
    texts = [rows[draw] for draw in draws]
    clusters = metrics.clustered(vectors, texts, n_clusters=n_clusters, batch_size=task.batch_size)
    counts = np.vstack([np.ones(n_texts, dtype=int), bootstrap.counts(n_texts)])
    values = np.array(
        [
            [
                _v_measures(labels[draw], cluster, text, counts, len(names))
                for draw, text, cluster in zip(draws, texts, layer, strict=True)
            ]
            for layer in clusters
        ]
    )
    of_runs = values[:, :, 0]
    score = of_runs.mean(axis=1, keepdims=True)
    whole, *halves = bootstrap.parts()
    resampled = values[:, :, 1:]
    replicates = [_centred(resampled[:, :, whole], score, bootstrap.seed)]
    for half in halves:
        of_half = resampled[:, :, half][:, :, 0].mean(axis=1, keepdims=True)
        replicates += [of_half, _centred(resampled[:, :, half][:, :, 1:], of_half, bootstrap.seed)]
    return Evaluation(score[:, 0], np.concatenate(replicates, axis=1), n_texts, "text", of_runs, "V-measure of a run")


_SCORERS: dict[type, Callable[..., Evaluation]] = {
    Sts: _sts,
    PairClassification: _pair_classification,
    Retrieval: _retrieval,
    Reranking: _reranking,
    Clustering: _clustering,
    Classification: _classification,
}


def _check(task: Task, vectors: Float[np.ndarray, "layer text d"]) -> None:
    if vectors.ndim != 3 or vectors.shape[1] != len(task.texts):  # noqa: PLR2004
        raise TaskError(
            f"{task.name} has {len(task.texts)} texts and needs vectors of shape [layer, {len(task.texts)}, d]; "
            f"got {list(vectors.shape)}. Give one vector a text, in the order of its `texts`."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = np.flatnonzero(~np.isfinite(vectors.sum(axis=(1, 2))))
    layers, texts = np.nonzero(~np.isfinite(vectors[doubtful]).all(axis=-1))
    if len(layers):
        raise TaskError(
            f"{task.name} cannot be scored: layer {doubtful[layers[0]]} of the {len(vectors)} given (counted from 0) has a "
            f"NaN or an infinity for the text {task.texts[texts[0]][:40]!r}. Read that text again, in float32 or bfloat16."
        )


def _mean(scores: Float[np.ndarray, "layer n"], unit: str, sample: str, bootstrap: _Bootstrap) -> Evaluation:
    """The evaluation of a score that is a mean over independent units."""
    n = scores.shape[1]
    counts = bootstrap.counts(n)
    replicates = np.concatenate([_means(scores, counts[part]) for part in bootstrap.parts()], axis=1)
    return Evaluation(scores.mean(axis=1), replicates, n, unit, scores, sample)


def _means(
    scores: Float[np.ndarray, "layer n"], counts: Int[np.ndarray, "resample n"]
) -> Float[np.ndarray, "layer resample"]:
    """The means over resamples of the units, layer by layer: the last bits of a product hang on its shape.

    So what a layer's replicates are depends neither on the layers beside it nor on whether halves are scored, and equal
    layers differ by nothing at all.
    """
    weights = counts.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.stack([weights @ layer for layer in scores]) / counts.sum(axis=1)


def _parted(found: Evaluation, bootstrap: _Bootstrap) -> Evaluation:
    """Give the resamples of all units and those of either half to an evaluation each."""
    whole, *halves = bootstrap.parts()
    sizes = [len(half) for half in half_units(found.n, bootstrap.seed)]
    parts = tuple(
        Evaluation(found.replicates[:, half][:, 0], found.replicates[:, half][:, 1:], n, found.unit)
        for half, n in zip(halves, sizes, strict=False)
    )
    return replace(found, replicates=found.replicates[:, whole], halves=parts)


def _as_reported(found: Evaluation) -> Evaluation:
    """Rounded to five decimals, as mteb rounds the scores of a search."""
    score = np.array([round(value, 5) for value in found.score.tolist()])
    return replace(found, score=score, halves=tuple(map(_as_reported, found.halves)))


def _centred(
    values: Float[np.ndarray, "layer experiment resample"], score: Float[np.ndarray, "layer one"], seed: int
) -> Float[np.ndarray, "layer resample"]:
    """The mean over resampled experiments in each resample of the texts, moved to have the score as its mean."""
    n_experiments, resamples = values.shape[1:]
    experiments = resample_counts(n_experiments, resamples, seed + 1) / n_experiments
    replicates = np.einsum("ler,re->lr", values, experiments)
    defined = ~np.isnan(replicates)
    total = np.where(defined, replicates, 0.0).sum(axis=1, keepdims=True)
    return replicates - total / np.maximum(defined.sum(axis=1, keepdims=True), 1) + score


def _pair_weights(
    first: Int[np.ndarray, " pair"], second: Int[np.ndarray, " pair"], bootstrap: _Bootstrap
) -> tuple[Int[np.ndarray, "resample pair"], int, str]:
    """How often each pair is in each resample, how many units were drawn, and which."""
    n_texts = int(max(first.max(), second.max())) + 1
    links = csr_array((np.ones(len(first)), (first, second)), shape=(n_texts, n_texts))
    _, group_of_text = connected_components(links, directed=False)
    groups, group = np.unique(group_of_text[first], return_inverse=True)
    if np.bincount(group).max() <= _LARGEST_GROUP * len(first):
        return bootstrap.counts(len(groups))[:, group], len(groups), "group of pairs"
    texts, position = np.unique(np.stack([first, second]), return_inverse=True)
    counts = bootstrap.counts(len(texts))
    return counts[:, position[0]] * counts[:, position[1]], len(texts), "text"


def _v_measures(
    labels: Int[np.ndarray, " draw"],
    clusters: Int[np.ndarray, " draw"],
    texts: Int[np.ndarray, " draw"],
    counts: Int[np.ndarray, "resample text"],
    n_labels: int,
) -> Float[np.ndarray, " resample"]:
    """The V-measure of one experiment's draws, each weighing as often as its text was drawn in the resample."""
    n_clusters = int(clusters.max()) + 1
    cells = csr_array(
        (np.ones(len(texts)), (labels * n_clusters + clusters, texts)), shape=(n_labels * n_clusters, counts.shape[1])
    )
    return metrics.v_measure((cells @ counts.T).T.reshape(len(counts), n_labels, n_clusters))
