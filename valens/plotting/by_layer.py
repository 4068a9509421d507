"""Any scores by layer as a figure: a line a representation with its band, a panel for each kind of score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from valens.errors import ResultError
from valens.plotting.axes import Labels, curve, label_panels, last_score, layer_axis, n_layers_of, panels
from valens.plotting.labels import head
from valens.plotting.style import Width, colours_of, style

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 3
"""So many panels stand side by side on a page's width."""


def by_layer(
    table: pd.DataFrame,
    *,
    panel: str | None = None,
    ylabel: str = "score (band: 95 % interval)",
    heading: str = "",
    width: Width = "two",
) -> Figure:
    """Draw scores by layer, one line a representation, with its band where the table has one.

    Args:
        table: one row a number, as a result's `.table`: `layer` and `score`; a band from `low` to `high`, a line for each
            `representation` and an axis of depth from `depth`, where it has them. Rows without a layer are not drawn.
        panel: the column whose values get a panel each; None: `metric`, or `task`, where there are several, else one panel.
        ylabel: what is measured, with its unit.
        heading: a line above the panels; empty: none.
        width: `one` or `two` columns of a page.

    Returns:
        The figure; it is the caller's alone, pyplot does not keep it.

    Raises:
        ResultError: a table without the columns that are needed, without a single layer, or with several scores for a layer
            of one line.

    """
    lacking = [name for name in ("layer", "score", *([panel] if panel else [])) if name not in table]
    if lacking:
        columns = ", ".join(map(str, table.columns)) or "none"
        raise ResultError(
            f"The table has no column {lacking[0]!r}; it has {columns}. Scores by layer have one row a number, with layer "
            "and score, as the .table of a result."
        )
    rows = _complete(table[table.layer.notna()])
    if rows.empty:
        raise ResultError("The table has no row with a layer. Give the .table of a result that was measured by layer.")
    column = panel or _panel_column(rows)
    _check_one_score_a_layer(rows, column)
    parts = (
        {str(name): part for name, part in rows.groupby(column, sort=False, observed=True, dropna=False)}
        if column
        else {"": rows}
    )
    colours = colours_of(list(dict.fromkeys(rows.representation)))
    with style():
        names = set(rows.representation)
        figure, axes, room = panels(list(parts), width=width, most=_MOST, height=1.6, names=names, above=True)
        ends = {axis: _lines(axis, part, colours, ylabel) for axis, part in zip(axes, parts.values(), strict=True)}
        if heading:
            head(figure, [heading])
        label_panels(figure, ends, room=room)
    return figure


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Fill in what a table may leave out: one representation without a name, and no band."""
    defaults = {"representation": "score", "low": float("nan"), "high": float("nan")}
    return rows.assign(**{name: value for name, value in defaults.items() if name not in rows})


def _panel_column(rows: pd.DataFrame) -> str | None:
    """Return what gets a panel each: the first column of which there are several values, and one score a layer."""
    several = [name for name in ("metric", "task") if name in rows and rows[name].nunique() > 1]
    return next((name for name in several if not _repeated(rows, name).any()), several[0] if several else None)


def _repeated(rows: pd.DataFrame, column: str | None) -> pd.Series:
    """Return which rows give a layer of a line a score that it has already."""
    return rows.duplicated(["representation", "layer", *([column] if column else [])])


def _check_one_score_a_layer(rows: pd.DataFrame, column: str | None) -> None:
    repeated = _repeated(rows, column)
    if not repeated.any():
        return
    row = rows[repeated].iloc[0]
    same = rows[(rows.representation == row.representation) & (rows.layer == row.layer)]
    numbers = {"layer", "score", "low", "high", "depth", "representation", column}
    differs = [str(name) for name in same if name not in numbers and same[name].nunique() > 1]
    advice = f"They differ in {', '.join(differs)}: keep one" if differs else "Keep one"
    raise ResultError(
        f"The table has several scores for layer {row.layer} of {row.representation!r}. {advice}, or name a `panel`."
    )


def _lines(axis: Axes, part: pd.DataFrame, colours: Mapping[str, str], ylabel: str) -> Labels:
    """Draw the lines of a panel; gives what is written at their ends."""
    ordered = part.sort_values("layer", kind="stable")
    ends: Labels = {}
    for name, colour in colours.items():
        line = ordered[ordered.representation == name]
        curve(axis, line.layer, line, colour)
        end = last_score(line)
        if end is not None:
            ends[name] = end, colour
    axis.set_ylabel(ylabel)
    n_layers = n_layers_of(ordered.dropna(subset="depth")) if "depth" in ordered else None
    layer_axis(axis, int(ordered.layer.min()), int(ordered.layer.max()), n_layers)
    return ends
