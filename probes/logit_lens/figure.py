"""Figures 7 and 8's numbers, from the stored tables of a logit lens: by offset, by layer, and both as a map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probes.logit_lens.names import (
    BEST,
    HELD_OUT,
    LHS,
    ONE_NORM,
    UNIGRAM,
    VA,
    VA_SUM,
    VA_UNIFORM,
    WHS,
    WHS_BUT_FIRST,
)
from valens.errors import ResultError
from valens.plotting.axes import (
    Labels,
    curve,
    label_panels,
    last_score,
    layer_axis,
    legend,
    panels,
    settle,
    ticks_as_here,
)
from valens.plotting.labels import grow, head
from valens.plotting.style import (
    BLUE,
    DASHED,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    VERMILLION,
    Width,
    colours_of,
    stroke,
    style,
)
from valens.statistics import ROUNDING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENS_COLOURS = {
    VA: BLUE,
    VA_UNIFORM: SKY,
    VA_SUM: GREEN,
    WHS: ORANGE,
    WHS_BUT_FIRST: PINK,
    LHS: VERMILLION,
    UNIGRAM: GREY,
}

_SETTINGS = {False: "without the final norm", True: "with the final norm"}


def lens_by_offset(best: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Figure 8: MRR@100 by offset, one line a representation with its 95 % band, one panel a setting of the norm.

    `best` is a logit lens's table of best layers. Lines have their layer chosen on the documents that are not scored; a
    small circle is the maximum over layers. The figure is the caller's alone: pyplot does not keep it.
    """
    _check_not_empty(best)
    colours = _colours(best)
    titles = [f"{_SETTINGS[False]}, as in the paper", _SETTINGS[True]]
    with style():
        names = {_label(name, norm) for name in colours for norm in _SETTINGS}
        figure, axes, room = panels(titles, width=width, most=2, height=1.7, names=names, sharey=True)
        ends = {axis: _offset_lines(axis, best, norm, colours) for axis, norm in zip(axes, _SETTINGS, strict=True)}
        for axis in axes:
            axis.set_ylim(0, 1.06 * _highest(best))
            axis.set_ylabel("MRR@100 (band: 95 % interval)")
        head(
            figure,
            _head(best, "lines: layer chosen on the documents that are not scored; circles: maximum over layers"),
        )
        label_panels(figure, ends, room=room)
    return figure


def lens_by_layer(table: pd.DataFrame, *, width: Width = "two") -> Figure:
    """MRR@100 by layer: one panel an offset and setting of the norm, one line a representation with its 95 % band.

    `table` is a logit lens's scores. Dashed lines are what has no layers: LHS and the frequencies of tokens. The scale is
    the same from offset 2 on.
    """
    _check_not_empty(table)
    colours, offsets = _colours(table), sorted(set(table.offset))
    order = [(norm, offset) for norm in _SETTINGS for offset in offsets]
    if width == "one":
        order.sort(key=lambda panel: (panel[1], panel[0]))
    with style():
        titles = [f"offset {offset}, {'norm' if norm else 'raw'}" for norm, offset in order]
        figure, axes, _ = panels(titles, width=width, most=min(5, len(offsets)), height=1.3)
        for axis, (norm, offset) in zip(axes, order, strict=True):
            for name, line in _lines(table[table.offset == offset], norm):
                _layer_line(axis, line, colours[name], table)
            _layer_panel(axis, table)
            alike = table[table.offset == 1] if offset == 1 else table[table.offset > 1]
            axis.set_ylim(0, 1.03 * _highest(alike))
        _legend(figure, colours)
        head(
            figure,
            _head(table, "norm: with the final norm; raw: without; bands: 95 % intervals; dashed: one layer or none"),
        )
        settle(figure)
    return figure


def lens_map(table: pd.DataFrame, *, width: Width = "two") -> Figure:
    """MRR@100 by layer and offset as a heat map: one panel a representation and setting of the norm.

    Representations that have one layer alone are left out where others have more.
    """
    _check_not_empty(table)
    layered = table[table.layer.notna()]
    many = layered.groupby("representation", sort=False).layer.nunique()
    names = list(many[many > 1].index if (many > 1).any() else many.index)
    order = [(name, norm) for name in names for norm in _SETTINGS]
    shown = layered[layered.representation.isin(names)]
    with style():
        titles = [f"{name}, {_SETTINGS[norm]}" for name, norm in order]
        figure, axes, _ = panels(titles, width=width, most=2, height=0.12 * shown.offset.nunique() + 0.03, stacked=True)
        for axis, (name, norm) in zip(axes, order, strict=True):
            part = shown[(shown.representation == name) & (shown.norm == ONE_NORM.get(name, norm))]
            image = _heat(axis, part, _highest(shown.assign(high=shown.score)))
            layer_axis(axis, int(shown.layer.min()), int(shown.layer.max()), None)
        _scale(figure, image, axes)
        head(figure, _head(table, "each representation's MRR@100 at each layer and offset"))
        settle(figure)
    return figure


