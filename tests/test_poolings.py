"""Poolings: rows of weights that sum to one, over the pooled tokens and no others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from valens.errors import RepresentationError
from valens.representations.poolings import Pooling, pooling_weights

EXACT = {"rtol": 1e-6, "atol": 1e-7}  # a few float32 roundings

texts = st.lists(st.lists(st.booleans(), min_size=7, max_size=7).filter(any), min_size=1, max_size=4)


def weights(pooling, *pooling_mask):
    return pooling_weights(Pooling(pooling), torch.tensor(pooling_mask, dtype=torch.bool))


@given(st.sampled_from(Pooling), texts)
def test_weights_sum_to_one_and_only_what_is_pooled_has_any(pooling, pooling_mask):
    found = weights(pooling, *pooling_mask)
    assert found.dtype == torch.float32
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(pooling_mask)), **EXACT)
    assert not found[~torch.tensor(pooling_mask)].any()


@given(st.sampled_from(Pooling), texts, st.integers(0, 3), st.integers(0, 3))
def test_padding_on_either_side_changes_nothing(pooling, pooling_mask, left, right):
    padded = [[False] * left + row + [False] * right for row in pooling_mask]
    inside = weights(pooling, *padded)[:, left : left + 7]
    assert torch.equal(inside, weights(pooling, *pooling_mask))


def test_by_hand():
    pooling_mask = [False, True, True, False, True, False]
    torch.testing.assert_close(weights("mean", pooling_mask), torch.tensor([[0, 1, 1, 0, 1, 0]]) / 3, **EXACT)
    torch.testing.assert_close(weights("weighted", pooling_mask), torch.tensor([[0, 1, 2, 0, 3, 0]]) / 6, **EXACT)
    assert weights("last", pooling_mask).tolist() == [[0, 0, 0, 0, 1, 0]]


@given(st.sampled_from(Pooling))
def test_one_token_is_its_own_pooling(pooling):
    assert weights(pooling, [False, True, False]).tolist() == [[0, 1, 0]]


def test_an_unknown_pooling_is_told_those_there_are():
    with pytest.raises(RepresentationError, match=r"no pooling 'max'. The poolings are mean, last, weighted"):
        Pooling.named("max")
