"""The metrics of the five task types, as mteb 2.26 defines them, on arrays.

Angles and ranks are computed in float64: the residual stream is so anisotropic that float32 cosines of different pairs
tie. What is fitted (k-means, logistic regression) sees the vectors in the precision they come in, as in mteb.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import entr
from threadpoolctl import threadpool_limits

MTEB_SEED = 42
"""The seed with which mteb draws its clustering samples, its training samples and its k-means starts."""


def unit(vectors: Float[np.ndarray, "*batch d"]) -> Float[np.ndarray, "*batch d"]:
    """The vectors at length one, in float64; a vector of zeros stays zero."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=-1, keepdims=True)
    return exact / np.where(length == 0, 1.0, length)


def cosine(
    queries: Float[np.ndarray, "*batch query d"], documents: Float[np.ndarray, "*batch document d"]
) -> Float[np.ndarray, "*batch query document"]:
    """The cosine of every query with every document."""
    return unit(queries) @ np.swapaxes(unit(documents), -1, -2)


def paired_cosine(
    first: Float[np.ndarray, "*batch pair d"], second: Float[np.ndarray, "*batch pair d"]
) -> Float[np.ndarray, "*batch pair"]:
    """The cosine of each pair, as 1 - |x - y|² / 2 of the unit vectors: exactly 1 for equal vectors, and exact near 1."""
    return 1 - np.square(unit(first) - unit(second)).sum(axis=-1) / 2


def spearman(
    predicted: Float[np.ndarray, "layer pair"], gold: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " layer"]:
    """Spearman's correlation, ties at their mid-rank; nan (as in scipy and mteb) where all predictions are equal."""
    return weighted_spearman(predicted, gold, np.ones((1, len(gold))))[:, 0]


def weighted_spearman(
    predicted: Float[np.ndarray, "layer pair"],
    gold: Float[np.ndarray, " pair"],
    weights: Shaped[np.ndarray, "resample pair"],
) -> Float[np.ndarray, "layer resample"]:
    """Spearman's correlation of the data in which each pair occurs `weight` times, with the mid-ranks of THAT data.

    For integer weights it is the correlation of the literally repeated data. nan where all that has weight is tied.
    """
    mass = np.ascontiguousarray(weights.T, dtype=np.float64)
    gold_order, gold_starts = _ties(gold)
    gold_rank, gold_spread = _mid_ranks(np.add.reduceat(mass[gold_order], gold_starts, axis=0))
    weighted_gold = np.empty_like(mass)
    weighted_gold[gold_order] = np.repeat(gold_rank, np.diff(gold_starts, append=len(gold)), axis=0)
    weighted_gold *= mass
    result = np.empty((len(predicted), len(weights)))
    for layer, values in enumerate(predicted):
        order, starts = _ties(values)
        rank, spread = _mid_ranks(np.add.reduceat(mass[order], starts, axis=0))
        shared = np.einsum("gr,gr->r", rank, np.add.reduceat(weighted_gold[order], starts, axis=0))
        with np.errstate(invalid="ignore"):
            result[layer] = shared / np.sqrt(spread * gold_spread)
    return result


def ndcg(
    similarity: Float[np.ndarray, "*batch query document"], gain: Shaped[np.ndarray, "query document"], k: int = 10
) -> Float[np.ndarray, "*batch query"]:
    """Normalised discounted cumulative gain of the first k, as trec_eval's ndcg_cut: gain / log2(rank + 1).

    `gain` is the grade of each document for each query, 0 where it does not answer it; a query with no answer scores 0.
    """
    found = np.take_along_axis(np.broadcast_to(gain, similarity.shape), _ranking(similarity)[..., :k], axis=-1)
    discount = 1 / np.log2(np.arange(2, found.shape[-1] + 2))
    ideal = np.sort(gain, axis=-1)[..., ::-1][..., :k] @ discount
    return found @ discount / np.where(ideal == 0, 1.0, ideal)


def average_precision(
    similarity: Float[np.ndarray, "*batch query candidate"], relevant: Bool[np.ndarray, "query candidate"]
) -> Float[np.ndarray, "*batch query"]:
    """Average precision over the whole list, as trec_eval's map; a query with no relevant candidate scores 0.

    A similarity of -inf with `relevant` False pads a short list without changing its value.
    """
    hit = np.take_along_axis(np.broadcast_to(relevant, similarity.shape), _ranking(similarity), axis=-1)
    precision = np.cumsum(hit, axis=-1) / np.arange(1, hit.shape[-1] + 1)
    return (precision * hit).sum(axis=-1) / np.maximum(relevant.sum(axis=-1), 1)


