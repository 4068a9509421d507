"""The layer is chosen on the units that are not scored: no flattery, and the right layer where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from valens.errors import ResultError
from valens.statistics import split_units
from valens.statistics.cross_fit import score_held_out


def test_each_half_is_scored_at_the_layer_that_is_best_on_the_other():
    scores = np.zeros((3, 7))
    first, second = split_units(7, seed=4)
    scores[1, first], scores[2, second] = 1.0, 0.5
    scores[0] = np.arange(7) / 100
    found, chosen = score_held_out(scores, seed=4)
    assert chosen == (2, 1)
    assert found[first].tolist() == scores[2, first].tolist()
    assert found[second].tolist() == scores[1, second].tolist()


def test_noise_is_not_flattered_and_a_maximum_is():
    """Thirty equally good layers, 400 draws: the honest mean is 0 within 4 standard errors, the maximum is not."""
    chance = np.random.default_rng(0)
    draws = chance.standard_normal((400, 30, 40))
    honest = np.array([score_held_out(draw, seed=seed)[0].mean() for seed, draw in enumerate(draws)])
    assert abs(honest.mean()) < 4 * honest.std() / 20
    highest = draws.mean(axis=2).max(axis=1)
    assert highest.mean() > 4 * honest.std() / 20


def test_the_best_layer_is_found_where_there_is_one():
    scores = np.random.default_rng(1).standard_normal((5, 100))
    scores[3] += 3
    found, chosen = score_held_out(scores, seed=0)
    assert chosen == (3, 3)
    assert found.tolist() == scores[3].tolist()


def test_one_unit_has_no_halves():
    with pytest.raises(ResultError, match="Splits need 2 documents or more; got 1"):
        score_held_out(np.ones((3, 1)), seed=0)
