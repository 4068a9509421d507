"""Post-processing of embeddings, against scikit-learn, numpy and the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from valens.errors import PostprocessingError
from valens.representations.postprocessing import Postprocessing

rng = np.random.default_rng(0)
MIXED = rng.normal(size=(6, 6)) * np.array([9, 4, 2, 1, 0.5, 0.1])
FIT = (rng.normal(size=(400, 6)) @ MIXED + 3).astype(np.float32)
OTHER = (rng.normal(size=(20, 6)) @ MIXED + 3).astype(np.float32)


def after(name, vectors=OTHER, fit=FIT):
    return Postprocessing.parse(name).fit(fit)(vectors)


def test_centred_and_standardised_are_scikit_learns():
    for name, judge in (("centred", StandardScaler(with_std=False)), ("standardised", StandardScaler())):
        wanted = judge.fit(FIT.astype(float)).transform(OTHER.astype(float))
        np.testing.assert_allclose(after(name), wanted, rtol=1e-4, atol=1e-4)


def test_a_dimension_that_never_changes_is_only_centred():
    fit, other = FIT.copy(), OTHER.copy()
    fit[:, 2], other[:, 2] = 7, 9
    assert after("standardised", other, fit)[:, 2].tolist() == [2] * len(other)


@pytest.mark.parametrize("number", [1, 3])
def test_abtt_takes_the_mean_and_the_first_directions_off(number):
    """Algorithm 1 of Mu & Viswanath, a text at a time."""
    mean = FIT.mean(axis=0, dtype=float)
    _, _, directions = np.linalg.svd(FIT - mean, full_matrices=False)
    wanted = [
        vector - mean - sum(((vector - mean) @ direction) * direction for direction in directions[:number])
        for vector in OTHER.astype(float)
    ]
    found = after(f"abtt-{number}")
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert np.abs(found @ directions[:number].T).max() < 1e-4


def test_pca_keeps_the_distances_of_the_first_components():
    wanted = PCA(3).fit(FIT.astype(float)).transform(OTHER.astype(float))
    gram = after("pca-3") @ after("pca-3").T
    np.testing.assert_allclose(gram, wanted @ wanted.T, rtol=1e-3, atol=1e-3)


def test_components_of_fewer_texts_than_dimensions_are_scikit_learns_with_their_signs():
    fit, other = (rng.normal(size=(n, 40)) @ np.diag(np.logspace(0, -2, 40)) + 3 for n in (15, 4))
    wanted = PCA(5, svd_solver="full").fit(fit).transform(other)
    np.testing.assert_allclose(after("pca-5", other, fit), wanted, atol=1e-6)


def test_texts_that_repeat_have_directions_all_the_same():
    """Two different texts have one direction; the others are any, at right angles to it and to each other."""
    fit = np.repeat(rng.normal(size=(2, 40)), 4, axis=0)
    top = Postprocessing("pca", 3).fit(fit).matrix
    np.testing.assert_allclose(top.T @ top, np.eye(3), atol=1e-9)
    assert abs(top[:, 0] @ (fit[0] - fit[-1])) == pytest.approx(np.linalg.norm(fit[0] - fit[-1]))


def test_whitened_has_no_covariance_left():
    many = (rng.normal(size=(50_000, 6)) @ MIXED).astype(np.float32)
    white = after("whitened-4", many, many)
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=0.02)


def test_whitening_shrinks_where_texts_are_few():
    """Without shrinkage the least direction of as many texts as dimensions and one would be blown up without bound."""
    fit = rng.normal(size=(8, 6)).astype(np.float32)
    assert np.abs(Postprocessing("whitened", 6).fit(fit).matrix).max() < 3


def test_random_is_gaussian_fitted_on_nothing_and_another_each_draw():
    maps = [Postprocessing("random", 200, draw).fit(np.zeros((1, 300))) for draw in (0, 0, 1)]
    assert [fitted.n_texts for fitted in maps] == [0, 0, 0]
    np.testing.assert_array_equal(maps[0].matrix, maps[1].matrix)
    assert np.abs(maps[0].matrix - maps[2].matrix).max() > 0.1
    assert maps[0].matrix.shape == (300, 200)
    assert maps[0].matrix.std() == pytest.approx(1 / np.sqrt(200), rel=0.02)


@pytest.mark.parametrize("name", ["centred", "standardised", "abtt-3", "whitened-64", "pca-2", "random-7"])
def test_a_notation_is_read_back(name):
    assert str(Postprocessing.parse(name)) == name


@pytest.mark.parametrize(
    "name", ["abtt", "abtt-0", "abtt-x", "abtt-03", "abtt-²", f"abtt-{9:05000}", "centred-3", "zca", "whitened--1", ""]
)
def test_what_does_not_exist_is_told_what_does(name):
    with pytest.raises(
        PostprocessingError, match=f"no post-processing '{name[:60]}'. They are centred, standardised, abtt-D"
    ):
        Postprocessing.parse(name)


@pytest.mark.parametrize(
    ("name", "n", "says"),
    [
        ("centred", 1, "is fitted on 2 texts or more; there are 1"),
        ("abtt-3", 3, "is fitted on 4 texts or more; there are 3"),
        ("whitened-2", 6, "with 6 numbers is fitted on 7 texts or more; there are 6"),
        ("pca-7", 50, "needs embeddings of more numbers than 6"),
    ],
)
def test_too_few_texts_or_numbers_are_refused(name, n, says):
    with pytest.raises(PostprocessingError, match=says):
        Postprocessing.parse(name).fit(FIT[:n])


def test_texts_that_are_all_alike_cannot_be_whitened():
    level = np.ones((30, 4), dtype=np.float32)
    with pytest.raises(PostprocessingError, match="whitened-2 needs embeddings that differ in 2 directions"):
        Postprocessing.parse("whitened-2").fit(level)


def test_embeddings_of_another_width_are_refused():
    with pytest.raises(PostprocessingError, match="fitted on embeddings of 6 numbers; these have 4"):
        after("centred", OTHER[:, :4])
