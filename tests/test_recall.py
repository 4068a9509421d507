"""Ranks of matches: ties count against, directions, similarities, and blocks change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import rankdata
from sklearn.metrics import top_k_accuracy_score

from probes.segment_matching import recall
from probes.segment_matching.recall import SIMILARITIES, lexical_ranks, match_ranks
from valens.errors import ResultError
from valens.evaluation.tfidf import sparse_tfidf, tfidf


def sides(n: int = 30, *, layers: int = 3, d: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Halves that are alike, the more so the deeper the layer."""
    rng = np.random.default_rng(seed)
    prefixes = rng.standard_normal((layers, n, d))
    suffixes = prefixes + rng.standard_normal((layers, n, d)) * np.linspace(2, 0.3, layers)[:, None, None]
    return prefixes.astype(np.float32), suffixes.astype(np.float32)


def similarity(first: np.ndarray, second: np.ndarray, name: str) -> np.ndarray:
    """One layer's matrix, straight from the definitions."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    if name == "centered-cosine":
        centre = np.concatenate([a, b]).mean(axis=0)
        a, b = a - centre, b - centre
    if name == "dot":
        return a @ b.T
    return (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_ranks_are_scipys_with_the_worst_rank_for_ties(name: str) -> None:
    prefixes, suffixes = sides()
    ranks = match_ranks(prefixes, suffixes, name)
    for layer, found in enumerate(ranks):
        matrix = similarity(prefixes[layer], suffixes[layer], name)
        for direction, part in zip((matrix, matrix.T), found, strict=True):
            worst = rankdata(-direction, method="max", axis=1)
            np.testing.assert_array_equal(part, np.diag(worst))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_is_scikit_learns_top_k_accuracy(k: int) -> None:
    prefixes, suffixes = sides()
    expected = top_k_accuracy_score(np.arange(30), similarity(prefixes[1], suffixes[1], "cosine"), k=k)
    assert (match_ranks(prefixes, suffixes)[1, 0] <= k).mean() == pytest.approx(expected)


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 3e3])
def test_a_collapsed_representation_is_last_everywhere(name: str, scale: float) -> None:
    """The rank of the true one among equals is the last, so recall@k is 0 for every k below the number of documents."""
    vector = np.random.default_rng(0).standard_normal(64).astype(np.float32) * scale
    same = np.broadcast_to(vector, (2, 25, 64)).astype(np.float32)
    assert (match_ranks(same, same.copy(), name) == 25).all()


def test_vectors_of_zeros_match_nothing() -> None:
    nothing = np.zeros((1, 12, 4), dtype=np.float32)
    assert (match_ranks(nothing, nothing) == 12).all()


def test_a_hand_worked_tie() -> None:
    """Documents 0 and 1 have equal ends: each finds both, so its own is second; document 2 finds its own alone."""
    prefixes = np.array([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]], dtype=np.float32)
    suffixes = np.array([[[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]]], dtype=np.float32)
    np.testing.assert_array_equal(match_ranks(prefixes, suffixes)[0], [[2, 2, 1], [1, 2, 1]])


def test_differences_below_float32_are_seen() -> None:
    """Vectors that share almost all of their length, as hidden states do: cosines differ by 1e-9, and still count."""
    rng = np.random.default_rng(1)
    common = np.zeros(16)
    common[0] = 3e4
    own = rng.standard_normal((1, 20, 16))
    own[..., 0] = 0
    vectors = (common + own).astype(np.float32)
    matrix = similarity(vectors[0], vectors[0], "cosine")
    assert np.abs(matrix - 1).max() < 1e-7
    assert (match_ranks(vectors, vectors) == 1).all()


def test_swapping_sides_swaps_directions() -> None:
    prefixes, suffixes = sides()
    np.testing.assert_array_equal(match_ranks(prefixes, suffixes), match_ranks(suffixes, prefixes)[:, ::-1])


@given(block=st.integers(1, 40), seed=st.integers(0, 5))
def test_blocks_change_nothing(block: int, seed: int) -> None:
    prefixes, suffixes = sides(seed=seed)
    whole = match_ranks(prefixes, suffixes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "_BLOCK_BYTES", 8 * 3 * 30 * block)
        np.testing.assert_array_equal(match_ranks(prefixes, suffixes), whole)


def test_words_alone_rank_as_their_dense_vectors() -> None:
    texts = [
        "red green blue",
        "one two three",
        "red two",
        "four five",
        "green blue",
        "three two",
        "red four",
        "five six",
    ]
    dense, sparse = tfidf(texts), sparse_tfidf(texts)
    assert isinstance(sparse, csr_array)
    expected = match_ranks(dense[None, :4], dense[None, 4:])
    np.testing.assert_array_equal(lexical_ranks(sparse[:4], sparse[4:]), expected)


def test_an_unknown_similarity() -> None:
    with pytest.raises(ResultError, match="cosine, dot, centered-cosine; 'euclid' was asked for"):
        match_ranks(*sides(), "euclid")
