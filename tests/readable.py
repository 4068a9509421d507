"""A judge of figures: the renderer says where every letter lies, and whether an axis says what it shows."""

from __future__ import annotations

from itertools import combinations
from unittest import mock

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, tick labels too, with the box of its letters in pixels."""
    texts: dict[int, Text] = {}
    draw = Text.draw

    def noted(text: Text, renderer: object) -> None:
        texts[id(text)] = text
        draw(text, renderer)

    with mock.patch.object(Text, "draw", noted):
        figure.draw_without_rendering()
    shown = [text for text in texts.values() if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), Text.get_window_extent(text)) for text in shown]


def assert_readable(figure: Figure) -> None:
    """No text is cut by the figure's edge or lies on another, and each panel's axes are named."""
    texts = drawn_texts(figure)
    assert texts
    cut = [text for text, box in texts if not _inside(figure.bbox, box)]
    assert not cut, f"cut by the edge: {cut}"
    touching = [(a, b) for (a, one), (b, other) in combinations(texts, 2) if one.padded(-0.5).overlaps(other)]
    assert not touching, f"on one another: {touching}"
    for axis in figure.axes:
        assert _named(axis), f"{axis} does not say what it shows"
        height = axis.get_window_extent().height / figure.dpi
        assert not axis.get_visible() or height > 0.03, f"{axis} has collapsed"


def _inside(outer: Bbox, box: Bbox) -> bool:
    room = outer.padded(0.5)  # of a pixel, for the roundness of letters
    return room.contains(box.x0, box.y0) and room.contains(box.x1, box.y1)


def _named(axis: Axes) -> bool:
    """Whether both directions have a label; one whose ticks are unlabelled is named by the panel below."""
    if not axis.get_visible():
        return True
    if axis.get_label() == "<colorbar>":
        return bool(axis.get_xlabel() or axis.get_ylabel())
    bare = not any(label.get_visible() and label.get_text() for label in axis.get_xticklabels())
    above = [child for child in axis.child_axes if not child.get_xlabel()]
    return bool(axis.get_ylabel()) and (bool(axis.get_xlabel()) or bare) and not above
