"""How sentences about results put what was found: layers, intervals, p values, and who is ahead where."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from valens.layers.layer_set import LayerSet

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
"""A difference whose corrected p is below this is called ahead or behind."""

_SMALLEST_P = 0.001


def at_layers(layers: str) -> str:
    """A layer set in its notation, with what it is: `layer 30`, `layers 26-30`."""
    return f"{'layer' if layers.isdecimal() else 'layers'} {layers}"


def layers_named(layers: Iterable[int]) -> str:
    """`layer 30`, `layers 12-14,22`, `no layer`."""
    found = list(layers)
    return at_layers(str(LayerSet.of(found))) if found else "no layer"


def with_interval(score: float, low: float | None, high: float | None, *, digits: int = 3, signed: bool = False) -> str:
    """`0.788 [0.742, 0.834]`, or `+0.046 [+0.010, +0.082]`; an interval that is missing is left out."""
    form = f"{'+' if signed else ''}.{digits}f"
    missing = low is None or high is None or math.isnan(low) or math.isnan(high)
    return f"{score:{form}}" if missing else f"{score:{form}} [{low:{form}}, {high:{form}}]"


def p_value(p: float) -> str:
    """Three decimals, or that it is below them."""
    return f"<{_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.3f}"


def ahead_and_behind(compared: pd.DataFrame, *, at: str = "layer") -> tuple[list[int], list[int]]:
    """The layers at which the first is surely ahead of the second, and those at which it is behind.

    `compared` is what a result's `compare` gives, with its layers in the column `at`.
    """
    sure = compared[compared.p_holm < LEVEL]
    ahead, behind = (sure[at][sign * sure.difference > 0].astype(int).tolist() for sign in (1, -1))
    return ahead, behind
