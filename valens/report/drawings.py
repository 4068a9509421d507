"""A matplotlib figure inside a page: SVG with names that no other figure has, and without rules for the rest of the page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from valens.plotting.style import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_DROPPED = ("metadata", "style")
"""A `style` inside an SVG would rule the whole page."""


def inline_svg(figure: Figure, *, prefix: str) -> str:
    """Return the figure as an SVG element for an HTML page; `prefix` begins every id in it.

    Its own width, in points, is the custom property `--width`; the page decides what becomes of it. The same figure gives
    the same text each time.
    """
    file = io.BytesIO()
    write_figure(figure, file, kind="svg")
    root = ElementTree.fromstring(file.getvalue())
    for element in list(root.iter()):
        for child in [child for child in element if _local(child.tag) in _DROPPED]:
            element.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): _renamed(_local(name), value, prefix) for name, value in element.items()}
    root.attrib["style"] = f"--width: {float(root.attrib['width'].removesuffix('pt')):.0f}"
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"aria-hidden": "true", "focusable": "false"}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    """Without its namespace, which HTML gives by itself."""
    return name.rpartition("}")[2]


def _renamed(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return _REFERENCE.sub(rf"url(#{prefix}\1)", value)
