"""Figure 2, from a segment matching's scores alone: recall@k by layer, one panel a k."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.plotting.style import BAND_ALPHA, DASHED, GREY, colours_of, label_ends, layer_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABEL_ROOM = 0.26
"""How much of the x axis, behind the last layer, is for the names of the lines."""


def matching_curves(table: pd.DataFrame, *, direction: str = "prefix to suffix") -> Figure:
    """Figure 2: recall@k by layer, one line a representation with its 95 % band, and what words and chance reach.

    `table` is a segment matching's scores. The figure is the caller's alone: pyplot does not keep it. Raises ResultError
    for a table without layers in this direction.
    """
    part = table[(table.direction == direction) & table.metric.str.startswith("recall@")]
    curves = part[part.layer.notna()]
    if curves.empty:
        raise ResultError(f"The table has no recall by layer, {direction!r}. Give the scores of a segment matching.")
    metrics = list(dict.fromkeys(curves.metric))
    colours = colours_of(list(dict.fromkeys(curves.representation)))
    with style() as plt:
        figure, axes = plt.subplots(
            1, len(metrics), figsize=(2.35 * len(metrics) + 0.4, 2.7), sharey=True, squeeze=False, layout="constrained"
        )
        axes[0][0].set_ylim(0, 1.08)
        axes[0][0].set_yticks(np.linspace(0, 1, 6))
        for axis, metric in zip(axes[0], metrics, strict=True):
            _panel(axis, part[part.metric == metric], colours)
            axis.set_title(str(metric))
        axes[0][0].set_ylabel("recall (band: 95 % interval)")
        figure.canvas.draw()  # the labels' distances depend on the panels' final height
        for axis, metric in zip(axes[0], metrics, strict=True):
            _name_lines(axis, part[part.metric == metric], colours)
        figure.suptitle(_title(part, direction), fontsize=8, x=0.01, ha="left")
        plt.close(figure)
    return figure


def _panel(axis: Axes, part: pd.DataFrame, colours: Mapping[str, str]) -> None:
    curves = part[part.layer.notna()].sort_values("layer", kind="stable")
    for name, colour in colours.items():
        line = curves[curves.representation == name]
        x = line.layer.to_numpy(dtype=int)
        axis.fill_between(x, line.low, line.high, color=colour, alpha=BAND_ALPHA, linewidth=0)
        axis.plot(x, line.score, color=colour, marker="o" if len(x) == 1 else "")
        if len(x) == 1:
            axis.vlines(x, line.low, line.high, color=colour, alpha=0.5)
    first, last = int(curves.layer.min()), int(curves.layer.max())
    for row in part[part.layer.isna()].itertuples():
        axis.plot([first - 0.5, last], [row.score] * 2, color=GREY, linestyle=DASHED, linewidth=0.9, zorder=1)
    layer_axis(axis, first, last, _n_layers(curves), room=_LABEL_ROOM)


def _n_layers(curves: pd.DataFrame) -> int | None:
    """L of the model; None where the table has layer 0 alone, from which it cannot be told."""
    blocks = curves[curves.layer > 0]
    return None if blocks.empty else round(float(blocks.layer.iloc[0]) / float(blocks.depth.iloc[0]))


def _name_lines(axis: Axes, part: pd.DataFrame, colours: Mapping[str, str]) -> None:
    last = part.sort_values("layer", na_position="first", kind="stable").groupby("representation", sort=False).tail(1)
    ends = {row.representation: (float(row.score), colours.get(row.representation, GREY)) for row in last.itertuples()}
    label_ends(axis, ends, x=float(part.layer.max()))


def _title(part: pd.DataFrame, direction: str) -> str:
    models, corpora = (", ".join(dict.fromkeys(part[column])) for column in ("model", "corpus"))
    start, _, end = direction.partition(" to ")
    return f"Does a {start} find its own {end}? {models} · {corpora} · {int(part.n.max()):,} documents"
