"""A sample of Wikipedia, read from the dump in gensim's wheel; the pages are under CC BY-SA 3.0.

The wheel is looked into, never imported.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mwparserfromhell
from mwparserfromhell.nodes import Heading, Node
from mwparserfromhell.wikicode import Wikicode

from valens.corpora import wikitext
from valens.corpora.contract import Corpus, gathered
from valens.corpora.wikitext import paragraphs, plain, template_name, tidy
from valens.files.digests import digest
from valens.files.user_cache import code_hash, place, read_entry, write_entry
from valens.files.wheels import find_in_wheel

WIKIPEDIA_PAGES = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

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
def wikipedia() -> tuple[Article, ...]:
    """Read the articles of the Wikipedia sample (2016, names with A), which takes some seconds, and remember them.

    Returns:
        The articles in the order of the dump. Redirects, disambiguation pages and pages outside the article namespace
        are left out, and so are articles without a paragraph of prose.

    Raises:
        MissingPackageError: gensim's wheel is not installed.

    """
    dump = _sample()
    kept = _kept(dump)
    entry = read_entry(kept)
    if entry is not None:
        return tuple(_of_lists(*article) for article in entry["articles"])
    articles = (_article(title, markup) for title, markup in _pages(dump))
    found = tuple(article for article in articles if article is not None)
    write_entry(kept, {"articles": [_as_lists(article) for article in found]})
    return found


def wikipedia_corpus(*, limit: int | None = None) -> Corpus:
    """Return the articles of `wikipedia` as long texts, by their titles; `limit` keeps the first alone."""
    named_texts = ((article.title, article.text) for article in wikipedia())
    return gathered("wikipedia", named_texts, source="the Wikipedia sample (2016) in gensim's wheel", limit=limit)


def _sample() -> Path:
    return find_in_wheel("gensim", f"test/test_data/{WIKIPEDIA_PAGES}", install="pip install --no-deps gensim")


def _kept(dump: Path) -> Path | None:
    """Return where the articles are remembered that this code makes of this dump; None where there is no cache."""
    made_of = [
        sha256(dump.read_bytes()).hexdigest(),
        code_hash(__name__, wikitext.__name__),
        version("mwparserfromhell"),
    ]
    return place("texts", f"{digest(made_of)[:32]}.json")


def _as_lists(article: Article) -> list[Any]:
    return [article.title, [[section.title, list(section.paragraphs)] for section in article.sections]]


def _of_lists(title: str, sections: list[Any]) -> Article:
    return Article(title, tuple(Section(name, tuple(prose)) for name, prose in sections))


def _pages(path: Path) -> Iterator[tuple[str, str]]:
    """Yield title and markup of each page in the article namespace that does not redirect, one page in memory."""
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
    if any(template_name(template) in _DISAMBIGUATION for template in code.filter_templates(recursive=False)):
        return None
    sections = tuple(_sections(code))
    return Article(title, sections) if sections else None


def _sections(code: Wikicode) -> Iterator[Section]:
    """Yield the sections with prose; those of an article's apparatus are skipped with their subsections."""
    skipped_level = None
    for title, level, nodes in _headed(code):
        if skipped_level is not None and level > skipped_level:
            continue
        skipped_level = level if title.lower() in _APPARATUS else None
        prose = () if skipped_level is not None else paragraphs(plain(nodes))
        if prose:
            yield Section(title, prose)


def _headed(code: Wikicode) -> Iterator[tuple[str, int, list[Node]]]:
    """Yield each heading, its level (the lead: 1) and the nodes up to the next heading."""
    title, level = "", 1
    nodes: list[Node] = []
    for node in code.nodes:
        if isinstance(node, Heading):
            yield title, level, nodes
            title, level, nodes = tidy(plain(node.title.nodes)), node.level, []
        else:
            nodes.append(node)
    yield title, level, nodes
