"""Pairs that are the same told from pairs that are not, as mteb's pair classification does it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from valens.metrics.cosines import l2_normalize_float32, paired_cosine

SIMILARITIES = ("cosine", "similarity", "dot", "euclidean", "manhattan")
"""`similarity` is the cosine again, as it comes out of float32 in another order of operations."""


def pair_similarities(
    vectors: Float[np.ndarray, "text d"], first: Int[np.ndarray, " pair"], second: Int[np.ndarray, " pair"]
) -> Float[np.ndarray, "five pair"]:
    """Return how alike the texts of each pair are in each of `SIMILARITIES`; distances are negated: more is more."""
    from sklearn.metrics.pairwise import paired_euclidean_distances, paired_manhattan_distances

    one, other = vectors[first], vectors[second]
    similarity = (l2_normalize_float32(one) * l2_normalize_float32(other)).sum(dim=-1).numpy()
    dot = np.array([x @ y for x, y in zip(one, other, strict=True)])
    distances = [-paired_euclidean_distances(one, other), -paired_manhattan_distances(one, other)]
    return np.stack([paired_cosine(vectors, first, second), similarity, dot, *distances]).astype(np.float64)


def weighted_average_precision(
    similarity: Float[np.ndarray, "layer pair"],
    same: Bool[np.ndarray, " pair"],
    weights: Int[np.ndarray, "resample pair"],
) -> Float[np.ndarray, "layer resample"]:
    """Return the average precision of calling the most similar pairs the same, each counting `weight` times.

    Equally similar pairs are called the same together. nan where no pair that is the same has weight.
    """
    result = np.empty((len(similarity), len(weights)))
    for layer, values in enumerate(similarity):
        order = np.argsort(-values, kind="stable")
        last = np.flatnonzero(np.diff(values[order], append=np.nan) != 0)
        called = np.cumsum(weights[:, order], axis=1)[:, last]
        right = np.cumsum((weights * same)[:, order], axis=1)[:, last]
        precision = right / np.maximum(called, 1)
        with np.errstate(invalid="ignore"):
            result[layer] = (np.diff(right, axis=1, prepend=0) * precision).sum(axis=1) / right[:, -1]
    return result
