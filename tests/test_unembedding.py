"""Ranks over the vocabulary: scipy's, in any chunks, where ties count for the true token."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from tiny import one_thread  # noqa: F401

from probes.logit_lens.names import reciprocal
from valens.errors import CaptureError
from valens.model import loading, unembedding
from valens.model.unembedding import Unembedding


def whole_numbers(*shape: int, seed: int) -> torch.Tensor:
    """Small whole numbers, of which products are exact, so that ties are ties; there are many."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float()


def ranks_of_scipy(logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """`min`: equal logits share the best rank, so a rank is 1 + the number of strictly greater ones."""
    everywhere = rankdata(-logits.numpy(), method="min", axis=1)
    return np.take_along_axis(everywhere, targets.numpy(), axis=1)


@given(
    vectors=st.integers(1, 9),
    tokens=st.integers(1, 40),
    chunk=st.integers(1, 17),
    rows=st.integers(1, 5),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_ranks_are_scipys_whatever_the_chunks(vectors, tokens, chunk, rows, biased, seed):
    weight, bias = whole_numbers(tokens, 3, seed=seed), whole_numbers(tokens, seed=seed + 1) if biased else None
    given_vectors = whole_numbers(vectors, 3, seed=seed + 2)
    targets = torch.randint(0, tokens, (vectors, 2), generator=torch.Generator().manual_seed(seed))
    logits = given_vectors @ weight.T + (0 if bias is None else bias)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unembedding, "_CHUNK", chunk)
        found = Unembedding(weight, bias).ranks(given_vectors, targets, block_bytes=4 * tokens * rows)
    assert found.tolist() == ranks_of_scipy(logits, targets).tolist()


def test_only_strictly_greater_logits_count():
    """Logits 2, 5, 2, 1, 2: one token is above those with 2, whichever of them is the true one."""
    weight = torch.tensor([[2.0], [5.0], [2.0], [1.0], [2.0]])
    found = Unembedding(weight).ranks(torch.ones(1, 1), torch.tensor([[0, 1, 2, 3, 4]]))
    assert found.tolist() == [[2, 1, 2, 5, 2]]
    assert Unembedding(weight).ranks(torch.zeros(1, 1), torch.tensor([[0, 3]])).tolist() == [[1, 1]]


def test_no_rounding_puts_a_token_above_itself():
    """The ranks of all tokens are 1, 2, 3, …: a true logit that was summed in another order would be off its own place."""
    weight = torch.randn(64, 301, generator=torch.Generator().manual_seed(0))
    vectors = torch.randn(8, 301, generator=torch.Generator().manual_seed(1))
    found = Unembedding(weight).ranks(vectors, torch.arange(64).expand(8, -1))
    assert (found.sort(dim=1).values == torch.arange(1, 65)).all()


def test_weights_of_two_bytes_are_multiplied_in_float32():
    weight = torch.randn(500, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    vectors = torch.randn(20, 64, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(20)[:, None] * 25
    expected = ranks_of_scipy(vectors @ weight.float().T, targets)
    assert Unembedding(weight).ranks(vectors, targets).tolist() == expected.tolist()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_not_finite_has_no_rank(broken):
    vectors = torch.tensor([[1.0, 2.0], [broken, 1.0]])
    with pytest.raises(CaptureError, match="NaN or infinity"):
        Unembedding(torch.ones(4, 2)).ranks(vectors, torch.tensor([[0], [1]]))


def test_a_cap_on_the_logits_changes_no_rank():
    """Gemma 2 caps its logits; a bare model's capped ones have the ranks that the uncapped ones are counted to have."""
    network = tiny.network("gemma2", final_logit_softcapping=20.0)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        states, capped = network.base_model(input_ids=ids).last_hidden_state[0], network(input_ids=ids).logits[0]
    assert capped.abs().max() <= 20
    targets = torch.arange(37)[:, None]
    model = loading.wrap(network, tiny.tokenizer(), name="gemma2")
    assert Unembedding.of(model).ranks(states, targets).tolist() == ranks_of_scipy(capped, targets).tolist()


def test_reciprocal_ranks_end_at_the_cutoff():
    assert reciprocal(np.array([[1, 2], [100, 101]])).tolist() == [[1.0, 0.5], [0.01, 0.0]]
    assert reciprocal(np.array([3, 4]), cutoff=3).tolist() == [1 / 3, 0.0]
