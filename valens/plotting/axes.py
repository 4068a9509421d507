"""What a figure is put together from: panels of a page's width, the layer axis, lines with bands, a legend that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from valens.plotting.labels import LINE_HEIGHT, grow, height_for, label_ends, room_of, title, wrapped
from valens.plotting.style import (
    BAND_ALPHA,
    DASHED,
    FONT_SIZE,
    GREY,
    LINE,
    TICK,
    TITLE_SIZE,
    Width,
    inches,
    stroke,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axes._secondary_axes import SecondaryAxis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

_BELOW, _BETWEEN, _ABOVE = 0.36, 0.13, 0.34
"""Inches that an axis takes below its panel, ticks alone, and a second axis above."""

_TITLE_SHARE = 0.66
"""How much of a panel's width, with its labels, a title may take."""

Labels = dict[str, tuple[float, str]]
"""What is written at the ends of lines: for each name its height, in the axis's units, and its colour."""


def panels(
    titles: Sequence[str],
    *,
    width: Width,
    most: int,
    height: float,
    names: Iterable[str] = (),
    above: bool = False,
    stacked: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes], float]:
    """Make a figure with a panel a title.

    Args:
        titles: one a panel.
        width: `one` or `two` columns of a page.
        most: how many panels stand side by side on a page's width; half as many in one column.
        height: inches from a panel's lowest tick to its highest; it becomes more where `names` ask for it.
        names: what is written at the ends of lines.
        above: leave room for a second axis above.
        stacked: only the lowest panel of each column has an axis below.
        sharey: all panels have the same scale.

    Returns:
        The figure, the panels, and how wide one panel is with its labels, in inches.

    """
    columns = min(most if width == "two" else max(1, most // 2), len(titles))
    rows, room = -(-len(titles) // columns), inches(width) / columns
    lines = max(wrapped(text, _TITLE_SHARE * room, size=TITLE_SIZE).count("\n") + 1 for text in titles)
    each = height_for(names, room=room, least=height) + lines * LINE_HEIGHT * TITLE_SIZE / 72
    each += (_BETWEEN if stacked else _BELOW) + (_ABOVE if above else 0)
    with style() as plt:
        figure, grid = plt.subplots(
            rows, columns, figsize=(inches(width), rows * each), sharey=sharey, squeeze=False, layout="constrained"
        )
        plt.close(figure)  # the caller's alone
    axes = list(grid.flat)
    for axis, text in zip(axes, titles, strict=False):
        title(axis, text, room=_TITLE_SHARE * room)
        ticks_as_here(axis)
        axis.tick_params(labelleft=True)
    for index, axis in enumerate(axes[: len(titles)]):
        if stacked and index + columns < len(titles):
            axis.tick_params(labelbottom=False)
            axis.xaxis.label.set_visible(False)
    for unused in axes[len(titles) :]:
        unused.set_visible(False)
    return figure, axes[: len(titles)], room


def ticks_as_here(axis: Axes | SecondaryAxis) -> None:
    """Fix how ticks look: matplotlib makes them when it draws, and then the house style may be gone."""
    axis.tick_params(labelsize=FONT_SIZE, width=LINE, length=TICK)


def label_panels(figure: Figure, ends: Mapping[Axes, Labels], *, room: float, indent: float = 0.0) -> None:
    """Write the labels at the ends of each panel's lines, and settle the figure."""
    _lay_out(figure)  # the labels' distances depend on the panels' final height
    for axis, labels in ends.items():
        label_ends(axis, labels, room=room, indent=indent)
    settle(figure)


def settle(figure: Figure) -> None:
    """Lay the figure out as it is now, and keep that: what is drawn later has the labels where they were found to fit."""
    _lay_out(figure)
    figure.set_layout_engine(None)


def _lay_out(figure: Figure) -> None:
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def n_layers_of(table: pd.DataFrame) -> int | None:
    """Return L of the model, from a row's layer and depth; None where only layer 0 is there, which cannot tell."""
    blocks = table[table.layer > 0]
    return None if blocks.empty else round(float(blocks.layer.iloc[0]) / float(blocks.depth.iloc[0]))


def layer_axis(axis: Axes, first: int, last: int, n_layers: int | None) -> None:
    """Draw the axes of layers: whole layers from `first` to `last` below, depth above."""
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("layer")
    axis.set_xlim(first - 0.5, last + 0.5)
    ticks = MaxNLocator(integer=True, nbins=7, min_n_ticks=1).tick_values(first - 0.5, last + 0.5)
    axis.set_xticks([tick for tick in ticks if first <= tick <= last])
    if n_layers is None:
        return
    above = axis.secondary_xaxis("top", functions=(_scaled(1 / n_layers), _scaled(n_layers)))
    ticks_as_here(above)
    above.spines["top"].set_visible(True)
    above.set_xlabel("depth (share of layers)")
    inside = [depth for depth in (0, 0.25, 0.5, 0.75, 1) if first - 0.5 <= depth * n_layers <= last + 0.5]
    above.set_xticks(inside or [first / n_layers])
    above.xaxis.set_major_formatter("{x:.2f}")


def curve(axis: Axes, x: ArrayLike, line: pd.DataFrame, colour: str, *, linewidth: float | None = None) -> None:
    """Draw a line of scores with its band; a score without neighbours is a dot with a bar.

    Args:
        axis: the panel.
        x: where each score stands.
        line: a table with `score`, `low` and `high`, a row a value of `x`; nan is not drawn.
        colour: of line and band.
        linewidth: in points; None is the house style's.

    """
    at, scores = np.asarray(x, dtype=float), line.score.to_numpy(dtype=float)
    low, high = line.low.to_numpy(dtype=float), line.high.to_numpy(dtype=float)
    axis.fill_between(at, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0)
    axis.plot(at, scores, color=colour, linestyle=stroke(colour), linewidth=linewidth)
    is_score = np.pad(np.isfinite(scores), 1)
    alone = is_score[1:-1] & ~is_score[:-2] & ~is_score[2:]
    if alone.any():
        axis.plot(at[alone], scores[alone], ".", color=colour, markersize=6)
        axis.vlines(at[alone], low[alone], high[alone], color=colour, alpha=0.5)


def last_score(line: pd.DataFrame) -> float | None:
    """Return the score at the end of a line, the last that is one; None if none is."""
    scores = line.score.dropna()
    return None if scores.empty else float(scores.iloc[-1])


def references(axis: Axes, scores: Sequence[float], across: tuple[float, float]) -> None:
    """Draw a dashed line for each score that has no layer and no training."""
    for score in scores:
        axis.plot(across, [score, score], color=GREY, linestyle=DASHED, linewidth=0.8, zorder=1)


def legend(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """Draw a legend below all panels, in as many columns as the width takes; the figure grows by its height."""
    width = figure.get_figwidth()
    names = [wrapped(str(handle.get_label()), 0.8 * width) for handle in handles]
    widest = max(room_of(name) for name in names) + 0.45
    columns = max(1, min(len(handles), int((width - 0.1) / widest)))
    lines = sum(name.count("\n") + 1 for name in names) if columns == 1 else -(-len(names) // columns)
    grow(figure, lines + 1)
    figure.legend(list(handles), names, loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=2.4)


def _scaled(factor: float) -> Callable[[ArrayLike], np.ndarray]:
    return lambda numbers: np.asarray(numbers, dtype=float) * factor
