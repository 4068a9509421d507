"""Words about results: layers by number, intervals with their signs, and who is surely ahead where."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from valens.layers.layer_set import LayerSet
from valens.results.formatting import (
    ahead_and_behind,
    at_layers,
    disagreement,
    layers_named,
    number,
    p_value,
    probability,
    with_interval,
)
from valens.statistics.sign_flip import FLIPS


@pytest.mark.parametrize(
    ("layers", "said"), [([], "no layer"), ([30], "layer 30"), ([31, 29, 30, 26], "layers 26, 29–31"), ([0], "layer 0")]
)
def test_layers_are_named_by_their_number(layers: list[int], said: str) -> None:
    assert layers_named(layers) == said
    if layers:
        assert at_layers(str(LayerSet.of(layers))) == said


def test_an_interval_shares_digits_and_signs_with_its_number() -> None:
    assert with_interval(0.7884, 0.742, 0.8336) == "0.788 [0.742, 0.834]"
    assert with_interval(0.046, -0.004, 0.082, digits=2, signed=True) == "+0.05 [−0.00, +0.08]"
    assert with_interval(0.5, None, None) == with_interval(0.5, math.nan, math.nan) == "0.500"


def test_a_p_value_is_never_said_to_be_nothing() -> None:
    assert (p_value(0.0), p_value(0.0005), p_value(0.0321)) == ("<0.001", "<0.001", "0.032")
    assert (probability(0.0005), probability(0.0321)) == ("p < 0.001", "p = 0.032")


def test_no_digit_of_a_p_value_is_said_that_ten_thousand_flips_do_not_carry() -> None:
    """Their standard error is √(p(1−p)/10,000): .0046 at .312, where a third decimal is chance, and .0017 at .0321."""
    assert (p_value(0.312), probability(0.312), p_value(0.0996), p_value(1.0)) == ("0.31", "p = 0.31", "0.10", "1.00")
    assert (p_value(1 / (FLIPS + 1)), FLIPS) == ("<0.001", 10_000)


CORRECTED = "the interval alone excludes 0, which after Holm’s correction over 30 comparisons does not hold"


@pytest.mark.parametrize(
    ("low", "high", "p", "tests", "said"),
    [
        (0.017, 0.225, 0.01, 30, ""),
        (-0.017, 0.225, 0.31, 30, ""),
        (0.017, 0.225, 0.31, 30, CORRECTED),
        (-0.225, -0.017, 0.05, 30, CORRECTED),
        (0.017, 0.225, 0.06, 1, "the interval excludes 0, and the test does not reject"),
        (-0.001, 0.225, 0.04, 30, "the test rejects, and the interval holds 0"),
        (0.017, 0.225, math.nan, 30, ""),
    ],
)
def test_an_interval_and_a_test_that_decide_otherwise_are_named(low, high, p, tests, said) -> None:
    assert disagreement(low, high, p, tests=tests) == said


def test_numbers_keep_what_a_reader_needs_of_them() -> None:
    assert with_interval(-0.01, -0.02, -0.00025, signed=True) == "−0.010 [−0.020, −0.000]"
    assert (number(2e-5), number(1234.5), number(7), number(0.0)) == ("2.0e−05", "1,234.5", "7", "0.000")


def test_only_what_is_sure_after_correction_is_ahead_or_behind() -> None:
    rows = [(1, 0.2, 0.01), (2, -0.2, 0.04), (3, 0.3, 0.06), (4, 0.1, 0.049), (5, 0.1, math.nan)]
    compared = pd.DataFrame(rows, columns=["layer", "difference", "p_holm"])
    assert ahead_and_behind(compared) == ([1, 4], [2])
    written = compared.rename(columns={"layer": "first_layers"}).astype({"first_layers": str})
    assert ahead_and_behind(written, at="first_layers") == ([1, 4], [2])
