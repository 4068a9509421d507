"""The layer is chosen on the units that are not scored: no flattery, and the right layer where there is one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from valens.errors import ResultError
from valens.statistics import bootstrap_means, resample_counts
from valens.statistics import cross_fit as module
from valens.statistics.cross_fit import compare_cross_fits, cross_fit


def by_hand(line: np.ndarray, counts: np.ndarray, half: tuple[int, ...]) -> float:
    """One split of units drawn `counts` times, `half` of them in the first: by loops, with the copies written out."""
    sides = [
        [unit for unit, drawn in enumerate(counts) for _ in range(drawn) if (unit in half) == first] for first in (1, 0)
    ]
    total = 0.0
    for choosing, scored in (sides, sides[::-1]):
        means = [np.mean(layer[choosing]) if choosing else 0.0 for layer in line]
        total += line[int(np.argmax(means))][scored].sum()
    return total / sum(counts)


def test_of_three_units_every_split_can_be_counted():
    """The first half is one unit of three, each as likely: the mean over many splits is that over the three."""
    line = np.random.default_rng(0).random((4, 3))
    (found,) = cross_fit([line], resplits=4000, resamples=20, seed=0)
    splits = [(unit,) for unit in range(3)]
    assert found.score == pytest.approx(np.mean([by_hand(line, [1, 1, 1], half) for half in splits]), abs=0.02)
    for counts, replicate in zip(resample_counts(3, 20, 0), found.replicates, strict=True):
        assert replicate == pytest.approx(np.mean([by_hand(line, counts, half) for half in splits]), abs=0.03)


def test_each_half_is_scored_at_the_layer_that_is_best_on_the_other():
    """One split of 7 units is one of 35; copies of a unit are never on both sides, in no resample either."""
    line = np.random.default_rng(1).random((3, 7))
    (found,) = cross_fit([line], resplits=1, resamples=50, seed=4)
    draws = [np.ones(7, dtype=int), *resample_counts(7, 50, 4)]
    for counts, score in zip(draws, [found.score, *found.replicates], strict=True):
        possible = [by_hand(line, counts, half) for half in itertools.combinations(range(7), 3)]
        assert np.abs(np.array(possible) - score).min() < 1e-12


def test_noise_is_not_flattered_and_a_maximum_is():
    """Thirty equally good layers, 400 draws: the honest mean is 0 within 4 standard errors, the maximum is not."""
    draws = np.random.default_rng(0).standard_normal((400, 30, 40))
    honest = np.array([cross_fit([draw], resamples=1, seed=seed)[0].score for seed, draw in enumerate(draws)])
    assert abs(honest.mean()) < 4 * honest.std() / 20
    assert draws.mean(axis=2).max(axis=1).mean() > 4 * honest.std() / 20


def test_many_splits_make_a_score_hang_less_on_the_seed():
    """By √20 if splits were independent; the same units in all of them leave it that at least."""
    line = np.random.default_rng(2).standard_normal((30, 60))
    spread = [
        np.std([cross_fit([line], resplits=resplits, resamples=1, seed=seed)[0].score for seed in range(60)])
        for resplits in (1, 20)
    ]
    assert spread[1] < spread[0] / 3


def test_the_best_layer_is_found_where_there_is_one_and_then_it_is_a_bootstrap():
    line = np.random.default_rng(1).standard_normal((5, 100))
    line[3] += 3
    (found,) = cross_fit([line], resamples=200, seed=0)
    assert found.chosen == (3,)
    assert found.score == pytest.approx(line[3].mean())
    assert found.replicates == pytest.approx(bootstrap_means(line[3], resamples=200, seed=0))


def test_a_line_hangs_neither_on_those_beside_it_nor_on_how_many_resamples_are_held_at_once(monkeypatch):
    lines = list(np.random.default_rng(3).random((3, 4, 11)))
    together = cross_fit(lines, resplits=3, resamples=40, seed=1)
    monkeypatch.setattr(module, "_CHUNK", 100)
    (alone,) = cross_fit(lines[1:2], resplits=3, resamples=40, seed=1)
    assert (alone.score, alone.chosen) == (pytest.approx(together[1].score), together[1].chosen)
    assert alone.replicates == pytest.approx(together[1].replicates)


def test_a_line_is_level_with_itself():
    lines = cross_fit(list(np.random.default_rng(4).random((2, 4, 11))), resamples=40, seed=1)
    same = compare_cross_fits(lines, lines)
    assert np.abs([same.difference, same.low, same.high]).max() == 0
    assert same.p_holm.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("lines", "resplits", "message"),
    [
        ([np.ones((3, 1))], 20, "Splits need 2 documents or more, .*; got 1"),
        ([np.ones((3, 4)), np.ones((3, 5))], 20, "the same for every line; got 4, 5"),
        ([np.ones((3, 4))], 0, "Cross-fitting needs 1 or more splits; got 0"),
    ],
)
def test_what_has_no_halves_is_refused(lines, resplits, message):
    with pytest.raises(ResultError, match=message):
        cross_fit(lines, resplits=resplits, resamples=10, seed=0)
