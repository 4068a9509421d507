"""Words on figures: names at the ends of lines, heads above panels, all within their room and in letters that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from valens.plotting.style import FONT_SIZE, TITLE_SIZE, fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_HEIGHT = 1.2
"""How far two lines of text are apart, in heights of a letter."""

_LEADER = 9.0
"""How far a label stands from the axes, in points: room for the stroke that leads to it."""

_LABEL_SHARE = 0.3
"""How much of a panel's width a label may take before it goes on in a second line."""

_HINTED = 1.05
"""How much wider letters may become where they are fitted to coarser dots than they were measured with."""

_BREAKS = " /_-:."
"""After which a name may be broken."""


def label_ends(axis: Axes, labels: Mapping[str, tuple[float, str]], *, room: float, indent: float = 0.0) -> None:
    """Write each label beside the axes, at the height of its line's end, (y, colour), moved apart where they would touch.

    A label that was moved has a thin stroke from where its line ends. `room` is the panel's width in inches: long labels
    are wrapped to a share of it. `indent`, in points, keeps the place of something else free; then there are no strokes.
    """
    names = sorted(labels, key=lambda name: labels[name][0])
    if not names:
        return
    points = 72 / axis.figure.dpi
    height = axis.bbox.height * points
    texts = [wrapped(name, _LABEL_SHARE * room) for name in names]
    tall = np.array([LINE_HEIGHT * FONT_SIZE * (text.count("\n") + 1) for text in texts])
    ends = np.array([labels[name][0] for name in names])
    wanted = (axis.transData.transform([(0, end) for end in ends])[:, 1] - axis.bbox.y0) * points
    for name, text, end, shift in zip(names, texts, ends, _apart(wanted, tall, height) - wanted, strict=True):
        colour = labels[name][1]
        axis.annotate(
            text,
            (1, end),
            xycoords=axis.get_yaxis_transform(),
            xytext=(indent or _LEADER, shift),
            textcoords="offset points",
            color=colour,
            va="center",
            linespacing=1.0,
            annotation_clip=False,
            arrowprops=None if indent else _stroke(colour),
        )


def _stroke(colour: str) -> dict[str, object]:
    return {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 1, "relpos": (0, 0.5)}


def _apart(
    wanted: Float[np.ndarray, " label"], tall: Float[np.ndarray, " label"], height: float
) -> Float[np.ndarray, " label"]:
    """Return the labels' middles in order, none touching the next, near those wanted and within 0 to `height`.

    Where there is no room for all, they begin at 0 and reach beyond the height.
    """
    from scipy.optimize import isotonic_regression

    steps = np.cumsum(tall) - (tall + tall[0]) / 2
    lowest = isotonic_regression(wanted - steps).x
    first, last = tall[0] / 2, height - tall[-1] / 2 - steps[-1]
    return np.clip(lowest, first, max(first, last)) + steps


def height_for(labels: Iterable[str], *, room: float, least: float) -> float:
    """Return how high, in inches, a panel with these labels must be, from the lowest tick to the highest."""
    lines = sum(wrapped(label, _LABEL_SHARE * room).count("\n") + 1 for label in labels)
    return max(least, lines * LINE_HEIGHT * FONT_SIZE / 72)


def head(figure: Figure, lines: Sequence[str]) -> None:
    """Write these lines above all panels, wrapped to the figure's width, and make the figure so much higher."""
    width, margin = figure.get_figwidth(), 0.06
    text = "\n".join(wrapped(line, width - 2 * margin) for line in lines)
    figure.suptitle(text, fontsize=FONT_SIZE, x=margin / width, ha="left", linespacing=LINE_HEIGHT)
    grow(figure, text.count("\n") + 1)


def grow(figure: Figure, lines: float) -> None:
    """Make the figure higher by this many lines of text."""
    figure.set_figheight(figure.get_figheight() + lines * LINE_HEIGHT * FONT_SIZE / 72)


def title(axis: Axes, text: str, *, room: float) -> None:
    """Write a panel's title, wrapped to the panel's width in inches."""
    axis.set_title(wrapped(text, room, size=TITLE_SIZE), linespacing=1.0)


def wrapped(text: str, width: float, *, size: float = FONT_SIZE) -> str:
    """Break a text into lines of at most `width` inches: between words, else after a mark, else anywhere."""
    lines = [""]
    for piece in _pieces(escape_missing_glyphs(text)):
        for part in [piece] if _inches(piece.rstrip(), size) <= width else piece:
            if lines[-1] and _inches((lines[-1] + part).rstrip(), size) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def room_of(text: str) -> float:
    """Return how wide a text is, in inches."""
    return max(_inches(line, FONT_SIZE) for line in text.split("\n"))


def _pieces(text: str) -> list[str]:
    """Cut a text wherever it may be broken, each mark with what is before it."""
    pieces = [""]
    for letter in text:
        pieces[-1] += letter
        if letter in _BREAKS:
            pieces.append("")
    return pieces


def escape_missing_glyphs(text: str) -> str:
    r"""Escape, as in `\u4e2d`, each letter that no font at hand has, and what is not a letter."""
    return "".join(
        letter if letter.isprintable() and _drawable(letter) else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


@cache
def _drawable(letter: str) -> bool:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return any(get_font(findfont(FontProperties(family=name))).get_char_index(ord(letter)) for name in fonts())


@cache
def _inches(text: str, size: float) -> float:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    dots = 200
    font = FontProperties(family=list(fonts()), size=size)
    return _HINTED * RendererAgg(1, 1, dots).get_text_width_height_descent(text, font, ismath=False)[0] / dots
