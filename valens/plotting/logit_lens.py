"""Figures 7 and 8's numbers, from the stored tables of a logit lens: by offset, by layer, and both as a map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.plotting.style import (
    BAND_ALPHA,
    BLUE,
    DASHED,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    colours_of,
    label_ends,
    save_figure,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from valens.results import Result

LENS_COLOURS = {"VA": BLUE, "VA-uniform": SKY, "VA-sum": GREEN, "WHS": ORANGE, "LHS": VERMILLION, "unigram": GREY}

_ONE_NORM = {"LHS": True, "unigram": False}
"""Lines that are drawn alike in both settings: the model's own readout has its final norm, and frequencies have none."""

_SETTINGS = {False: "without the final norm", True: "with the final norm"}
_OTHER_HALF, _BEST = "other half", "best layer"


def lens_by_offset(best: pd.DataFrame) -> Figure:
    """Figure 8: MRR@100 by offset, one line a representation with its 95 % band, one panel a setting of the norm.

    `best` is a logit lens's table of best layers. Lines have their layer chosen on the documents that are not scored; a
    small circle is the maximum over layers. The figure is the caller's alone: pyplot does not keep it.
    """
    _refuse_empty(best)
    colours = _colours(best)
    with style() as plt:
        figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.9), sharey=True, layout="constrained")
        top = float(best.high.max())
        for axis, norm in zip(axes, _SETTINGS, strict=True):
            for name, line in _lines(best, norm):
                _offset_line(axis, line, colours[name], dashed=name == "unigram")
            _offset_axis(axis, best)
            axis.set_title(_SETTINGS[norm] + ("" if norm else ", as in the paper"))
            axis.set_ylim(0, 1.06 * top)
        axes[0].set_ylabel("MRR@100 (band: 95 % interval)")
        figure.canvas.draw()  # the labels' distances depend on the panels' final height
        for axis, norm in zip(axes, _SETTINGS, strict=True):
            ends = {}
            for name, line in _lines(best, norm):
                last = line[(line.choice == _OTHER_HALF) & (line.offset == line.offset.max())]
                ends[name] = (float(last.score.iloc[0]), colours[name])
            label_ends(axis, ends, x=float(best.offset.max()))
        _head(figure, best, "lines: layer chosen on the documents that are not scored; circles: maximum over layers")
        plt.close(figure)
    return figure


def lens_by_layer(table: pd.DataFrame) -> Figure:
    """MRR@100 by layer: one panel an offset and setting of the norm, one line a representation with its 95 % band.

    `table` is a logit lens's scores. Dashed lines are what has no layers: LHS and the frequencies of tokens.
    """
    from matplotlib.ticker import MaxNLocator

    _refuse_empty(table)
    colours, offsets = _colours(table), sorted(set(table.offset))
    last = int(table.layer.max())
    with style() as plt:
        figure, axes = plt.subplots(
            2, len(offsets), figsize=(1.5 * len(offsets) + 0.8, 4.2), sharex=True, squeeze=False, layout="constrained"
        )
        for row, norm in enumerate(_SETTINGS):
            for column, offset in enumerate(offsets):
                axis, part = axes[row][column], table[table.offset == offset]
                for name, line in _lines(part, norm):
                    _layer_line(axis, line, colours[name], last)
                axis.set_xlim(0.5, last + 0.5)
                axis.set_ylim(0, 1.03 * float(part.high.max()))
                axis.set_title(f"offset {offset}")
            axes[row][0].set_ylabel(f"MRR@100\n{_SETTINGS[norm]}")
        for axis in axes[1]:
            axis.set_xlabel(f"layer (of {last})")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
        _legend(figure, colours)
        _head(figure, table, "bands: 95 % intervals; dashed: what has one layer or none")
        plt.close(figure)
    return figure


