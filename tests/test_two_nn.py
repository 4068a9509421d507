"""TwoNN: dimensions that are known, what must not change an estimate, and scikit-dimension, if installed, as a judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from valens.errors import ResultError
from valens.metrics.two_nn import two_nn


def cube(dimension: int, *, n: int = 2000, within: int = 40, seed: int = 0) -> np.ndarray:
    """Points spread evenly over a cube of so many dimensions, turned into a space of more."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(within, dimension)))
    return rng.uniform(size=(n, dimension)) @ axes.T


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_cube_has_its_dimension_in_whatever_space_it_lies(dimension: int) -> None:
    """The slope's standard error is about d / sqrt(n), 2 %; edges, where neighbours are missing, cost some per cent more."""
    assert two_nn(cube(dimension)) == pytest.approx(dimension, rel=0.1)


def test_a_curved_surface_has_the_dimension_of_the_surface() -> None:
    """A two-dimensional sphere in ten dimensions; the Gaussian that it is made of would have three."""
    points = np.random.default_rng(0).normal(size=(2000, 3))
    sphere = points / np.linalg.norm(points, axis=1, keepdims=True)
    turned = sphere @ np.linalg.qr(np.random.default_rng(1).normal(size=(10, 3)))[0].T
    assert two_nn(turned) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("discard", [0.0, 0.1, 0.5])
def test_the_slope_is_the_least_squares_line_of_the_paper(discard: float) -> None:
    """Figure 1's recipe word for word, with scipy's distances and numpy's least squares."""
    points = np.random.default_rng(0).normal(size=(200, 7))
    near = np.sort(cdist(points, points), axis=1)
    ratios = np.sort(near[:, 2] / near[:, 1])
    n_kept = int(200 * (1 - discard)) - (discard == 0)  # the last point has F = 1, and no logarithm
    y = -np.log(1 - np.arange(1, n_kept + 1) / 200)
    (slope,), *_ = np.linalg.lstsq(np.log(ratios[:n_kept])[:, None], y, rcond=None)
    assert two_nn(points, discard=discard) == pytest.approx(slope, rel=1e-9)


@given(seed=st.integers(0, 9), scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_moving_turning_and_scaling_change_nothing(seed: int, scale: float, shift: float) -> None:
    points = cube(3, n=100, within=6, seed=seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    assert two_nn(scale * points @ turn + shift) == pytest.approx(two_nn(points), rel=1e-6)


def test_vectors_that_are_equal_count_once() -> None:
    points = cube(3, n=300)
    assert two_nn(np.concatenate([points, points[:80], points[:40]])) == two_nn(points)


@pytest.mark.parametrize(
    "points", [np.ones((50, 4)), np.eye(2), np.eye(9), np.zeros((0, 3))], ids=["one", "two", "equally far", "none"]
)
def test_where_there_is_no_dimension_there_is_no_number(points: np.ndarray) -> None:
    assert np.isnan(two_nn(points))


def test_no_more_than_all_can_be_left_out() -> None:
    with pytest.raises(ResultError, match=r"got 1\.0"):
        two_nn(cube(2, n=50), discard=1.0)


@pytest.mark.parametrize("dimension", [2, 8, 20])
def test_scikit_dimension_agrees(dimension: int) -> None:
    """It lets F begin at 0 where the paper has 1 / n: for 2,000 points that is less than one per cent of the slope."""
    skdim = pytest.importorskip("skdim")
    points = cube(dimension)
    assert two_nn(points) == pytest.approx(skdim.id.TwoNN(discard_fraction=0.1).fit(points).dimension_, rel=0.01)
