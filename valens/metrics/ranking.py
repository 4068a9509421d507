"""How well an order of documents answers a query, as trec_eval measures it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped


def top_k(similarity: Float[np.ndarray, "query item"], k: int) -> Int[np.ndarray, "query first"]:
    """Return the positions of the first k from the most to the least similar; of equals the later comes first.

    So trec_eval ranks items whose ids rise with their position. Only the first k are put in order.
    """
    k = min(k, similarity.shape[1])
    if k == similarity.shape[1]:
        return _ranking(similarity)
    values, items = (part.numpy() for part in torch.topk(torch.from_numpy(similarity), k + 1, dim=1))
    order = np.lexsort((-items[:, :k], -values[:, :k]))
    first = np.take_along_axis(items, order, axis=1)
    for query in np.flatnonzero(
        values[:, k - 1] == values[:, k]
    ):  # of those that tie for the last place, any came back
        first[query] = _ranking(similarity[query])[:k]
    return first


def discounted_gain(gains: Shaped[np.ndarray, "*batch k"]) -> Float[np.ndarray, "*batch"]:
    """Sum the gains of the first k, in their order, each over log2(rank + 1), as in trec_eval's ndcg_cut."""
    return gains @ (1 / np.log2(np.arange(2, gains.shape[-1] + 2)))


def average_precision(
    similarity: Float[np.ndarray, "*batch query candidate"],
    relevant: Bool[np.ndarray, "query candidate"],
    missing: Int[np.ndarray, " query"] | int = 0,
) -> Float[np.ndarray, "*batch query"]:
    """Return the average precision over the whole list, trec_eval's map; 0 for a query with nothing relevant.

    A similarity of -inf with `relevant` False pads a short list without changing its value. `missing` is how many relevant
    ones are in no list: they count as never found.
    """
    hit = np.take_along_axis(np.broadcast_to(relevant, similarity.shape), _ranking(similarity), axis=-1)
    precision = np.cumsum(hit, axis=-1) / np.arange(1, hit.shape[-1] + 1)
    return (precision * hit).sum(axis=-1) / np.maximum(relevant.sum(axis=-1) + missing, 1)


def _ranking(similarity: Float[np.ndarray, "*batch item"]) -> Int[np.ndarray, "*batch item"]:
    """Sort positions from the most to the least similar; of equals the later comes first, as in trec_eval."""
    return np.argsort(similarity, axis=-1, kind="stable")[..., ::-1]
