"""The figure of the sinks probe, from its scores alone: all that was measured, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from probes.sinks.names import (
    ACTIVATIONS,
    FIRST_LENGTH,
    FIRST_SHARE,
    LENGTH_CORRELATION,
    MEAN_COSINE,
    RANK,
    SINK_SCORE,
    SINKS,
)
from valens.errors import ResultError
from valens.plotting.axes import Labels, curve, label_panels, last_score, layer_axis, panels
from valens.plotting.labels import head
from valens.plotting.style import Width, colours_of, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {
    FIRST_LENGTH: ("Length of the first token", "÷ others’ median (log)", True),
    FIRST_SHARE: ("Share of the first token", "share of the mean", False),
    SINK_SCORE: ("Sink heads", "share of heads", False),
    ACTIVATIONS: ("Massive activations", "a text", False),
    SINKS: ("Sinks", "tokens a text", False),
    LENGTH_CORRELATION: ("Does cosine follow length?", "rank correlation", False),
    MEAN_COSINE: ("Do texts point one way?", "mean cosine", False),
    RANK: ("How many directions?", "effective rank", False),
}
"""A panel a metric: its title, its axis, and whether that is logarithmic."""

_MOST = 3


def sinks_by_layer(table: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Draw lengths, shares, sink heads, massive activations, and what becomes of cosines and directions, by layer.

    `table` is a sinks result's scores; ResultError for one with none of them.
    """
    shown = [metric for metric in _PANELS if metric in set(table.metric)]
    if not shown:
        raise ResultError("The table has nothing to draw: give the scores of a sinks result.")
    names = list(dict.fromkeys(table.representation))
    colours = colours_of(names)
    with style():
        titles = [_PANELS[metric][0] for metric in shown]
        figure, axes, room = panels(titles, width=width, most=_MOST, height=1.4, names=names)
        ends = {axis: _panel(axis, table, metric, colours) for axis, metric in zip(axes, shown, strict=True)}
        models, corpora = (", ".join(dict.fromkeys(table[column])) for column in ("model", "corpus"))
        head(
            figure,
            [f"Is a mean one token? {models} · {corpora} · {int(table.n.max()):,} texts · bands: 95 % over texts"],
        )
        label_panels(figure, ends, room=room)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, metric: str, colours: dict[str, str]) -> Labels:
    _, ylabel, logarithmic = _PANELS[metric]
    rows = table[table.metric == metric].sort_values("layer", kind="stable")
    ends: Labels = {}
    if logarithmic:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
    for name in dict.fromkeys(rows.representation):
        line = rows[rows.representation == name]
        curve(axis, line.layer, line, colours[name])
        end = last_score(line)
        if end is not None:
            ends[name] = end, colours[name]
    axis.set_ylabel(ylabel)
    layer_axis(axis, int(rows.layer.min()), int(rows.layer.max()), None)
    return ends