def v_measure(table: Shaped[np.ndarray, "*batch label cluster"]) -> Float[np.ndarray, "*batch"]:
    """The V-measure of a table that counts (or weighs) the texts of each label in each cluster.

    It is 2 I / (H(label) + H(cluster)) in any case but two, in which it is what scikit-learn says: 1 if there is but one
    label and one cluster, 0 if there is but one of either. nan for a table that holds nothing.
    """
    with np.errstate(invalid="ignore"):
        share = table / table.sum(axis=(-1, -2), keepdims=True)
    label = entr(share.sum(axis=-1)).sum(axis=-1)
    cluster = entr(share.sum(axis=-2)).sum(axis=-1)
    both = label + cluster
    information = np.maximum(both - entr(share).sum(axis=(-1, -2)), 0.0)
    return np.where(both == 0, 1.0, 2 * information / np.where(both == 0, 1.0, both))


def cluster_draws(
    n_texts: int, sample: int, experiments: int, seed: int = MTEB_SEED
) -> Int[np.ndarray, "experiment draw"]:
    """The texts that each clustering experiment looks at, drawn with replacement."""
    rng = random.Random(seed)
    return np.array([rng.choices(range(n_texts), k=sample) for _ in range(experiments)])


def clustered(
    vectors: Float[np.ndarray, "layer text d"],
    draws: Int[np.ndarray, "experiment draw"],
    *,
    n_clusters: int,
    batch_size: int = 512,
    seed: int = MTEB_SEED,
) -> Int[np.ndarray, "layer experiment draw"]:
    """The cluster of each drawn text by mini-batch k-means, one fit an experiment, at every layer."""
    from sklearn.cluster import MiniBatchKMeans

    kmeans = MiniBatchKMeans(n_clusters, init="k-means++", n_init=1, batch_size=batch_size, random_state=seed)
    with threadpool_limits(1):  # a fit is so small that handing it to threads takes three times as long
        return np.array([[kmeans.fit_predict(layer[draw]) for draw in draws] for layer in vectors])


def training_draws(
    labels: Sequence[str], samples_per_label: int, experiments: int, seed: int = MTEB_SEED
) -> list[list[int]]:
    """The training texts of each classification experiment, at most `samples_per_label` of a label.

    mteb shuffles anew with the same seed but goes on from the order it left, so that the experiments differ.
    """
    order = list(range(len(labels)))
    draws = []
    for _ in range(experiments):
        np.random.RandomState(seed).shuffle(order)
        draws.append(_first_of_each(order, labels, samples_per_label))
    return draws


def classified(
    train: Float[np.ndarray, "layer train d"],
    labels: Shaped[np.ndarray, " train"],
    test: Float[np.ndarray, "layer test d"],
    draws: Sequence[Sequence[int]],
    *,
    seed: int = MTEB_SEED,
) -> Shaped[np.ndarray, "layer experiment test"]:
    """The label that logistic regression, fitted to each draw of the training texts, gives each test text.

    mteb stops the fit after 100 iterations, before it has converged on most residual streams, and so is the number that
    is compared with the world's: its ConvergenceWarning is expected here and is the one warning that is not passed on.
    The same fit in rotated coordinates (three times as fast) labels up to 5 % of the texts differently for that reason.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(max_iter=100, random_state=seed).fit
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lbfgs failed to converge", category=ConvergenceWarning)
        return np.array(
            [[fit(x[draw], labels[draw]).predict(y) for draw in draws] for x, y in zip(train, test, strict=True)]
        )


def _ties(values: Float[np.ndarray, " pair"]) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " group"]]:
    """The order that sorts the values, and where in it each group of equal values starts."""
    order = np.argsort(values, kind="stable")
    return order, np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)


def _mid_ranks(
    mass: Float[np.ndarray, "group resample"],
) -> tuple[Float[np.ndarray, "group resample"], Float[np.ndarray, " resample"]]:
    """The mid-rank of each group of tied values less the mean rank, and the sum of squares of those ranks."""
    rank = np.cumsum(mass, axis=0)
    rank -= (mass + rank[-1]) / 2
    return rank, np.einsum("gr,gr,gr->r", mass, rank, rank)


def _ranking(similarity: Float[np.ndarray, "*batch item"]) -> Int[np.ndarray, "*batch item"]:
    """Positions from the most to the least similar; of equals the later comes first, as trec_eval ranks rising ids."""
    return np.argsort(similarity, axis=-1, kind="stable")[..., ::-1]


def _first_of_each(order: Sequence[int], labels: Sequence[str], limit: int) -> list[int]:
    """The positions in this order, of each label the first `limit`."""
    seen: Counter[str] = Counter()
    kept = []
    for position in order:
        seen[labels[position]] += 1
        if seen[labels[position]] <= limit:
            kept.append(position)
    return kept
