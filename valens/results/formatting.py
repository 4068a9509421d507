"""How results put what was found: numbers, intervals, p values, layers, and who is ahead where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from valens.layers.layer_set import LayerSet

LEVEL = 0.05
"""A difference whose corrected p is below this is called ahead or behind."""

MISSING = "–"
_SMALLEST_P = 0.001
_TWO_DECIMALS_FROM = 0.0995
_DECIMALS_UP_TO = 100
"""A number as large as this has one decimal."""


def number(value: Any, *, digits: int = 3, signed: bool = False, fine: bool = True) -> str:
    """Three decimals, fewer for what is large and, if `fine`, more for what is small; whole numbers as they are."""
    if pd.isna(value):
        return MISSING
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    sign = "+" if signed else ""
    if fine and 0 < abs(value) < 0.5 * 10**-digits:
        return _minus(f"{value:{sign}.1e}")
    return _minus(f"{value:{sign}.{digits}f}" if abs(value) < _DECIMALS_UP_TO else f"{value:{sign},.1f}")


def between(low: Any, high: Any, *, digits: int = 3, signed: bool = False) -> str:
    """Return an interval in brackets; beside a larger bound, a small one is not written finer."""
    if pd.isna(low) or pd.isna(high):
        return ""
    fine = bool(max(abs(low), abs(high)) < 0.5 * 10**-digits)
    low, high = (number(float(bound), digits=digits, signed=signed, fine=fine) for bound in (low, high))
    return f"[{low}, {high}]"


def with_interval(score: float, low: float | None, high: float | None, *, digits: int = 3, signed: bool = False) -> str:
    """Return `0.788 [0.742, 0.834]`, or `+0.046 [+0.010, +0.082]`; an interval that is missing is left out."""
    return f"{number(score, digits=digits, signed=signed)} {between(low, high, digits=digits, signed=signed)}".strip()


def p_value(p: float) -> str:
    """Return two decimals, or three below .1, or that it is below them: no digit that 10,000 flips do not carry."""
    if p < _SMALLEST_P:
        return f"<{_SMALLEST_P}"
    return f"{p:.3f}" if p < _TWO_DECIMALS_FROM else f"{p:.2f}"


def probability(p: float) -> str:
    """Return a p value for a sentence: `p = 0.031`, `p = 0.31`, `p < 0.001`."""
    return f"p < {_SMALLEST_P}" if p < _SMALLEST_P else f"p = {p_value(p)}"


def disagreement(low: float, high: float, p: float, *, tests: int = 1) -> str:
    """Say that an interval and a test decide otherwise; nothing where they agree, or where there is no p.

    The interval stands by itself; `p` is the test's, corrected by Holm's rule if there are several `tests`. Without this
    beside it, an interval that excludes 0 contradicts the words that nothing was told apart.
    """
    excludes, rejects = low > 0 or high < 0, p < LEVEL
    if excludes and not rejects and not np.isnan(p):
        if tests == 1:
            return "the interval excludes 0, and the test does not reject"
        return f"the interval alone excludes 0, which after Holm’s correction over {tests} comparisons does not hold"
    return "the test rejects, and the interval holds 0" if rejects and low <= 0 <= high else ""


def at_layers(layers: str) -> str:
    """Return a layer set, in its notation, with what it is and the dashes of running text: `layer 30`, `layers 2, 26–30`."""
    return f"{'layer' if layers.isdecimal() else 'layers'} {layers.replace('-', '–').replace(', ', ',').replace(',', ', ')}"


def layers_named(layers: Iterable[int]) -> str:
    """Return `layer 30`, `layers 12–14, 22`, `no layer`."""
    numbers = [int(layer) for layer in layers]
    return at_layers(str(LayerSet.of(numbers))) if numbers else "no layer"


def ahead_and_behind(compared: pd.DataFrame, *, at: str = "layer") -> tuple[list[int], list[int]]:
    """Return the layers at which the first is surely ahead of the second, and those at which it is behind.

    `compared` is what a result's `compare` gives, with its layers in the column `at`.
    """
    sure = compared[compared.p_holm < LEVEL]
    ahead, behind = (sure[at][sign * sure.difference > 0].astype(int).tolist() for sign in (1, -1))
    return ahead, behind


def _minus(text: str) -> str:
    """With the sign that is as wide as a plus, in an exponent too."""
    return text.replace("-", "−")
