"""Poolings: rows of weights over the pooled tokens and no others."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from valens.errors import RepresentationError
from valens.representations.poolings import CustomPooling, Pooling, pooling_weights, pooling_weights_of_vectors

EXACT = {"rtol": 1e-6, "atol": 1e-7}  # a few float32 roundings

BY_PLACE = [pooling for pooling in Pooling if not pooling.sees_vectors]

texts = st.lists(st.lists(st.booleans(), min_size=7, max_size=7).filter(any), min_size=1, max_size=4)


def weights(pooling, *pooling_mask):
    return pooling_weights(Pooling(pooling), torch.tensor(pooling_mask, dtype=torch.bool))


@given(st.sampled_from(BY_PLACE), texts)
def test_weights_sum_to_one_and_only_what_is_pooled_has_any(pooling, pooling_mask):
    found = weights(pooling, *pooling_mask)
    assert found.dtype == torch.float32
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(pooling_mask)), **EXACT)
    assert not found[~torch.tensor(pooling_mask)].any()


@given(st.sampled_from(BY_PLACE), texts, st.integers(0, 3), st.integers(0, 3))
def test_padding_on_either_side_changes_nothing(pooling, pooling_mask, left, right):
    padded = [[False] * left + row + [False] * right for row in pooling_mask]
    inside = weights(pooling, *padded)[:, left : left + 7]
    assert torch.equal(inside, weights(pooling, *pooling_mask))


def test_by_hand():
    pooling_mask = [False, True, True, False, True, False]
    torch.testing.assert_close(weights("mean", pooling_mask), torch.tensor([[0, 1, 1, 0, 1, 0]]) / 3, **EXACT)
    torch.testing.assert_close(weights("weighted", pooling_mask), torch.tensor([[0, 1, 2, 0, 3, 0]]) / 6, **EXACT)
    assert weights("last", pooling_mask).tolist() == [[0, 0, 0, 0, 1, 0]]
    assert weights("but-first", pooling_mask).tolist() == [[0, 0, 0.5, 0, 0.5, 0]]
    torch.testing.assert_close(weights("last+mean", pooling_mask), torch.tensor([[0, 1, 1, 0, 4, 0]]) / 6, **EXACT)
    assert weights("but-first:4", [True] * 6).tolist() == [[0, 0, 0, 0, 0.5, 0.5]]


def test_a_text_with_no_token_beyond_the_first_keeps_all():
    torch.testing.assert_close(
        weights("but-first:4", [False, True, True, True, True]), torch.tensor([[0, 1, 1, 1, 1]]) / 4
    )


# --- poolings that see the vectors ------------------------------------------------------------------------------------


def of_vectors(pooling, vectors, *pooling_mask):
    """The pooled vectors [row, d] of one text."""
    mask, tokens = torch.tensor([pooling_mask or [[True] * len(vectors)]]).flatten(0, 1)[None], vectors.float()[None]
    return (pooling_weights_of_vectors(Pooling(pooling), mask, tokens) @ tokens)[0]


def random_tokens(seed, n=9, d=5):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_unit_is_the_mean_of_directions_and_zeros_stay_zeros():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    torch.testing.assert_close(of_vectors("unit", vectors), torch.tensor([[0.2, -1 / 15]]))


def test_unsunk_leaves_out_what_is_more_than_five_times_the_median_token():
    vectors = torch.tensor([[100.0, 0.0], [1.0, 1.0], [5.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(of_vectors("unsunk", vectors), torch.tensor([[2.0, 0.25]]))


@pytest.mark.parametrize("seed", range(5))
def test_the_median_is_the_point_nearest_to_all_tokens(seed):
    tokens = random_tokens(seed)
    tokens[0] *= 100

    def total(point):
        return float(np.linalg.norm(tokens.double().numpy() - point, axis=1).sum())

    ours = of_vectors("median", tokens)[0].double().numpy()
    best = optimize.minimize(total, tokens.median(dim=0).values.double().numpy(), method="BFGS")
    assert total(ours) < best.fun * (1 + 1e-4)
    assert total(tokens.mean(0).double().numpy()) > 1.5 * best.fun  # the mean is far away


def test_the_median_of_tokens_that_are_all_equal_is_that_token():
    torch.testing.assert_close(of_vectors("median", torch.ones(4, 3)), torch.ones(1, 3))


@pytest.mark.parametrize("pooling", [pooling for pooling in Pooling if pooling.sees_vectors])
def test_each_row_of_a_text_is_pooled_as_if_it_stood_alone(pooling):
    tokens = random_tokens(3)
    tokens[0] *= 50
    rows = [[True] * 4 + [False] * 5, [False] * 3 + [True] * 6]
    together = of_vectors(pooling, tokens, *rows)
    alone = torch.cat([of_vectors(pooling, tokens[row]) for row in rows])
    torch.testing.assert_close(together, alone)


@given(st.sampled_from(BY_PLACE))
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
    says = r"'but-one' gives no weight at all to a text with 1 pooled token \(row 1 of the mask, from 0\).*fall back"
    with pytest.raises(RepresentationError, match=says):
        pooling_weights(CustomPooling("but-one", weigh), mask)
    with pytest.raises(RepresentationError, match="a text with 1 pooled token"):
        str(CustomPooling("but-one", weigh))  # before any text is read


def test_the_way_out_that_the_error_shows_works():
    def weigh(pooling_mask):
        keep = but_first(pooling_mask)
        keep = torch.where(keep.any(dim=1, keepdim=True), keep, pooling_mask)
        return per_text(keep)

    mask = torch.tensor([[True, True, True], [False, True, False]])
    assert pooling_weights(CustomPooling("but-one", weigh), mask).tolist() == [[0, 0.5, 0.5], [0, 1, 0]]
    assert str(CustomPooling("but-one", weigh)).startswith("but-one~")


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
