"""One scorer a type of task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from valens import metrics
from valens.evaluation.bootstrap import Bootstrap, Evaluation, centred, mean_of_runs, mean_of_units, pair_weights
from valens.evaluation.draws import clustering_items, shared_part, training_items
from valens.tasks import Classification, Clustering, PairClassification, Reranking, Retrieval, Sts


def _sts(task: Sts, vectors: Float[np.ndarray, "layer text d"], bootstrap: Bootstrap) -> Evaluation:
    first, second, gold = np.array(task.first), np.array(task.second), np.array(task.gold)
    cosines = np.stack([metrics.paired_cosine(layer, first, second) for layer in vectors])
    weights, n, unit = pair_weights(first, second, bootstrap)
    replicates = metrics.weighted_spearman(cosines, gold, weights)
    return Evaluation(metrics.spearman(cosines, gold), replicates, n, unit, cosines, "cosine of a pair")


def _pair_classification(
    task: PairClassification, vectors: Float[np.ndarray, "layer text d"], bootstrap: Bootstrap
) -> Evaluation:
    first, second, same = np.array(task.first), np.array(task.second), np.array(task.same)
    once = np.ones((1, len(same)), dtype=int)
    best = []
    for layer in vectors:
        similarities = metrics.pair_similarities(layer, first, second)
        best.append(similarities[metrics.weighted_average_precision(similarities, same, once)[:, 0].argmax()])
    similarity = np.stack(best)
    weights, n, unit = pair_weights(first, second, bootstrap)
    replicates = metrics.weighted_average_precision(similarity, same, weights)
    score = metrics.weighted_average_precision(similarity, same, once)[:, 0]
    return Evaluation(score, replicates, n, unit, similarity, "best similarity of a pair")


def _retrieval(task: Retrieval, vectors: Float[np.ndarray, "layer text d"], bootstrap: Bootstrap) -> Evaluation:
    queries, documents = list(task.queries), list(task.documents)
    gains = metrics.Ndcg.of(task.relevant, len(documents), missing=task.missing, itself=task.itself)
    nearest = (metrics.nearest(layer[queries], layer[documents], itself=task.itself) for layer in vectors)
    return mean_of_units(
        np.stack([gains.ndcg(documents_found) for documents_found in nearest]), "query", "nDCG@10 of a query", bootstrap
    )


def _reranking(task: Reranking, vectors: Float[np.ndarray, "layer text d"], bootstrap: Bootstrap) -> Evaluation:
    lists = [(query, list(candidates)) for query, candidates in zip(task.queries, task.candidates, strict=True)]
    lengths = np.array([len(candidates) for _, candidates in lists])
    is_candidate = np.arange(lengths.max()) < lengths[:, None]
    relevant, cosines = np.zeros(is_candidate.shape, dtype=bool), np.full(is_candidate.shape, -np.inf)
    relevant[is_candidate] = np.concatenate(task.relevant)
    missing = np.array(task.missing or [0] * len(lists))
    scores = []
    for layer in map(metrics.l2_normalize_float32, vectors):
        near = [layer[query : query + 1] @ layer[candidates].transpose(0, 1) for query, candidates in lists]
        cosines[is_candidate] = np.concatenate([row.numpy()[0] for row in near])
        scores.append(metrics.average_precision(cosines, relevant, missing))
    return mean_of_units(np.stack(scores), "query", "average precision of a query", bootstrap)


def _classification(
    task: Classification,
    vectors: Float[np.ndarray, "layer text d"],
    bootstrap: Bootstrap,
    *,
    by_span: bool = False,
) -> Evaluation:
    labels, rows = np.array(task.labels), np.array(task.rows)
    learnt, draws = training_items(task)
    test = list(task.test)
    train, unseen = vectors[:, rows[learnt]], vectors[:, rows[test]]
    given = metrics.classified(train, labels[learnt], unseen, draws, by_span=by_span)
    return mean_of_runs(
        given == labels[test], shared_part(draws), "text", "share of the runs that label a text right", bootstrap
    )


def _clustering(
    task: Clustering, vectors: Float[np.ndarray, "layer text d"], bootstrap: Bootstrap, *, by_span: bool = False
) -> Evaluation:
    n_texts, rows = len(task.texts), np.array(task.rows)
    names, labels = np.unique(task.labels, return_inverse=True)
    draws, n_clusters = clustering_items(task)
    texts = [rows[draw] for draw in draws]
    clusters = metrics.clustered(vectors, texts, n_clusters=n_clusters, batch_size=task.batch_size, by_span=by_span)
    counts = np.vstack([np.ones(n_texts), bootstrap.counts(n_texts)]).T.copy()
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
    whole, *splits = bootstrap.parts()
    resampled = values[:, :, 1:]
    replicates = [centred(resampled[:, :, whole], score, bootstrap.seed)]
    for split in splits:
        of_split = resampled[:, :, split][:, :, 0].mean(axis=1, keepdims=True)
        replicates += [of_split, centred(resampled[:, :, split][:, :, 1:], of_split, bootstrap.seed)]
    return Evaluation(score[:, 0], np.concatenate(replicates, axis=1), n_texts, "text", of_runs, "V-measure of a run")


SCORERS: dict[type, Callable[..., Evaluation]] = {
    Sts: _sts,
    PairClassification: _pair_classification,
    Retrieval: _retrieval,
    Reranking: _reranking,
    Clustering: _clustering,
    Classification: _classification,
}
SCORERS_BY_SPAN = SCORERS | {
    Clustering: partial(_clustering, by_span=True),
    Classification: partial(_classification, by_span=True),
}
"""The same, in fewer dimensions where there are fewer texts; not to the last bit."""


def _v_measures(
    labels: Int[np.ndarray, " draw"],
    clusters: Int[np.ndarray, " draw"],
    texts: Int[np.ndarray, " draw"],
    counts: Float[np.ndarray, "text resample"],
    n_labels: int,
) -> Float[np.ndarray, " resample"]:
    """Return the V-measure of one experiment's draws, each counting as often as its text is in the resample."""
    n_clusters = int(clusters.max()) + 1
    cells = csr_array(
        (np.ones(len(texts)), (labels * n_clusters + clusters, texts)), shape=(n_labels * n_clusters, len(counts))
    )
    return metrics.v_measure((cells @ counts).T.reshape(-1, n_labels, n_clusters))
