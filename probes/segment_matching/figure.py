"""Figure 2, from a segment matching's scores alone: recall@k by layer, one panel a k."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.plotting.axes import Labels, curve, label_panels, last_score, layer_axis, n_layers_of, panels, references
from valens.plotting.labels import head
from valens.plotting.style import GREY, Width, colours_of, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def matching_curves(table: pd.DataFrame, *, direction: str = "prefix to suffix", width: Width = "two") -> Figure:
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
    with style():
        names = set(part.representation)
        figure, axes, room = panels(metrics, width=width, most=3, height=1.4, names=names, above=True)
        ends = {axis: _panel(axis, part[part.metric == k], colours) for axis, k in zip(axes, metrics, strict=True)}
        head(figure, _head(part, direction))
        label_panels(figure, ends, room=room)
    return figure


def _panel(axis: Axes, part: pd.DataFrame, colours: Mapping[str, str]) -> Labels:
    """Draw the lines; gives what is written at their ends."""
    layered, others = part[part.layer.notna()].sort_values("layer", kind="stable"), part[part.layer.isna()]
    first, last = int(layered.layer.min()), int(layered.layer.max())
    ends = {row.representation: (float(row.score), GREY) for row in others.itertuples()}
    references(axis, list(others.score), (first - 0.5, last + 0.5))
    for name, colour in colours.items():
        line = layered[layered.representation == name]
        curve(axis, line.layer, line, colour)
        end = last_score(line)
        if end is not None:
            ends[name] = end, colour
    axis.set_ylim(0, 1.03)
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("recall (band: 95 % interval)")
    layer_axis(axis, first, last, n_layers_of(layered))
    return ends


def _head(part: pd.DataFrame, direction: str) -> list[str]:
    models, corpora = (", ".join(dict.fromkeys(part[column])) for column in ("model", "corpus"))
    start, _, end = direction.partition(" to ")
    return [f"Does a {start} find its own {end}? {models} · {corpora} · {int(part.n.max()):,} documents"]
