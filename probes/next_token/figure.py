"""Figure 6, from a next-token probing's stored tables alone: learning curves, and what is reached at each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from probes.next_token.names import ACCURACY, LOSS, MOST_FREQUENT, SELECTIVITY, VALIDATION
from valens.errors import ResultError
from valens.plotting.axes import Labels, curve, label_panels, last_score, layer_axis, n_layers_of, panels, references
from valens.plotting.labels import head
from valens.plotting.style import GREY, Width, colours_of, style
from valens.results.formatting import at_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNITS = {ACCURACY: "accuracy", LOSS: "cross-entropy (nats)", SELECTIVITY: "selectivity"}
_SHORT = {MOST_FREQUENT: "most frequent"}


def learning_curves(table: pd.DataFrame, curves: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Figure 6: accuracy and cross-entropy over training steps, a line a representation at its best layers.

    The best layers are those with the lowest validation loss. A band is the 95 % interval over documents, widened to hold
    every seed. Dashed lines are what needs no probe. The figure is the caller's alone: pyplot does not keep it.
    """
    best, metrics = _best(table), [ACCURACY, LOSS]
    colours = colours_of(list(best))
    with style():
        names = [*map(_at, best.items()), *_untrained(table, ACCURACY)]
        figure, axes, room = panels(["", ""], width=width, most=2, height=1.7, names=names)
        ends: dict[Axes, Labels] = {}
        for axis, metric in zip(axes, metrics, strict=True):
            lines = {name: _of(curves, name, layers, metric).sort_values("step") for name, layers in best.items()}
            for name, line in lines.items():
                curve(axis, line.step, _with_seeds(line), colours[name])
            last = int(curves.step.max())
            axis.set_xlabel("training step")
            axis.set_xlim(0, last)
            named = {_at((name, best[name])): (line, colours[name]) for name, line in lines.items()}
            ends[axis] = _untrained_lines(axis, table, metric, (0, last)) | _named(named)
            _measure(axis, metric)
        head(figure, _head(table, "layers chosen on validation documents; bands: 95 % over documents and all seeds"))
        label_panels(figure, ends, room=room)
    return figure


def next_token_layers(table: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Return what each layer’s probe reaches at the end, with bands; selectivity only if it was measured at every layer."""
    best = _best(table)
    single = table[table.layer.notna()].sort_values("layer", kind="stable")
    if single.empty:
        raise ResultError("The table has no single layers to draw. Probe layers one by one: leave --layers as it is.")
    colours = colours_of(list(best))
    layers = single.groupby("metric").layer.nunique()
    metrics = [metric for metric in _UNITS if layers.get(metric, 0) > 1 or layers.get(metric) == layers.max()]
    first, last = int(single.layer.min()), int(single.layer.max())
    with style():
        names = [*best, *_untrained(table, ACCURACY)]
        titles = [""] * len(metrics)
        figure, axes, room = panels(titles, width=width, most=3, height=1.5, names=names, above=True)
        ends: dict[Axes, Labels] = {}
        for axis, metric in zip(axes, metrics, strict=True):
            lines = dict(iter(single[single.metric == metric].groupby("representation", sort=False)))
            for name, line in lines.items():
                curve(axis, line.layer, line, colours[name])
                chosen = line[line.layers == best[name]]
                axis.plot(chosen.layer, chosen.score, "o", color=colours[name], markersize=4.5, markeredgecolor="white")
            layer_axis(axis, first, last, n_layers_of(single))
            named = {name: (line, colours[name]) for name, line in lines.items()}
            ends[axis] = _untrained_lines(axis, table, metric, (first - 0.5, last + 0.5)) | _named(named)
            _measure(axis, metric)
        head(
            figure, _head(table, "bands: 95 % intervals over documents; dots: the layer chosen on validation documents")
        )
        label_panels(figure, ends, room=room)
    return figure


def _best(table: pd.DataFrame) -> dict[str, str]:
    """Return each representation's best layers, by the loss on the validation documents."""
    rows = table[table.metric == VALIDATION]
    if rows.empty:
        raise ResultError(
            f"The table has no {VALIDATION} to choose layers by. Give the scores of a next-token probing."
        )
    lowest = rows.loc[rows.groupby("representation", sort=False).score.idxmin()]
    return dict(zip(lowest.representation, lowest.layers, strict=True))


def _at(best: tuple[str, str]) -> str:
    name, layers = best
    return f"{name}, {at_layers(layers)}"


def _of(table: pd.DataFrame, name: str, layers: str, metric: str) -> pd.DataFrame:
    return table[(table.representation == name) & (table.layers == layers) & (table.metric == metric)]


def _with_seeds(line: pd.DataFrame) -> pd.DataFrame:
    """Return the line with its interval widened to hold what each seed gave."""
    return line.assign(low=line[["low", "lowest"]].min(axis=1), high=line[["high", "highest"]].max(axis=1))


def _named(lines: Mapping[str, tuple[pd.DataFrame, str]]) -> Labels:
    ends = {name: (last_score(line), colour) for name, (line, colour) in lines.items()}
    return {name: (end, colour) for name, (end, colour) in ends.items() if end is not None}


def _untrained(table: pd.DataFrame, metric: str) -> dict[str, float]:
    """Return what needs no probe, by name: counts of tokens, and the model itself."""
    rows = table[table.layers.isna() & (table.metric == metric) & table.score.notna()]
    return {_SHORT.get(row.representation, row.representation): float(row.score) for row in rows.itertuples()}


def _untrained_lines(axis: Axes, table: pd.DataFrame, metric: str, across: tuple[float, float]) -> Labels:
    scores = _untrained(table, metric)
    references(axis, list(scores.values()), across)
    return {name: (score, GREY) for name, score in scores.items()}


def _measure(axis: Axes, metric: str) -> None:
    """Name the scores' axis; shares begin at 0, unless something is below."""
    axis.set_ylabel(_UNITS[metric])
    if metric != LOSS:
        low, high = axis.get_ylim()
        axis.set_ylim(min(0.0, low), high)


def _head(table: pd.DataFrame, how: str) -> list[str]:
    models, corpora = (", ".join(dict.fromkeys(table[column])) for column in ("model", "corpus"))
    n, prefixes = (int(table[column].dropna().max()) for column in ("n", "prefixes"))
    return [f"The next token · {models} · {corpora} · {prefixes:,} prefixes of {n:,} documents held out", how]
