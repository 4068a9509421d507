"""The nearest documents of each query, as mteb's exhaustive search finds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from valens.metrics.cosines import search_cosine
from valens.metrics.ranking import top_k

_DOCUMENTS = 50_000
"""As many documents as mteb compares at once: the last bits of a matrix product depend on its shape."""


def nearest(
    queries: Float[np.ndarray, "query d"],
    documents: Float[np.ndarray, "document d"],
    *,
    k: int = 10,
    itself: Sequence[int | None] = (),
) -> Int[np.ndarray, "query first"]:
    """Return the indices of the k nearest documents by cosine, nearest first; of equals the later comes first.

    `itself` names, for each query, a document that is not to be found. Fewer than k documents give fewer columns, and an
    index that could not be filled is -1.
    """
    indices, values = [], []
    for start in range(0, len(documents), _DOCUMENTS):
        similarity = search_cosine(queries, documents[start : start + _DOCUMENTS])
        for query, own in enumerate(itself):
            if own is not None and 0 <= own - start < similarity.shape[1]:
                similarity[query, own - start] = -np.inf
        first = np.sort(top_k(similarity, k), axis=1)
        indices.append(first + start)
        values.append(np.take_along_axis(similarity, first, axis=1))
    candidates, similarity = np.concatenate(indices, axis=1), np.concatenate(values, axis=1)
    first = top_k(similarity, k)
    is_filled = np.isfinite(np.take_along_axis(similarity, first, axis=1))
    return np.where(is_filled, np.take_along_axis(candidates, first, axis=1), -1)
