"""The paragraphs that the Wikipedia tasks of the built-in suite share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import chain
from typing import TypeVar

from valens.corpora import Article, wikipedia

T = TypeVar("T")

SEED = 0
"""Decides what is drawn. It is part of what the suite is, so it is no argument."""

CLASSES, PASSAGES_A_CLASS, TRAINING_PASSAGES = 10, 21, 9
CLUSTERS, PASSAGES_A_CLUSTER = 10, 12
OTHERS, PASSAGES_OF_ANOTHER = 34, 4

PASSAGE_WORDS = range(30, 101)
FEWEST_OF_A_SECTION, MOST_OF_A_SECTION = 2, 3
"""A section gives its first three suitable paragraphs, or its two; a section with one gives none."""


# --- the pool ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """A paragraph, the title of its article, and which of the article's sections it comes from."""

    article: str
    section: int
    text: str


@dataclass(frozen=True)
class Pool:
    """The paragraphs of the Wikipedia tasks by what they are for; an article is in one part only, its passages in a row."""

    classified: tuple[Passage, ...]
    clustered: tuple[Passage, ...]
    others: tuple[Passage, ...]
    openings: dict[str, str]
    """The opening sentence of each article, by title, in the order of the passages."""

    @property
    def passages(self) -> tuple[Passage, ...]:
        """All of them."""
        return self.classified + self.clustered + self.others


@cache
def pool() -> Pool:
    """Draw the articles, each to where most passages are needed and it has enough: classes, clusters, the rest."""
    wanted = ((CLASSES, PASSAGES_A_CLASS), (CLUSTERS, PASSAGES_A_CLUSTER), (OTHERS, PASSAGES_OF_ANOTHER))
    parts: tuple[list[Article], ...] = ([], [], [])
    for article in in_seeded_order(filter(opening_sentence, wikipedia()), lambda article: article.title):
        for part, (articles, passages) in zip(parts, wanted, strict=True):
            if len(part) < articles and len(passages_of(article, passages)) == passages:
                part.append(article)
                break
    classified, clustered, others = (
        tuple(chain.from_iterable(passages_of(article, passages) for article in part))
        for part, (_, passages) in zip(parts, wanted, strict=True)
    )
    openings = {article.title: opening_sentence(article) for article in chain(*parts)}
    return Pool(classified, clustered, others, openings)


def in_seeded_order(items: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """Sort the items into an order that depends on their names and the seed alone."""
    return sorted(items, key=lambda item: sha256(f"{SEED}/{name(item)}".encode()).digest())


def passages_of(article: Article, n: int) -> tuple[Passage, ...]:
    """Return the first `n` passages of the drawn sections, or fewer if there are no more; none is of the lead."""
    sections = (
        [Passage(article.title, index, text) for text in section.paragraphs if suitable(text)]
        for index, section in enumerate(article.sections)
        if section.title
    )
    enough = [passages[:MOST_OF_A_SECTION] for passages in sections if len(passages) >= FEWEST_OF_A_SECTION]
    shuffled = in_seeded_order(enough, lambda passages: passages[0].text)
    return tuple(chain.from_iterable(shuffled))[:n]


_SENTENCE_END = re.compile(r"(?<=[a-z0-9)][.!?])\s+(?=[A-Z\"“])")
_HOLE = re.compile(r"[,;(]\s*[,;.](?!\.)|[\[\]=]")
_OPENING_WORDS = range(8, 61)


def suitable(paragraph: str) -> bool:
    """Return whether it has the right length, ends as a sentence and has no hole where a formula or a sign stood."""
    return (
        len(paragraph.split()) in PASSAGE_WORDS and not paragraph.endswith((":", "…")) and not _HOLE.search(paragraph)
    )


def opening_sentence(article: Article) -> str:
    """Return the lead's first sentence of usual length, or an empty string."""
    lead = article.sections[0]
    sentences = chain.from_iterable(map(_SENTENCE_END.split, lead.paragraphs if not lead.title else ()))
    return next((sentence for sentence in sentences if len(sentence.split()) in _OPENING_WORDS), "")
