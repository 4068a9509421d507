"""A table as a page shows it: cells with what they are sorted by, intervals beside their numbers, constants said once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from valens.results.formatting import MISSING, between, number, p_value, with_interval

_FEW = 24
"""A column of names with no more different ones than this can be filtered by."""
_NAMES = {"p_holm": "p (Holm)", "n": "n", "between_seeds": "SD over seeds", "between_resplits": "SD over resplits"}
_PROBABILITIES = ("p", "p_holm")
_SIGNED = ("difference", "minus", "−")


@dataclass(frozen=True)
class Cell:
    """What stands in a cell."""

    text: str
    key: float | None = None
    """What it is sorted by where its column is one of numbers; None is sorted last."""
    bounds: tuple[float, float] | None = None
    """The interval of the number."""
    signed: bool = False
    layers: frozenset[int] | None = None
    """A layer set to be drawn as a strip."""
    best: bool = False
    """Whether it is the best of its column."""

    @property
    def interval(self) -> str:
        """The interval in brackets, empty where there is none; a page sets it smaller, after the number."""
        return between(*self.bounds, signed=self.signed) if self.bounds else ""

    @property
    def whole(self) -> str:
        """The number with its interval."""
        return f"{self.text} {self.interval}".strip()

    def rounded(self, digits: int) -> str:
        """Return the number and its interval with this many decimals, for a narrow line; other text as it is."""
        if self.key is None or self.bounds is None or pd.isna(self.bounds[0]):
            return self.text
        return with_interval(self.key, *self.bounds, digits=digits, signed=self.signed)


@dataclass(frozen=True)
class Column:
    """What stands above a column, and how it is sorted."""

    name: str
    numeric: bool
    filtered: bool = False


@dataclass(frozen=True)
class View:
    """A table, ready to be written."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False
    n_layers: int = 0
    """L, where cells have layer sets."""
    chosen: frozenset[int] = frozenset()
    """Which rows, from 0, are set apart as those that were chosen."""


def view(
    table: pd.DataFrame,
    title: str,
    *,
    note: str = "",
    folded: bool = False,
    filtered: bool = False,
    constants_apart: bool = True,
) -> View:
    """Show a table whole. Columns `x`, `x_low`, `x_high` (or score, low, high) become one, `x` with its interval.

    A column that is the same in every row is said once, above, unless `constants_apart` is False: then every column stays.
    `filtered` lets a reader pick rows by name.
    """
    said, shown = _constants(table) if constants_apart else ("", table)
    columns, cells = [], []
    for name in shown.columns:
        bounds = _bounds(name, shown)
        if _is_bound(name, shown):
            continue
        columns.append(_column(name, shown[name], filtered=filtered))
        cells.append(list(_cells(shown, name, bounds)))
    whole = " ".join(part for part in (note, f"In every row: {said}." if said else "") if part)
    return View(title, tuple(columns), tuple(zip(*cells, strict=True)), whole, folded)


def _constants(table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return what all rows share, in words, and the rest; of one row, or none, nothing is said apart."""
    if len(table) < 2:  # noqa: PLR2004
        return "", table
    same = {name for name in table.columns if table[name].nunique(dropna=False) == 1}
    for name in table.columns:  # a number and its interval stay together
        numbers = {name, *(_bounds(name, table) or ())}
        if not numbers <= same:
            same -= numbers
    if len(same) == len(table.columns):
        return "", table
    told = [
        f"{_heading(name)} {next(iter(_cells(table.head(1), name, _bounds(name, table)))).whole}"
        for name in table.columns
        if name in same and not _is_bound(name, table) and not pd.isna(table[name].iloc[0])
    ]
    return ", ".join(told), table.drop(columns=list(same))


def _bounds(name: str, table: pd.DataFrame) -> tuple[str, str] | None:
    main = next((column for column in ("score", "difference") if column in table.columns), None)
    for pair in ((f"{name}_low", f"{name}_high"), *([("low", "high")] if name == main else [])):
        if set(pair) <= set(table.columns):
            return pair
    return None


def _is_bound(name: str, table: pd.DataFrame) -> bool:
    return any(name in (_bounds(other, table) or ()) for other in table.columns)


def _column(name: str, values: pd.Series, *, filtered: bool) -> Column:
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    few = 1 < values.nunique() <= _FEW
    return Column(_heading(name), numeric, filtered=filtered and few and not numeric)


def _heading(name: str) -> str:
    return _NAMES.get(name, str(name).replace("_", " "))


def _cells(table: pd.DataFrame, name: str, bounds: tuple[str, str] | None) -> Iterable[Cell]:
    values, signed = table[name], any(word in name for word in _SIGNED)
    numeric = _column(name, values, filtered=False).numeric
    intervals = list(zip(*(table[end] for end in bounds), strict=True)) if bounds else [None] * len(table)
    shown = map(_as_layer, values.astype(object)) if name == "layer" else values.astype(object)
    for value, interval in zip(shown, intervals, strict=True):
        if not numeric or pd.isna(value):
            yield Cell(_plain(value))
        elif name in _PROBABILITIES:
            yield Cell(p_value(value), float(value))
        else:
            yield Cell(number(value, signed=signed), float(value), interval, signed)


def _as_layer(value: Any) -> Any:
    """Return a layer as the whole number that it is, though it was computed as a float."""
    return int(value) if isinstance(value, float | np.floating) and value.is_integer() else value


def _plain(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float | np.integer | np.floating) else str(value)
