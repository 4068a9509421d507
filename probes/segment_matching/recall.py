"""How high does each document's own other segment rank? Ranks in both directions, for all layers in batched products."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from valens.errors import ResultError

SIMILARITIES = ("cosine", "dot", "centered-cosine")

DIRECTIONS = ("prefix to suffix", "suffix to prefix")
"""The direction axis of ranks: each prefix looks for its suffix, each suffix for its prefix."""

_BLOCK_BYTES = 256 * 2**20
_TIE = 1e-13
"""Similarities that differ by less, relative to the longest vectors, are equal: twice what a float64 product rounds."""


def match_ranks(
    prefixes: Float[np.ndarray, "layer document d"],
    suffixes: Float[np.ndarray, "layer document d"],
    similarity: str = "cosine",
) -> Int[np.ndarray, "layer direction document"]:
    """Return the rank, from 1, of each document's own other segment among all segments, at every layer.

    Ties count against: the rank is 1 + the number of strictly more similar ones + the number of equal others. So where all
    vectors are equal, every rank is the number of documents. Computed in float64, in blocks of bounded memory:
    hidden states are so anisotropic that float32 ties what differs.
    """
    first, second = _prepared(prefixes, suffixes, similarity)
    own = np.einsum("ljd,ljd->lj", first, second)
    longest = np.sqrt([np.square(side).sum(axis=-1).max(axis=-1) for side in (first, second)]).prod(axis=0)
    targets = np.swapaxes(second, 1, 2)
    return _counted(own, lambda rows: first[:, rows] @ targets, _TIE * np.maximum(longest, np.finfo(float).tiny))


def lexical_ranks(prefixes: csr_array, suffixes: csr_array) -> Int[np.ndarray, "one direction document"]:
    """Return the same for sparse vectors of length 1 [document, word], as the words-only baseline has them."""
    first, second = prefixes.astype(np.float64), suffixes.astype(np.float64)
    own = np.asarray(first.multiply(second).sum(axis=1)).reshape(1, -1)
    targets = second.T.tocsr()
    return _counted(own, lambda rows: (first[rows] @ targets).toarray()[None], np.full(1, _TIE))


def _prepared(
    prefixes: Float[np.ndarray, "layer document d"], suffixes: Float[np.ndarray, "layer document d"], similarity: str
) -> tuple[Float[np.ndarray, "layer document d"], Float[np.ndarray, "layer document d"]]:
    """Vectors in float64 whose dot product is the similarity."""
    from valens.metrics import l2_normalize

    if similarity not in SIMILARITIES:
        raise ResultError(f"A similarity is {', '.join(SIMILARITIES)}; {similarity!r} was asked for.")
    if similarity == "cosine":
        return l2_normalize(prefixes), l2_normalize(suffixes)
    first, second = prefixes.astype(np.float64), suffixes.astype(np.float64)
    if similarity == "dot":
        return first, second
    centre = (first.mean(axis=1, keepdims=True) + second.mean(axis=1, keepdims=True)) / 2
    return l2_normalize(_centred(first, centre)), l2_normalize(_centred(second, centre))


def _centred(
    vectors: Float[np.ndarray, "layer document d"], centre: Float[np.ndarray, "layer one d"]
) -> Float[np.ndarray, "layer document d"]:
    """Return what is left of the vectors; nothing of those that are the centre but for rounding."""
    rest = vectors - centre
    size = np.linalg.norm(vectors, axis=-1, keepdims=True)
    rest[np.linalg.norm(rest, axis=-1) <= _TIE * size[..., 0]] = 0
    return rest


def _counted(
    own: Float[np.ndarray, "layer document"],
    block: Callable[[slice], Float[np.ndarray, "layer row document"]],
    tie: Float[np.ndarray, " layer"],
) -> Int[np.ndarray, "layer direction document"]:
    """Return how many are as similar as the own half or more, itself counted: along each row and down each column."""
    enough = own - tie[:, None]
    ranks = np.zeros((len(own), len(DIRECTIONS), own.shape[1]), dtype=np.int64)
    for rows in _blocks(*own.shape):
        similarity = block(rows)
        ranks[:, 0, rows] = (similarity >= enough[:, rows, None]).sum(axis=2)
        ranks[:, 1] += (similarity >= enough[:, None, :]).sum(axis=1)
    return ranks


def _blocks(n_layers: int, n_documents: int) -> Iterator[slice]:
    size = max(1, _BLOCK_BYTES // (8 * n_layers * n_documents))
    return (slice(start, min(start + size, n_documents)) for start in range(0, n_documents, size))
