"""Figure 3, from a layer sweep's scores alone: no model, no store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.layers.layer_set import LayerSet
from valens.plotting.axes import Labels, curve, label_panels, last_score, layer_axis, legend, n_layers_of, panels
from valens.plotting.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    THIN,
    VERMILLION,
    Width,
    stroke,
    style,
)
from valens.statistics import percentile_interval

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

_BASELINE = 1.02, 1.08
"""Where, in widths of the axes, the baseline stands: after the last layer."""

_LABEL_INDENT = 16.0
"""How far, in points, the names of the lines stand from the axes: after the baseline."""

_SHORT_DASHES = (0, (2, 1))

_LABEL, _LABEL_OF_MEANS = "score (band: 95 % interval)", "score (mean of 95 % bounds)"

_COLUMNS = ("model", "representation", "layer", "depth", "task", "task_type", "score", "low", "high")

Panel = tuple[str, str]
"""A model and a representation, by their names."""


def layer_curves(
    table: pd.DataFrame,
    *,
    chosen: Mapping[Panel, LayerSet] | None = None,
    replicates: pd.DataFrame | None = None,
    baseline: str = "TF-IDF",
    width: Width = "two",
) -> Figure:
    """Figure 3: score by layer, one panel a representation and model, one line a task type with its 95 % band.

    `table` is a layer sweep's scores, or several models' below one another: then each model has a column of panels. Where a
    type has several tasks, its line is their mean and each task has a thin one. The band of a mean is its own if there are
    `replicates` (a sweep's, with the model's name in `model`); otherwise its bounds are the means of the tasks', which is
    wider, and the axis says so. The best layer of each type is marked, the layers `chosen` for a model and representation
    are shaded, and a short dashed line after the last layer is what `baseline` (words alone) scores. The figure is the
    caller's alone: pyplot does not keep it. Raises ResultError for a table without layers.
    """
    lacking = [name for name in _COLUMNS if name not in table]
    if lacking:
        raise ResultError(
            f"The table has no column {lacking[0]!r}. Give the scores of a layer sweep; valens.plotting.by_layer draws any "
            "scores by layer."
        )
    single = table[table.layer.notna()].sort_values("layer", kind="stable")
    if single.empty:
        raise ResultError("The table has no single-layer scores to draw. Give the scores of a layer sweep.")
    words = _by_type(table[table.representation == baseline])
    parts = dict(iter(single.groupby(["model", "representation"], sort=False)))
    lines = dict(iter(_by_type(single, replicates).groupby(["model", "representation"], sort=False)))
    order = _order(table[table.layer.notna()])
    side_by_side = max(2, len({model for model, _ in order}))
    with style():
        titles = [f"{representation} · {model}" for model, representation in order]
        figure, axes, room = panels(
            titles, width=width, most=side_by_side, height=1.9, names=set(single.task_type), above=True, sharey=True
        )
        ends = {}
        for axis, panel in zip(axes, order, strict=True):
            if panel not in parts:
                axis.set_visible(False)
                continue
            ends[axis] = _panel(axis, parts[panel], lines[panel], words[words.model == panel[0]])
            axis.set_ylabel(_LABEL if replicates is not None or not _several(parts[panel]) else _LABEL_OF_MEANS)
            _shade(axis, (chosen or {}).get(panel))
        _legend(figure, list(parts.values()), baseline=None if words.empty else baseline, shaded=bool(chosen))
        label_panels(figure, ends, room=room, indent=_LABEL_INDENT)
    return figure


def _order(single: pd.DataFrame) -> list[Panel]:
    """Return the panels as they are read: a row a representation, a model beside the other."""
    models, representations = (list(dict.fromkeys(single[column])) for column in ("model", "representation"))
    return [(model, name) for name in representations for model in models]


def _several(table: pd.DataFrame) -> list[str]:
    """Return the types that have several tasks."""
    n_tasks = table.groupby("task_type", sort=False).task.nunique()
    return [str(task_type) for task_type in n_tasks.index[n_tasks > 1]]


def _by_type(table: pd.DataFrame, replicates: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the mean over the tasks of one type, and its interval; without replicates the mean of the bounds."""
    keys = ["model", "representation", "layer", "depth", "task_type"]
    means = table.groupby(keys, dropna=False, sort=False)[["score", "low", "high"]].mean().reset_index()
    types = _several(table)
    if replicates is None or not types:
        return means
    known = ["model", "representation", "layer", "task_type"]
    bands = means[known].merge(_bands(table[table.task_type.isin(types)], replicates), how="left", on=known)
    for bound in ("low", "high"):
        means[bound] = bands[bound].fillna(means[bound])
    return means


