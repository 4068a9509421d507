"""The markup of Wikipedia pages as plain prose: what a reader would read aloud."""

from __future__ import annotations

import re
from collections.abc import Callable

from mwparserfromhell.nodes import ExternalLink, HTMLEntity, Node, Tag, Template, Text, Wikilink

_SILENT_TAGS = {"ref", "references", "table", "gallery", "math", "timeline", "source", "syntaxhighlight", "ol", "ul"}
_RANGES = {"to", "-", "–", "and", "or", "by", "x", "to(-)"}
_NAMESPACE = re.compile(r"\s*:?\s*(file|image|media|category|special|[a-z]{2,3}(-[a-z-]+)?)\s*:", re.IGNORECASE)
_LIST_ITEM = re.compile(r"^[*#:;].*$", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n\s*\n")


def _first(values: list[str]) -> str:
    return values[0] if values else ""


def _last(values: list[str]) -> str:
    return values[-1] if values else ""


def _quantity(values: list[str]) -> str:
    """Write `{{convert|3|to|4|ft|m}}` as 3 to 4 ft: the number that was written, without its conversion."""
    is_range = len(values) > 1 and values[1] in _RANGES
    return " ".join(values[: 4 if is_range else 2])


_SPOKEN_TEMPLATES: dict[str, Callable[[list[str]], str]] = {
    "angbr": _first,
    "as of": lambda values: f"as of {_first(values)}",
    "chem": "".join,
    "convert": _quantity,
    "frac": "/".join,
    "iast": _first,
    "lang": _last,
    "mdash": lambda _: "—",
    "mdashb": lambda _: "—",
    "nbsp": lambda _: " ",
    "ndash": lambda _: "–",
    "nihongo": _first,
    "nowrap": _first,
    "sc": _first,
    "small": _first,
    "smaller": _first,
    "snd": lambda _: " – ",
    "snds": lambda _: " – ",
    "spaces": lambda _: " ",
    "transl": _last,
    "val": _first,
    "vanchor": _first,
}
"""The templates that stand for words within a sentence, by the words they stand for; all others are silent."""


def template_name(template: Template) -> str:
    """Return the name by which a page calls a template, in lower case."""
    return str(template.name).strip().lower()


def plain(nodes: list[Node]) -> str:
    """Return what a reader would read at these nodes; list items keep their marker at the start of the line."""
    return "".join(map(_words, nodes))


def _words(node: Node) -> str:
    return _READERS.get(type(node), lambda _: "")(node)


def _external_link(node: ExternalLink) -> str:
    return plain(node.title.nodes) if node.title else ""


def _link(node: Wikilink) -> str:
    if _NAMESPACE.match(str(node.title)):
        return ""
    return plain((node.text or node.title).nodes)


def _tag(node: Tag) -> str:
    if node.wiki_markup in {"*", "#", ":", ";"}:
        return str(node.wiki_markup)
    name = str(node.tag).strip().lower()
    if name == "br":
        return " "
    return "" if name in _SILENT_TAGS or node.contents is None else plain(node.contents.nodes)


def _template(node: Template) -> str:
    speak = _SPOKEN_TEMPLATES.get(template_name(node), _first if template_name(node).startswith("lang-") else None)
    if speak is None:
        return ""
    return speak([plain(value.value.nodes).strip() for value in node.params if not value.showkey])


_READERS: dict[type[Node], Callable[..., str]] = {
    ExternalLink: _external_link,
    HTMLEntity: HTMLEntity.normalize,
    Tag: _tag,
    Template: _template,
    Text: str,
    Wikilink: _link,
}


def paragraphs(prose: str) -> tuple[str, ...]:
    """Split prose at blank lines; list items, scraps of tables and captions, and unread markup are left out."""
    parts = map(tidy, _BLANK_LINE.split(_LIST_ITEM.sub("\n", prose)))
    return tuple(part for part in parts if _SENTENCE_END.search(part) and not _UNREAD_MARKUP.search(part))


_SENTENCE_END = re.compile(r"[.!?:…][\"”’')\]]*$")
_UNREAD_MARKUP = re.compile(r"\[\[|\]\]|\{\{|\}\}|\||</?(?:ref|div|span|br|gallery|math)\b|https?://")
_REPAIRS = (
    (re.compile(r"'{2,}"), ""),
    (re.compile(r"__[A-Z]+__"), ""),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\(\s*(?:[,;:]\s*)*"), "("),
    (re.compile(r"[\s,;:]*\)"), ")"),
    (re.compile(r"\s*\(\)"), ""),
    (re.compile(r"\s+(?=[,.;:)])(?!\.\.)"), ""),
)


def tidy(prose: str) -> str:
    """Return one line of text, without the holes that silent markup leaves behind, as in `Alabama ( ; )`."""
    for pattern, replacement in _REPAIRS:
        prose = pattern.sub(replacement, prose)
    return prose.strip()
