"""The rungs of the ladder by name; what they read stands in `probes.ladder.rungs`, which loads a model's libraries."""

from __future__ import annotations

from collections.abc import Iterable

HS, UNIT, NORMED, VA = STEPS = ("HS", "HS unit", "normed", "VA")
"""The four rungs, R0 to R3."""

RANDOM = "normed random"
PCA = "normed PCA"

BEST_HIDDEN, BEST_VALUES = "best of HS", "best of VA"
"""The best of several rungs, chosen on the other split."""


def of_hidden(names: Iterable[str]) -> list[str]:
    """Return the rungs that are hidden states, fixed or not: all below the value matrix, the controls apart."""
    return [name for name in names if name in {HS, NORMED} or name.startswith(f"{HS} ")]


def of_values(names: Iterable[str]) -> list[str]:
    """Return the rungs that are values, fixed or not."""
    return [name for name in names if name == VA or name.startswith(f"{VA} ")]
