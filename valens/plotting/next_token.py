"""Figure 6, from a next-token probing's stored tables alone: learning curves, and what is reached at each layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from valens.errors import ResultError
from valens.plotting.style import (
    BAND_ALPHA,
    DASHED,
    GREY,
    colours_of,
    label_ends,
    layer_axis,
    save_figure,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from valens.results import Result

ACCURACY, LOSS, SELECTIVITY = "accuracy", "cross-entropy", "selectivity"
CHOOSES = "validation cross-entropy"
"""The metric by which a representation's best layers are chosen: on documents that are not scored."""

_UNITS = {ACCURACY: "accuracy", LOSS: "cross-entropy (nats)", SELECTIVITY: "selectivity"}
_SHORT = {"most frequent token": "most frequent"}
_LABEL_ROOM = 0.34
"""How much of the x axis, behind the last point, is for the names of the lines."""


def learning_curves(table: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """Figure 6: accuracy and cross-entropy over training steps, a line a representation at its best layers.

    The best layers are those with the lowest validation loss. A band is the 95 % interval over documents, widened to hold
    every seed. Dashed lines are what needs no probe. The figure is the caller's alone: pyplot does not keep it.
    """
    best = _best(table)
    colours = colours_of(list(best))
    with style() as plt:
        figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.9), layout="constrained")
        for axis, metric in zip(axes, (ACCURACY, LOSS), strict=True):
            ends = {}
            for name, layers in best.items():
                line = _of(curves, name, layers, metric).sort_values("step")
                _line(axis, line.assign(x=line.step), colours[name])
                at = "layer" if layers.isdecimal() else "layers"
                ends[f"{name}, {at} {layers}"] = (float(line.score.iloc[-1]), colours[name])
            first, last = int(curves.step.min()), int(curves.step.max())
            ends |= _references(axis, table, metric, (first, last))
            axis.set_xlabel("training step")
            axis.set_xlim(0, last * (1 + _LABEL_ROOM))
            axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= last])
            axis.set_ylabel(_UNITS[metric])
            _fit(axis, metric)
            figure.canvas.draw()  # the labels' distances depend on the panel's final height
            label_ends(axis, ends, x=last)
        _head(figure, table, "layers chosen on validation documents; bands: 95 % over documents and all seeds")
        plt.close(figure)
    return figure


def next_token_layers(table: pd.DataFrame) -> Figure:
    """What each layer's probe reaches at the end: accuracy, cross-entropy and, if measured, selectivity, with 95 % bands."""
    best = _best(table)
    single = table[table.layer.notna()]
    if single.empty:
        raise ResultError("The table has no single layers to draw. Probe layers one by one: leave --layers as it is.")
    colours = colours_of(list(best))
    metrics = [metric for metric in _UNITS if metric in set(single.metric)]
    with style() as plt:
        figure, axes = plt.subplots(
            1, len(metrics), figsize=(3.0 * len(metrics) + 0.4, 2.9), squeeze=False, layout="constrained"
        )
        for axis, metric in zip(axes[0], metrics, strict=True):
            part, ends = single[single.metric == metric], {}
            first, last = int(part.layer.min()), int(part.layer.max())
            for name in colours:
                line = part[part.representation == name].sort_values("layer")
                if line.empty:
                    continue
                _line(axis, line.assign(x=line.layer.astype(int)), colours[name])
                ends[name] = (float(line.score.iloc[-1]), colours[name])
                chosen = line[line.layers == best[name]]
                axis.plot(chosen.layer, chosen.score, "o", color=colours[name], markersize=5, markeredgecolor="white")
            ends |= _references(axis, table, metric, (first - 0.5, last))
            deepest = part.sort_values("layer").iloc[-1]
            layer_axis(axis, first, last, _depth(deepest), room=_LABEL_ROOM)
            _fit(axis, metric)
            axis.set_ylabel(_UNITS[metric])
            figure.canvas.draw()
            label_ends(axis, ends, x=last)
        _head(figure, table, "bands: 95 % intervals over documents; dots: the layer chosen on validation documents")
        plt.close(figure)
    return figure


def save_next_token_figures(result: Result, folder: str | Path) -> list[Path]:
    """Draw and write both from a stored result, as PDF and PNG; the second only where single layers were probed."""
    if "curves" not in result.details:
        raise ResultError(
            f"This is a result of {result.kind}, which has no learning curves. Give a next-token probing's."
        )
    paths = save_figure(learning_curves(result.table, result.details["curves"]), folder, "figure6")
    if result.table.layer.notna().any():
        paths += save_figure(next_token_layers(result.table), folder, "figure6-layers")
    return paths


def _best(table: pd.DataFrame) -> dict[str, str]:
    """Each representation's best layers, by the loss on the validation documents."""
    rows = table[table.metric == CHOOSES]
    if rows.empty:
        raise ResultError(f"The table has no {CHOOSES} to choose layers by. Give the scores of a next-token probing.")
    lowest = rows.loc[rows.groupby("representation", sort=False).score.idxmin()]
    return dict(zip(lowest.representation, lowest.layers, strict=True))


def _of(table: pd.DataFrame, name: str, layers: str, metric: str) -> pd.DataFrame:
    return table[(table.representation == name) & (table.layers == layers) & (table.metric == metric)]


def _line(axis: Axes, line: pd.DataFrame, colour: str) -> None:
    low, high = line.low, line.high
    if "lowest" in line:
        low, high = line[["low", "lowest"]].min(axis=1), line[["high", "highest"]].max(axis=1)
    axis.fill_between(line.x, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0)
    axis.plot(line.x, line.score, color=colour)


def _references(
    axis: Axes, table: pd.DataFrame, metric: str, across: tuple[float, float]
) -> dict[str, tuple[float, str]]:
    """Draw what is not trained as dashed lines; gives their labels."""
    rows = table[table.layers.isna() & (table.metric == metric)]
    for score in rows.score:
        axis.plot(across, [score, score], color=GREY, linestyle=DASHED, linewidth=0.9, zorder=1)
    return {_SHORT.get(row.representation, row.representation): (float(row.score), GREY) for row in rows.itertuples()}


def _fit(axis: Axes, metric: str) -> None:
    """Shares begin at 0, unless something is below."""
    if metric != LOSS:
        low, high = axis.get_ylim()
        axis.set_ylim(min(0.0, low), high)


def _depth(row: pd.Series) -> int:
    """L, from a row's layer and depth."""
    return round(float(row.layer) / float(row.depth)) if row.layer else 1


def _head(figure: Figure, table: pd.DataFrame, how: str) -> None:
    models, corpora = (", ".join(dict.fromkeys(table[column])) for column in ("model", "corpus"))
    n, prefixes = (int(table[column].dropna().max()) for column in ("n", "prefixes"))
    what = f"The next token · {models} · {corpora} · {prefixes:,} prefixes of {n:,} documents held out"
    figure.suptitle(f"{what}\n{how}", fontsize=8, x=0.01, ha="left")
