"""Figure 3, from a layer sweep's scores alone: no model, no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.layers import LayerSet
from valens.plotting.style import BLUE, GREEN, ORANGE, PINK, SKY, VERMILLION, layer_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TASK_TYPE_COLOURS = {
    "STS": BLUE,
    "Retrieval": VERMILLION,
    "Clustering": GREEN,
    "Classification": PINK,
    "Reranking": ORANGE,
    "PairClassification": SKY,
}

_TITLE_LENGTH = 45
"""How many letters fit above a panel."""

_BASELINE_ROOM = 0.07
"""How much of the x axis, behind the last layer, is for the baseline."""

_LEGEND_ENTRY = 0.92
"""How many inches an entry of the legend takes."""


def layer_curves(
    table: pd.DataFrame, *, chosen: Mapping[str, LayerSet] | None = None, baseline: str = "TF-IDF"
) -> Figure:
    """Figure 3: score by layer, one panel a representation and model, one line a task type with its 95 % band.

    `table` is a layer sweep's scores. The best layer of each line is marked, the chosen layers are shaded, and a short
    dashed line at the right edge is what `baseline` (words alone) scores. The figure is the caller's alone: pyplot does
    not keep it. Raises ResultError for a table without layers.
    """
    curves = _by_type(table[table.layer.notna()])
    if curves.empty:
        raise ResultError("The table has no single-layer scores to draw. Give the scores of a layer sweep.")
    words = _by_type(table[table.representation == baseline])
    panels = list(dict.fromkeys(zip(curves.model, curves.representation, strict=True)))
    with style() as plt:
        width = 3.3 * len(panels) + 0.9
        figure, axes = plt.subplots(
            1, len(panels), figsize=(width, 3.1), sharey=True, squeeze=False, layout="constrained"
        )
        for axis, (model, representation) in zip(axes[0], panels, strict=True):
            part = curves[(curves.model == model) & (curves.representation == representation)]
            _panel(axis, part, words[words.model == model])
            _shade(axis, (chosen or {}).get(representation))
            axis.set_title(_title(representation, model))
        axes[0][0].set_ylabel("score (band: 95 % interval)")
        _legend(figure, curves, words=not words.empty, shaded=bool(chosen), baseline=baseline)
        plt.close(figure)
    return figure


def _by_type(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over the tasks of one type; the bounds are averaged as well, which is wider than the mean's own interval."""
    keys = ["model", "representation", "layer", "depth", "task_type"]
    return table.groupby(keys, dropna=False, sort=False)[["score", "low", "high"]].mean().reset_index()


def _panel(axis: Axes, curves: pd.DataFrame, words: pd.DataFrame) -> None:
    edge, room = _margin(curves)
    for task_type, line in curves.sort_values("layer", kind="stable").groupby("task_type", sort=False):
        x, colour = line.layer.to_numpy(dtype=int), _colour(str(task_type))
        axis.fill_between(x, line.low, line.high, color=colour, alpha=0.13, linewidth=0)
        axis.plot(x, line.score, color=colour)
        if line.score.notna().any():
            best = int(np.nanargmax(line.score))
            axis.plot(x[best], line.score.iloc[best], "o", color=colour, markersize=5, markeredgecolor="white")
        for score in words.score[words.task_type == task_type]:
            ends = [edge + 0.1 * room, edge + 0.9 * room]
            axis.plot(ends, [score, score], color=colour, linestyle=(0, (2, 1)))
    _whole_layers(axis, curves)


def _margin(curves: pd.DataFrame) -> tuple[float, float]:
    """Where the layers end on the x axis, and how much of it behind them is for the baseline."""
    return float(curves.layer.max()) + 0.5, _BASELINE_ROOM * float(curves.layer.max() - curves.layer.min() + 1)


def _whole_layers(axis: Axes, curves: pd.DataFrame) -> None:
    deepest = curves.sort_values("layer").iloc[-1]
    n_layers = round(float(deepest.layer) / float(deepest.depth))
    layer_axis(axis, int(curves.layer.min()), int(curves.layer.max()), n_layers, room=_BASELINE_ROOM)


def _title(representation: str, model: str) -> str:
    """What a panel shows, on two lines if it would not fit on one."""
    fits = len(representation) + len(model) < _TITLE_LENGTH
    return f"{representation}{' · ' if fits else chr(10)}{model}"


def _colour(task_type: str) -> str:
    return TASK_TYPE_COLOURS.get(task_type, "#000000")


def _shade(axis: Axes, layers: LayerSet | None) -> None:
    for layer in layers or ():
        axis.axvspan(layer - 0.5, layer + 0.5, color="#999999", alpha=0.16, linewidth=0, zorder=0)


def _legend(figure: Figure, curves: pd.DataFrame, *, words: bool, shaded: bool, baseline: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    types: Sequence[str] = list(dict.fromkeys(curves.task_type))
    handles: list[Line2D | Patch] = [Line2D([], [], color=_colour(name), label=name) for name in types]
    handles.append(Line2D([], [], color="#555555", marker="o", linestyle="", markersize=5, label="best layer"))
    if words:
        handles.append(Line2D([], [], color="#555555", linestyle=(0, (2, 1)), label=baseline))
    if shaded:
        handles.append(Patch(color="#999999", alpha=0.3, label="chosen set"))
    columns = min(len(handles), int(figure.get_figwidth() / _LEGEND_ENTRY))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=1.6)
