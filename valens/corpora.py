"""Texts that need no hub: the Lee news documents and a Wikipedia sample, read from the data files in gensim's wheel.

The wheel is looked into, never imported. The Wikipedia pages are under CC BY-SA 3.0; the Lee documents and their human
judgements are those of Lee, Pincombe and Welsh, "An empirical evaluation of models of text document similarity" (2005).
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import mwparserfromhell
import numpy as np
from jaxtyping import Float
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Node, Tag, Template, Text, Wikilink
from mwparserfromhell.wikicode import Wikicode

from valens.errors import CorpusError
from valens.wheels import find_in_wheel

LEE_DOCUMENTS = "lee.cor"
LEE_SIMILARITIES = "similarities0-1.txt"
WIKIPEDIA_PAGES = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


@dataclass(frozen=True)
class Lee:
    """The Lee documents, and how alike people found each pair: the mean of about ten judgements, from 0.2 to 1."""

    documents: tuple[str, ...]
    similarity: Float[np.ndarray, "document document"]


@dataclass(frozen=True)
class Section:
    """The prose between one heading and the next, whatever its level; the lead has the title ``""``."""

    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Article:
    """A Wikipedia article as plain prose: no lists, tables, formulas, captions, notes or reference sections."""

    title: str
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        """Every paragraph in reading order, without headings, a blank line between two."""
        return "\n\n".join(paragraph for section in self.sections for paragraph in section.paragraphs)


@cache
def lee() -> Lee:
    """The 50 Lee documents (news, about 80 words each) and their symmetric matrix of human similarities.

    Raises MissingPackageError without gensim's wheel, CorpusError if its files are not what is expected.
    """
    documents = tuple(_data_file(LEE_DOCUMENTS).read_text(encoding="latin-1").splitlines())
    upper = np.loadtxt(_data_file(LEE_SIMILARITIES))
    if upper.shape != (len(documents), len(documents)):
        raise CorpusError(
            f"{LEE_SIMILARITIES} must judge every pair of the {len(documents)} texts of {LEE_DOCUMENTS}; its shape is "
            f"{upper.shape}. Install gensim's wheel afresh: pip install --no-deps --force-reinstall gensim"
        )
    similarity = np.triu(upper) + np.triu(upper, 1).T
    similarity.setflags(write=False)
    return Lee(documents, similarity)


@cache
def wikipedia() -> tuple[Article, ...]:
    """The articles of the Wikipedia sample (2016, names with A) in the order of the dump; some seconds, once a process.

    Redirects, disambiguation pages and pages outside the article namespace are left out, and so are articles
    without a paragraph of prose. Raises MissingPackageError without gensim's wheel.
    """
    articles = (_article(title, markup) for title, markup in _pages(_data_file(WIKIPEDIA_PAGES)))
    return tuple(article for article in articles if article is not None)


def _data_file(name: str) -> Path:
    return find_in_wheel("gensim", f"test/test_data/{name}", install="pip install --no-deps gensim")


# --- the dump ---------------------------------------------------------------------------------------------------------


def _pages(path: Path) -> Iterator[tuple[str, str]]:
    """Title and markup of each page in the article namespace that is no redirect; one page in memory at a time."""
    with bz2.open(path) as stream:
        events = ElementTree.iterparse(stream, events=("start", "end"))
        _, root = next(events)
        space = root.tag.removesuffix("mediawiki")
        for event, element in events:
            if event == "end" and element.tag == f"{space}page":
                if element.findtext(f"{space}ns") == "0" and element.find(f"{space}redirect") is None:
                    yield (
                        element.findtext(f"{space}title", ""),
                        element.findtext(f"{space}revision/{space}text", ""),
                    )
                root.clear()


def _article(title: str, markup: str) -> Article | None:
    code = mwparserfromhell.parse(markup)
    if any(_name(template) in _DISAMBIGUATION for template in code.filter_templates(recursive=False)):
        return None
    sections = tuple(_sections(code))
    return Article(title, sections) if sections else None


def _sections(code: Wikicode) -> Iterator[Section]:
    """The sections that have prose; those that hold an article's apparatus are skipped with their subsections."""
    skipped_level = None
    for title, level, nodes in _headed(code):
        if skipped_level is not None and level > skipped_level:
            continue
        skipped_level = level if title.lower() in _APPARATUS else None
        paragraphs = () if skipped_level is not None else _paragraphs(_plain(nodes))
        if paragraphs:
            yield Section(title, paragraphs)


def _headed(code: Wikicode) -> Iterator[tuple[str, int, list[Node]]]:
    """Heading, its level (the lead: 1) and the nodes up to the next heading."""
    title, level = "", 1
    nodes: list[Node] = []
    for node in code.nodes:
        if isinstance(node, Heading):
            yield title, level, nodes
            title, level, nodes = _tidy(_plain(node.title.nodes)), node.level, []
        else:
            nodes.append(node)
    yield title, level, nodes


# --- markup to prose --------------------------------------------------------------------------------------------------

_DISAMBIGUATION = {"disambiguation", "disambig", "geodis", "hndis", "dab"}
_APPARATUS = {
    "bibliography",
    "citations",
    "external links",
    "footnotes",
    "further reading",
    "literature",
    "notes",
    "notes and references",
    "references",
    "see also",
    "sources",
    "works cited",
}
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
    """`{{convert|3|to|4|ft|m}}` as 3 to 4 ft: the number that was written, without its conversion."""
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


def _name(template: Template) -> str:
    return str(template.name).strip().lower()


def _plain(nodes: list[Node]) -> str:
    return "".join(map(_words, nodes))


def _words(node: Node) -> str:
    """What a reader of the page would read at this node; list items keep their marker at the start of the line."""
    return _READERS.get(type(node), lambda _: "")(node)


def _external_link(node: ExternalLink) -> str:
    return _plain(node.title.nodes) if node.title else ""


def _link(node: Wikilink) -> str:
    if _NAMESPACE.match(str(node.title)):
        return ""
    return _plain((node.text or node.title).nodes)


def _tag(node: Tag) -> str:
    if node.wiki_markup in {"*", "#", ":", ";"}:
        return str(node.wiki_markup)
    name = str(node.tag).strip().lower()
    if name == "br":
        return " "
    return "" if name in _SILENT_TAGS or node.contents is None else _plain(node.contents.nodes)


def _template(node: Template) -> str:
    speak = _SPOKEN_TEMPLATES.get(_name(node), _first if _name(node).startswith("lang-") else None)
    if speak is None:
        return ""
    return speak([_plain(value.value.nodes).strip() for value in node.params if not value.showkey])


_READERS: dict[type[Node], Callable[..., str]] = {
    ExternalLink: _external_link,
    HTMLEntity: HTMLEntity.normalize,
    Tag: _tag,
    Template: _template,
    Text: str,
    Wikilink: _link,
}


def _paragraphs(prose: str) -> tuple[str, ...]:
    """Blank lines part paragraphs; list items, scraps of tables and captions, and unread markup are left out."""
    parts = map(_tidy, _BLANK_LINE.split(_LIST_ITEM.sub("\n", prose)))
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


def _tidy(prose: str) -> str:
    """One line of text, without the holes that silent markup leaves behind, as in `Alabama ( ; )`."""
    for pattern, replacement in _REPAIRS:
        prose = pattern.sub(replacement, prose)
    return prose.strip()
