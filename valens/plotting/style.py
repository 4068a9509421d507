"""The house style, in one file: fonts, the widths of a page's columns, colours, strokes, and how a figure is saved.

The colours are Okabe and Ito's, told apart by colour-blind readers; where two come near, a dash tells them apart as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from valens.errors import ResultError
from valens.files.atomic import replace, writable_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Width = Literal["one", "two"]
"""How many columns of a two-column page a figure spans."""

WIDTHS: Mapping[str, float] = {"one": 3.3, "two": 6.9}
"""In inches, at which the letters have the sizes below."""

FONT_SIZE, TITLE_SIZE = 7.0, 8.0
"""In points."""

LINE, TICK = 0.6, 2.5
"""The width of the lines of axes, and the length of their ticks, in points."""

BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK, GREY = "#000000", "#555555"

REPRESENTATION_COLOURS = {"VA": BLUE, "HS": VERMILLION, "LT": GREEN}
_FURTHER_COLOURS = (PINK, ORANGE, SKY, BLACK)

BAND_ALPHA = 0.17
"""How dark an interval's band is: lines that cross it stay legible."""

THIN = 0.6
"""The width, in points, of a line that stands behind others."""

Stroke = Literal["-"] | tuple[float, tuple[float, ...]]

DASHED: Stroke = (0, (4, 2))
"""The stroke of a baseline."""

_STROKES: Mapping[str, Stroke] = {
    PINK: (0, (7, 1)),
    ORANGE: (0, (7, 1, 1, 1)),
    SKY: (0, (1, 0.8)),
    GREY: DASHED,
}
"""Of the colours that some eyes take for BLUE, VERMILLION or GREEN."""

_FONTS = (
    "DejaVu Sans",  # comes with matplotlib, so that figures look alike everywhere
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "Hiragino Sans", "PingFang SC", "Microsoft YaHei",
    "Yu Gothic", "Malgun Gothic", "WenQuanYi Micro Hei", "Noto Sans", "Arial Unicode MS",
)  # fmt: skip

_STYLE: dict[Any, Any] = {
    "font.size": FONT_SIZE,
    "axes.titlesize": TITLE_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.labelpad": 2.5,
    "axes.titlepad": 4,
    "axes.linewidth": LINE,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "xtick.major.width": LINE,
    "ytick.major.width": LINE,
    "xtick.major.size": TICK,
    "ytick.major.size": TICK,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "text.parse_math": False,  # a $ in a name is a $
    "pdf.fonttype": 42,
    "svg.hashsalt": "valens",
}

_UNDATED: Mapping[str, Mapping[str, None]] = {
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
"""What a file does not say, so that the same numbers make the same file."""


@contextmanager
def style() -> Iterator:
    """Give pyplot with the house style, without a screen, within `with`; the user's own settings come back after it."""
    from matplotlib import pyplot as plt

    with plt.style.context(["default", _STYLE | {"font.family": list(fonts())}]), plt.ioff():
        yield plt


@cache
def fonts() -> tuple[str, ...]:
    """Return the families that letters are taken from: of those listed, what this machine has, in that order."""
    from matplotlib.font_manager import fontManager

    here = set(fontManager.get_font_names())
    return tuple(name for name in _FONTS if name in here)


def inches(width: str) -> float:
    """Return how wide a figure is, in inches; ResultError for a width that has no name."""
    if width not in WIDTHS:
        known = " and ".join(f"{name!r} ({size} in)" for name, size in WIDTHS.items())
        raise ResultError(f"Figures come in the widths {known}; {width!r} was asked for. Choose one of these.")
    return WIDTHS[width]


def save_figure(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as PDF, with fonts that publishers take, and as PNG.

    The same figure gives the same bytes: neither file has a date.

    Args:
        figure: the figure.
        folder: where the files go; it is made if need be.
        name: the files' name, without suffix.

    Returns:
        The paths of the PDF and of the PNG.

    Raises:
        ResultError: the folder or a file cannot be written.

    """
    paths = [writable_folder(folder) / f"{name}.{suffix}" for suffix in ("pdf", "png")]
    for path in paths:
        replace(path, partial(write_figure, figure, kind=path.suffix[1:]))
    return paths


def write_figure(figure: Figure, file: Any, *, kind: str | None = None) -> None:
    """Write a figure into a path or an open file, in the house style and without a date.

    Args:
        figure: the figure.
        file: a path, or a file that is open for writing bytes.
        kind: `pdf`, `png` or `svg`; None takes the path's suffix.

    """
    kind = kind or Path(file).suffix[1:]
    with style():
        figure.savefig(file, format=kind, metadata=dict(_UNDATED[kind]))


def stroke(colour: str) -> Stroke:
    """Return how a line of this colour is drawn, so that lines differ in more than colour."""
    return _STROKES.get(colour, "-")


def colours_of(names: list[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a colour for each name: its own if it has one, else the next that is free.

    Args:
        names: what is drawn, in the order in which free colours are given.
        known: the colours of names that always have the same; None: VA blue, HS vermillion, LT green.

    Returns:
        A colour by name, as `#0072B2`; grey when all are taken.

    """
    given = REPRESENTATION_COLOURS if known is None else known
    taken = {given[name] for name in names if name in given}
    free = iter([colour for colour in (*_FURTHER_COLOURS, BLUE, VERMILLION, GREEN) if colour not in taken])
    return {name: given.get(name) or next(free, GREY) for name in names}
