"""Poolings: rows of weights that sum to one, over the pooled tokens and no others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from valens.errors import RepresentationError
from valens.representations.poolings import CustomPooling, Pooling, pooling_weights

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


# --- user-defined poolings --------------------------------------------------------------------------------------------


def but_first(pooling_mask):
    return pooling_mask & (pooling_mask.cumsum(dim=1) > 1)


def per_text(keep):
    return keep.float() / keep.sum(dim=1, keepdim=True)


@pytest.mark.parametrize(
    "weigh",
    [
        lambda mask: per_text(but_first(mask)),
        lambda mask: but_first(mask) / (mask.sum(dim=1, keepdim=True) - 1).clamp(1),
    ],
    ids=["nan", "zero"],
)
def test_a_text_without_any_weight_is_named_with_the_way_out(weigh):
    """The mean but for the first token has nothing to take the mean of in a text with one."""
    mask = torch.tensor([[True, True, True], [False, True, False]])
    says = r"'but-first' gives no weight at all to a text with 1 pooled token \(row 1 of the mask, from 0\).*fall back"
    with pytest.raises(RepresentationError, match=says):
        pooling_weights(CustomPooling("but-first", weigh), mask)
    with pytest.raises(RepresentationError, match="a text with 1 pooled token"):
        str(CustomPooling("but-first", weigh))  # before any text is read


def test_the_way_out_that_the_error_shows_works():
    def weigh(pooling_mask):
        keep = but_first(pooling_mask)
        keep = torch.where(keep.any(dim=1, keepdim=True), keep, pooling_mask)
        return per_text(keep)

    mask = torch.tensor([[True, True, True], [False, True, False]])
    assert pooling_weights(CustomPooling("but-first", weigh), mask).tolist() == [[0, 0.5, 0.5], [0, 1, 0]]
    assert str(CustomPooling("but-first", weigh)).startswith("but-first~")


@pytest.mark.parametrize(
    ("weigh", "says"),
    [
        (lambda mask: mask.float(), r"2 pooled tokens \(row 0 of the mask, from 0\) weights that sum to 2.* divide"),
        (lambda mask: torch.ones_like(mask) / mask.shape[1], "weight to a token outside the mask. Multiply"),
        (lambda mask: per_text(mask).double(), r"float32 tensor of shape \[1, 3\].*returned \[1, 3\] in torch.float64"),
        (lambda mask: per_text(mask)[:, :2], r"returned \[1, 2\] in torch.float32"),
        (lambda mask: None, "returned NoneType"),
    ],
    ids=["not divided", "padding", "dtype", "shape", "nothing"],
)
def test_weights_that_are_of_another_kind_are_told_which(weigh, says):
    with pytest.raises(RepresentationError, match=says):
        pooling_weights(CustomPooling("wrong", weigh), torch.tensor([[True, True, False]]))
