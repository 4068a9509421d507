"""Angles between vectors, as exact numbers and as mteb computes them.

mteb works in the precision that an encoder gives, as a rule float32, where cosines of different pairs of an anisotropic
layer can tie or change places. To give mteb's scores and not nearly them, `paired_cosine` and `search_cosine` repeat its
arithmetic to the last bit.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

_PAIRS = 256
"""Pairs that are compared at once: few enough for the processor's cache."""


def l2_normalize(vectors: Float[np.ndarray, "*batch d"]) -> Float[np.ndarray, "*batch d"]:
    """Return the vectors at length one, in float64; a vector of zeros stays zero."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=-1, keepdims=True)
    return exact / np.where(length == 0, 1.0, length)


def paired_cosine(
    vectors: Float[np.ndarray, "text d"], first: Int[np.ndarray, " pair"], second: Int[np.ndarray, " pair"]
) -> Float[np.ndarray, " pair"]:
    """Return each pair's cosine as scikit-learn's `paired_cosine_distances` gives it, in the vectors' precision.

    It is 1 - |x - y|² / 2 of the unit vectors: exactly 1 for equal vectors, and 1/2 where one of the two is zero.
    """
    result = np.empty(len(first), dtype=vectors.dtype)
    for start in range(0, len(first), _PAIRS):
        pairs = slice(start, start + _PAIRS)
        apart = _l2_normalize_in_place(vectors[first[pairs]])
        apart -= _l2_normalize_in_place(vectors[second[pairs]])
        result[pairs] = 1 - 0.5 * np.einsum("pd,pd->p", apart, apart)
    return result


def search_cosine(
    queries: Float[np.ndarray, "query d"], documents: Float[np.ndarray, "document d"]
) -> Float[np.ndarray, "query document"]:
    """Return the cosine of every query with every document in float32, as mteb's `cos_sim` gives it on a CPU."""
    return (l2_normalize_float32(queries) @ l2_normalize_float32(documents).transpose(0, 1)).numpy()


def l2_normalize_float32(vectors: Float[np.ndarray, "text d"]) -> Float[torch.Tensor, "text d"]:
    """Return the vectors at length one in float32, as mteb's search shortens them."""
    return torch.nn.functional.normalize(torch.tensor(vectors, dtype=torch.float32), p=2, dim=1)


def _l2_normalize_in_place(vectors: Float[np.ndarray, "pair d"]) -> Float[np.ndarray, "pair d"]:
    """Set the vectors to length one, in place."""
    length = np.sqrt(np.einsum("pd,pd->p", vectors, vectors))
    length[length < 10 * np.finfo(length.dtype).eps] = 1.0
    vectors /= length[:, None]
    return vectors
