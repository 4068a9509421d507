"""What all figures share: fonts, sizes, colours, the layer axis, labels at the ends of lines, and how a figure is saved.

The colours are Okabe and Ito's, told apart by colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from valens.results import replace, writable_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#555555"

REPRESENTATION_COLOURS = {"VA": BLUE, "HS": VERMILLION, "LT": GREEN}
_FURTHER_COLOURS = (PINK, ORANGE, SKY, "#000000")

BAND_ALPHA = 0.15
"""How dark an interval's band is: lines that cross it stay legible."""

DASHED = (0, (4, 2))
"""The stroke of a baseline."""

_LINE_HEIGHT = 1.15
"""How far labels stay apart, in heights of a line of text."""

_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator:
    """Give pyplot with the house style, without a screen; the reader's own settings come back on leaving."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    with mpl.rc_context(_STYLE), plt.ioff():
        yield plt


def save_figure(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as PDF, with fonts that publishers take, and as PNG; gives the paths. ResultError if it cannot be."""
    paths = [writable_folder(folder) / f"{name}.{suffix}" for suffix in ("pdf", "png")]
    with style():
        for path in paths:
            replace(path, figure.savefig)
    return paths


def colours_of(names: list[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """A colour for each name: its own where it has one (by default VA, HS and LT), else the next that nobody has."""
    given = REPRESENTATION_COLOURS if known is None else known
    taken = {given[name] for name in names if name in given}
    free = iter([colour for colour in (*_FURTHER_COLOURS, BLUE, VERMILLION, GREEN) if colour not in taken])
    return {name: given.get(name) or next(free, GREY) for name in names}


def layer_axis(axis: Axes, first: int, last: int, n_layers: int | None, *, room: float = 0.0) -> None:
    """Whole layers from `first` to `last` below, depth above; `room` is the share left free on the right."""
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("layer")
    axis.set_xlim(first - 0.5, last + 0.5 + room * (last - first + 1))
    ticks = MaxNLocator(integer=True, nbins=7, min_n_ticks=1).tick_values(first - 0.5, last + 0.5)
    axis.set_xticks([tick for tick in ticks if first <= tick <= last])
    if n_layers is None:
        return
    above = axis.secondary_xaxis("top", functions=(_scaled(1 / n_layers), _scaled(n_layers)))
    above.set_xlabel("depth (fraction of the layers)")
    above.set_xticks([0, 0.25, 0.5, 0.75, 1])


def label_ends(axis: Axes, labels: Mapping[str, tuple[float, str]], *, x: float) -> None:
    """Write each label at `x` beside the height of its line's end, (y, colour), moved apart where labels would touch."""
    names = sorted(labels, key=lambda name: labels[name][0])
    if not names:
        return
    low, high = axis.get_ylim()
    inches = axis.bbox.height / axis.figure.dpi
    gap = _LINE_HEIGHT * _STYLE["font.size"] / 72 / inches * (high - low)
    heights = _apart(np.array([labels[name][0] for name in names]), gap, low + gap / 2, high - gap / 2)
    for name, height in zip(names, heights, strict=True):
        axis.annotate(
            name,
            (x, float(height)),
            xytext=(3, 0),
            textcoords="offset points",
            color=labels[name][1],
            va="center",
            annotation_clip=False,
        )


def _apart(wanted: Float[np.ndarray, " label"], gap: float, low: float, high: float) -> Float[np.ndarray, " label"]:
    """Heights in the same order, `gap` apart, as near those wanted as can be, and within the axis where there is room."""
    from scipy.optimize import isotonic_regression

    steps = gap * np.arange(len(wanted))
    lowest = isotonic_regression(wanted - steps).x
    return np.clip(lowest, low, max(low, high - steps[-1])) + steps


def _scaled(factor: float) -> Callable[[ArrayLike], np.ndarray]:
    return lambda numbers: np.asarray(numbers, dtype=float) * factor