def _lines(table: pd.DataFrame, norm: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each representation's rows in this setting of the norm."""
    for name in dict.fromkeys(table.representation):
        yield name, table[(table.representation == name) & (table.norm == ONE_NORM.get(name, norm))]


def _label(name: str, norm: bool) -> str:
    """Return what a line is called where the others have this setting of the norm."""
    return f"{name} (with norm)" if ONE_NORM.get(name, norm) and not norm else name


def _offset_lines(axis: Axes, best: pd.DataFrame, norm: bool, colours: dict[str, str]) -> Labels:
    """Draw the lines of one setting; gives what is written at their ends."""
    ends = {}
    for name, line in _lines(best, norm):
        honest = line[line.choice == HELD_OUT].sort_values("offset")
        highest = line[line.choice == BEST].sort_values("offset")
        curve(axis, honest.offset, honest, colours[name])
        if (np.abs(highest.score.to_numpy() - honest.score.to_numpy()) > ROUNDING).any():
            axis.plot(highest.offset, highest.score, "o", color=colours[name], markersize=3, markerfacecolor="white")
        end = last_score(honest)
        if end is not None:
            ends[_label(name, norm)] = end, colours[name]
    offsets = sorted(set(best.offset))
    axis.set_xticks(offsets)
    axis.set_xlim(offsets[0] - 0.2, offsets[-1] + 0.2)
    axis.set_xlabel("offset (1: the very next token)")
    return ends


def _layer_line(axis: Axes, line: pd.DataFrame, colour: str, table: pd.DataFrame) -> None:
    if line.layer.isna().all() or (len(line) == 1 and table.layer.nunique() > 1):
        across = float(table.layer.min()) - 0.5, float(table.layer.max()) + 0.5
        axis.plot(across, [line.score.iloc[0]] * 2, color=colour, linestyle=DASHED, linewidth=0.9)
        return
    line = line.sort_values("layer")
    curve(axis, line.layer, line, colour, linewidth=0.9)


def _heat(axis: Axes, part: pd.DataFrame, top: float) -> Any:
    grid = part.pivot_table(index="offset", columns="layer", values="score", dropna=False)
    layers, offsets = grid.columns.to_numpy(dtype=int), grid.index.to_numpy(dtype=int)
    rows = np.arange(len(offsets))
    image = axis.pcolormesh(_edges(layers), _edges(rows), grid.to_numpy(dtype=float), cmap="cividis", vmin=0, vmax=top)
    axis.set_yticks(rows, [str(offset) for offset in offsets])
    axis.set_ylabel("offset")
    return image


def _scale(figure: Figure, image: Any, axes: list[Axes]) -> None:
    """What the colours mean, below all panels."""
    grow(figure, 6)  # the scale, and the axis of the lowest panels
    wide, high = figure.get_size_inches()
    thick, share = 0.08, 0.6
    scale = figure.colorbar(
        image, ax=axes, location="bottom", shrink=share, aspect=share * wide / thick, fraction=2 * thick / high
    )
    scale.set_label("MRR@100 (brighter is better)")
    ticks_as_here(scale.ax)


def _edges(numbers: np.ndarray) -> np.ndarray:
    """Between which places each number stands: half way to its neighbours, and a half beyond the first and last."""
    return np.array([numbers[0] - 0.5, *(numbers[1:] + numbers[:-1]) / 2, numbers[-1] + 0.5])


def _highest(table: pd.DataFrame) -> float:
    """Return the highest score or bound; 1 where there is none."""
    highest = table[["score", "high"]].max().max()
    return float(highest) if highest > 0 else 1.0


def _layer_panel(axis: Axes, table: pd.DataFrame) -> None:
    axis.set_ylabel("MRR@100")
    layer_axis(axis, int(table.layer.min()), int(table.layer.max()), None)


def _legend(figure: Figure, colours: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    legend(
        figure,
        [
            Line2D(
                [],
                [],
                color=colour,
                label=_label(name, norm=False),
                linestyle=DASHED if name in ONE_NORM else stroke(colour),
            )
            for name, colour in colours.items()
        ],
    )


def _head(table: pd.DataFrame, note: str) -> list[str]:
    models, corpora = (", ".join(dict.fromkeys(table[column])) for column in ("model", "corpus"))
    documents = int(table.n.max())
    return [
        f"Which vectors predict the tokens after a prefix? {models} · {corpora} · {documents:,} documents",
        note,
    ]


def _colours(table: pd.DataFrame) -> dict[str, str]:
    return colours_of(list(dict.fromkeys(table.representation)), LENS_COLOURS)


def _check_not_empty(table: pd.DataFrame) -> None:
    if table.empty or not {"representation", "offset", "norm"} <= set(table.columns):
        raise ResultError("The table has no scores by offset to draw. Give the tables of a logit lens.")