def lens_map(table: pd.DataFrame) -> Figure:
    """MRR@100 by layer and offset as a heat map: one panel a representation and setting of the norm.

    The scale ends where the representations that have layers end; what is above is written into the cell.
    """
    _refuse_empty(table)
    layered = table[table.layer.notna()]
    names = [name for name in LENS_COLOURS if name in set(layered.representation)]
    many = layered.groupby("representation").layer.nunique()
    top = float(layered.score[layered.representation.map(many) > 1].max())
    with style() as plt:
        figure, axes = plt.subplots(
            2, len(names), figsize=(1.3 * len(names) + 1.2, 5.0), sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for row, norm in enumerate(_SETTINGS):
            for axis, name in zip(axes[row], names, strict=True):
                part = layered[(layered.representation == name) & (layered.norm == _ONE_NORM.get(name, norm))]
                image = _heat(axis, part, top)
                axis.set_title(name)
            axes[row][0].set_ylabel(f"layer\n{_SETTINGS[norm]}")
        for axis in axes[1]:
            axis.set_xlabel("offset")
        figure.colorbar(image, ax=axes, label="MRR@100", extend="max", shrink=0.6)
        _head(figure, table, "brighter is better; LHS has the last layer alone, and the final norm throughout")
        plt.close(figure)
    return figure


def save_lens_figures(result: Result, folder: str | Path) -> list[Path]:
    """Draw and write all three from a stored result, as PDF and PNG; ResultError if it is of another kind."""
    if "best" not in result.details:
        raise ResultError(
            f"This is a result of {result.kind}, which has no best layers by offset. Give a logit lens's."
        )
    figures = {
        "figure8": lens_by_offset(result.details["best"]),
        "figure8-layers": lens_by_layer(result.table),
        "figure8-map": lens_map(result.table),
    }
    return [path for name, figure in figures.items() for path in save_figure(figure, folder, name)]


def _lines(table: pd.DataFrame, norm: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each representation's rows in this setting of the norm."""
    for name in dict.fromkeys(table.representation):
        yield name, table[(table.representation == name) & (table.norm == _ONE_NORM.get(name, norm))]


def _offset_line(axis: Axes, line: pd.DataFrame, colour: str, *, dashed: bool) -> None:
    honest = line[line.choice == _OTHER_HALF].sort_values("offset")
    highest = line[line.choice == _BEST].sort_values("offset")
    axis.fill_between(honest.offset, honest.low, honest.high, color=colour, alpha=BAND_ALPHA, linewidth=0)
    axis.plot(honest.offset, honest.score, color=colour, linestyle=DASHED if dashed else "-")
    if (highest.score.to_numpy() != honest.score.to_numpy()).any():
        axis.plot(highest.offset, highest.score, "o", color=colour, markersize=3.5, markerfacecolor="white")


def _offset_axis(axis: Axes, best: pd.DataFrame) -> None:
    offsets = sorted(set(best.offset))
    axis.set_xticks(offsets)
    axis.set_xlim(offsets[0] - 0.2, offsets[-1] + 0.06 * (offsets[-1] - offsets[0] + 1))
    axis.set_xlabel("offset (1: the token right behind the prefix)")


def _layer_line(axis: Axes, line: pd.DataFrame, colour: str, last: int) -> None:
    if len(line) == 1:
        axis.plot([0.5, last + 0.5], [line.score.iloc[0]] * 2, color=colour, linestyle=DASHED, linewidth=1.0)
        return
    line = line.sort_values("layer")
    x = line.layer.to_numpy(dtype=int)
    axis.fill_between(x, line.low, line.high, color=colour, alpha=BAND_ALPHA, linewidth=0)
    axis.plot(x, line.score, color=colour, linewidth=1.2)


def _heat(axis: Axes, part: pd.DataFrame, top: float) -> Any:
    grid = part.pivot_table(index="layer", columns="offset", values="score")
    layers, offsets = grid.index.to_numpy(dtype=int), grid.columns.to_numpy(dtype=int)
    values = grid.to_numpy(dtype=float)
    image = axis.pcolormesh(np.arange(len(offsets) + 1) - 0.5, _edges(layers), values, cmap="cividis", vmin=0, vmax=top)
    axis.set_xticks(range(len(offsets)), [str(offset) for offset in offsets])
    for row, column in zip(*np.nonzero(values > top), strict=True):
        y = float(layers[row]) - (1.2 if len(layers) == 1 else 0)
        axis.annotate(
            f".{round(100 * values[row, column]):02d}", (float(column), y), ha="center", va="center", fontsize=6
        )
    return image


def _edges(layers: np.ndarray) -> np.ndarray:
    return np.append(layers - 0.5, layers[-1] + 0.5)


def _legend(figure: Figure, colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, label=name, linestyle=DASHED if name in _ONE_NORM else "-")
        for name, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2, handlelength=1.8)


def _head(figure: Figure, table: pd.DataFrame, note: str) -> None:
    models, corpora = (", ".join(dict.fromkeys(table[column])) for column in ("model", "corpus"))
    figure.suptitle(
        f"Which vectors predict the tokens behind a prefix? {models} · {corpora} · {int(table.n.max()):,} documents\n{note}",
        fontsize=8,
        x=0.01,
        ha="left",
    )


def _colours(table: pd.DataFrame) -> dict[str, str]:
    return colours_of(list(dict.fromkeys(table.representation)), LENS_COLOURS)


def _refuse_empty(table: pd.DataFrame) -> None:
    if table.empty or not {"representation", "offset", "norm"} <= set(table.columns):
        raise ResultError("The table has no scores by offset to draw. Give the tables of a logit lens.")