def _bands(table: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """Return the 95 % interval of the mean over each type's tasks: model, representation, layer, task_type, low, high."""
    tasks = table[["model", "representation", "task", "task_type"]].drop_duplicates()
    scores = replicates.merge(tasks, on=["model", "representation", "task"])
    keys = ["model", "representation", "layer", "task_type"]
    mean = scores.pivot_table(index=keys, columns="resample", values="value", aggfunc="mean", dropna=False).dropna(
        how="all"
    )
    low, high = percentile_interval(mean.to_numpy(dtype=float))
    return mean.index.to_frame(index=False).assign(low=low, high=high)


def _panel(axis: Axes, single: pd.DataFrame, lines: pd.DataFrame, words: pd.DataFrame) -> Labels:
    """Draw the lines; gives what is written at their ends."""
    ends = {}
    for task_type, line in lines.groupby("task_type", sort=False):
        colour = TASK_TYPE_COLOURS.get(str(task_type), BLACK)
        curve(axis, line.layer, line, colour)
        _thin_lines(axis, single[single.task_type == task_type], colour)
        end = last_score(line)
        if end is not None:
            best = line.iloc[int(np.nanargmax(line.score))]
            axis.plot(best.layer, best.score, "o", color=colour, markersize=4.5, markeredgecolor="white")
            ends[str(task_type)] = end, colour
        _words(axis, words.score[words.task_type == task_type], colour)
    layer_axis(axis, int(single.layer.min()), int(single.layer.max()), n_layers_of(single))
    return ends


def _thin_lines(axis: Axes, single: pd.DataFrame, colour: str) -> None:
    """Each task by itself, where a type has several."""
    if single.task.nunique() > 1:
        for _, line in single.groupby("task", sort=False):
            x = line.layer.to_numpy(dtype=int)
            axis.plot(x, line.score, color=colour, linestyle=stroke(colour), linewidth=THIN, alpha=0.7, zorder=1.5)


def _words(axis: Axes, scores: Iterable[float], colour: str) -> None:
    """What words alone score, in the margin."""
    for score in scores:
        axis.plot(
            _BASELINE, [score, score], color=colour, linestyle=_SHORT_DASHES, clip_on=False,
            transform=axis.get_yaxis_transform(),
        )  # fmt: skip


def _shade(axis: Axes, layers: LayerSet | None) -> None:
    for layer in layers or ():
        axis.axvspan(layer - 0.5, layer + 0.5, color="#999999", alpha=0.16, linewidth=0, zorder=0)


def _legend(figure: Figure, parts: Sequence[pd.DataFrame], *, baseline: str | None, shaded: bool) -> None:
    """What is no line of a task type; these have their names beside them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Line2D([], [], color=GREY, marker="o", linestyle="", markersize=4.5, label="best layer")
    ]
    if any(map(_several, parts)):
        handles += [
            Line2D([], [], color=GREY, label="mean of a type"),
            Line2D([], [], color=GREY, linewidth=THIN, label="task"),
        ]
    if baseline:
        handles.append(Line2D([], [], color=GREY, linestyle=_SHORT_DASHES, label=baseline))
    if shaded:
        handles.append(Patch(color="#999999", alpha=0.3, label="chosen set"))
    legend(figure, handles)
