"""Figure 3, from a layer sweep's scores alone: no model, no store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.layers import LayerSet
from valens.plotting.style import (
    BAND_ALPHA,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    VERMILLION,
    label_ends,
    layer_axis,
    style,
)

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

THIN = 0.6
"""The width of a single task's line."""

_TITLE_LENGTH = 45
"""How many letters fit above a panel."""

_BASELINE_ROOM, _LABEL_ROOM = 0.08, 0.34
"""How much of the x axis, behind the last layer, is for the baseline and for the names of the lines."""

_SHORT_DASHES = (0, (2, 1))

Panel = tuple[str, str]
"""A model and a representation, by their names."""


def layer_curves(
    table: pd.DataFrame, *, chosen: Mapping[Panel, LayerSet] | None = None, baseline: str = "TF-IDF"
) -> Figure:
    """Figure 3: score by layer, one panel a representation and model, one line a task type with its 95 % band.

    `table` is a layer sweep's scores, or several models' below one another: then each model has a column of panels. Where a
    type has several tasks, its line is their mean and each task has a thin one. The best layer of each type is marked, the
    layers `chosen` for a model and representation are shaded, and a short dashed line behind the last layer is what
    `baseline` (words alone) scores. The figure is the caller's alone: pyplot does not keep it. Raises ResultError for a
    table without layers.
    """
    single = table[table.layer.notna()].sort_values("layer", kind="stable")
    if single.empty:
        raise ResultError("The table has no single-layer scores to draw. Give the scores of a layer sweep.")
    words = _by_type(table[table.representation == baseline])
    rows = _grid(table[table.layer.notna()])
    parts = dict(iter(single.groupby(["model", "representation"], sort=False)))
    with style() as plt:
        size = (4.0 * len(rows[0]) + 0.5, 2.9 * len(rows) + 0.4)
        figure, axes = plt.subplots(
            len(rows), len(rows[0]), figsize=size, sharey=True, squeeze=False, layout="constrained"
        )
        drawn = {}
        for panel, axis in zip(chain(*rows), axes.flat, strict=True):
            if panel not in parts:
                axis.set_visible(False)
                continue
            drawn[axis] = _panel(axis, parts[panel], words[words.model == panel[0]])
            _shade(axis, (chosen or {}).get(panel))
            axis.set_title(_title(panel))
        for axis in axes[:, 0]:
            axis.set_ylabel("score (band: 95 % interval)")
        _legend(figure, parts.values(), baseline=None if words.empty else baseline, shaded=bool(chosen))
        figure.canvas.draw()  # the labels' distances depend on the panels' final height
        for axis, ends in drawn.items():
            label_ends(axis, ends, x=_edges(axis)[1])
        plt.close(figure)
    return figure


def _grid(single: pd.DataFrame) -> list[list[Panel]]:
    """The panels in rows: of one model all in one, of several a column a model and a row a representation."""
    models, representations = (list(dict.fromkeys(single[column])) for column in ("model", "representation"))
    if len(models) == 1:
        return [[(models[0], name) for name in representations]]
    return [[(model, name) for model in models] for name in representations]


def _by_type(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over the tasks of one type; the bounds are averaged as well, which is wider than the mean's own interval."""
    keys = ["model", "representation", "layer", "depth", "task_type"]
    return table.groupby(keys, dropna=False, sort=False)[["score", "low", "high"]].mean().reset_index()


def _panel(axis: Axes, single: pd.DataFrame, words: pd.DataFrame) -> dict[str, tuple[float, str]]:
    """Draw the lines; gives where each ends, and its colour."""
    _whole_layers(axis, single)
    start, end = _edges(axis)
    ends = {}
    for task_type, line in _by_type(single).groupby("task_type", sort=False):
        x, colour = line.layer.to_numpy(dtype=int), TASK_TYPE_COLOURS.get(str(task_type), "#000000")
        axis.fill_between(x, line.low, line.high, color=colour, alpha=BAND_ALPHA, linewidth=0)
        axis.plot(x, line.score, color=colour)
        _thin_lines(axis, single[single.task_type == task_type], colour)
        defined = line.score.notna().to_numpy()
        if defined.any():
            best = int(np.nanargmax(line.score))
            axis.plot(x[best], line.score.iloc[best], "o", color=colour, markersize=5, markeredgecolor="white")
            ends[str(task_type)] = float(line.score[defined].iloc[-1]), colour
        for score in words.score[words.task_type == task_type]:
            axis.plot([start, end], [score, score], color=colour, linestyle=_SHORT_DASHES)
    return ends


def _thin_lines(axis: Axes, single: pd.DataFrame, colour: str) -> None:
    """Each task by itself, where a type has several."""
    if single.task.nunique() > 1:
        for _, line in single.groupby("task", sort=False):
            axis.plot(line.layer.to_numpy(dtype=int), line.score, color=colour, linewidth=THIN, alpha=0.7, zorder=1.5)


def _whole_layers(axis: Axes, single: pd.DataFrame) -> None:
    deepest = single.iloc[-1]
    n_layers = round(float(deepest.layer) / float(deepest.depth))
    first, last = int(single.layer.min()), int(deepest.layer)
    layer_axis(axis, first, last, n_layers, room=_BASELINE_ROOM + _LABEL_ROOM)
    axis.spines["bottom"].set_bounds(first - 0.5, last + 0.5)
    axis.spines["top"].set_visible(False)  # the depth axis has one
    axis.child_axes[0].spines["top"].set_bounds((first - 0.5) / n_layers, (last + 0.5) / n_layers)


def _edges(axis: Axes) -> tuple[float, float]:
    """Between which places on the x axis the baseline stands, behind the last layer."""
    left, right = axis.get_xlim()
    span = (right - left) / (1 + _BASELINE_ROOM + _LABEL_ROOM)
    return left + span * (1 + 0.1 * _BASELINE_ROOM), left + span * (1 + 0.9 * _BASELINE_ROOM)


def _title(panel: Panel) -> str:
    """What a panel shows, on two lines if it would not fit on one."""
    model, representation = panel
    fits = len(representation) + len(model) < _TITLE_LENGTH
    return f"{representation}{' · ' if fits else chr(10)}{model}"


def _shade(axis: Axes, layers: LayerSet | None) -> None:
    for layer in layers or ():
        axis.axvspan(layer - 0.5, layer + 0.5, color="#999999", alpha=0.16, linewidth=0, zorder=0)


def _legend(figure: Figure, parts: Iterable[pd.DataFrame], *, baseline: str | None, shaded: bool) -> None:
    """What is no line of a task type; these have their names beside them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Line2D([], [], color=GREY, marker="o", linestyle="", markersize=5, label="best layer")
    ]
    if any(part.groupby("task_type").task.nunique().gt(1).any() for part in parts):
        handles += [
            Line2D([], [], color=GREY, label="mean of a type"),
            Line2D([], [], color=GREY, linewidth=THIN, label="task"),
        ]
    if baseline:
        handles.append(Line2D([], [], color=GREY, linestyle=_SHORT_DASHES, label=baseline))
    if shaded:
        handles.append(Patch(color="#999999", alpha=0.3, label="chosen set"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2, handlelength=1.6)
