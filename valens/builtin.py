"""The `builtin` suite: five real tasks, one of each type, on texts that ship in a wheel; no hub, minutes on two cores.

The four Wikipedia tasks share one pool of paragraphs, so a model reads each once. The pool is drawn in the order of
SHA-256 under a fixed seed, so it is the same in every process and with every version of the random generators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import chain, combinations, groupby
from pathlib import Path
from typing import TypeVar

from valens.corpora import Article, lee, wikipedia
from valens.errors import TaskError
from valens.nearest import did_you_mean
from valens.tasks import Classification, Clustering, Reranking, Retrieval, Sts, Suite, Task

T = TypeVar("T")

SEED = 0
"""Decides what is drawn. It is part of what the suite is, so it is no argument."""

CLASSES, PASSAGES_A_CLASS, TRAINING_PASSAGES = 10, 21, 9
CLUSTERS, PASSAGES_A_CLUSTER = 10, 12
OTHERS, PASSAGES_OF_ANOTHER = 34, 4

PASSAGE_WORDS = range(30, 101)
FEWEST_OF_A_SECTION, MOST_OF_A_SECTION = 2, 3
"""A section gives its first three suitable paragraphs, or its two; a section with one gives none."""


def builtin() -> Suite:
    """The five tasks. Together about 36,000 words of different texts, of which the four Wikipedia tasks share 32,000."""
    return suite_named("builtin")


def suite_named(name: str, *, data_root: str | Path | None = None, strict: bool = False) -> Suite:
    """`builtin`; `paper`; built-in tasks, as in `LeeSTS,WikiRetrieval`; mteb's, as in `mteb:STS15,SciFact@train`.

    Of mteb's tasks, of which `paper` is made, those whose data cannot be had are left out and named in `Suite.left_out`;
    `strict` makes that an error. `data_root` is a local mirror of the hub. Raises TaskError for what is no suite, and for a
    mirror where nothing is read from the hub.
    """
    asked = name.strip()
    if from_mteb(asked):
        from valens.mteb.suites import PAPER, mteb_suite

        tasks = PAPER if asked == "paper" else asked.removeprefix("mteb:").split(",")
        return mteb_suite(asked, tasks, data_root=data_root, strict=strict)
    names = list(_BUILDERS) if asked == "builtin" else [part.strip() for part in asked.split(",")]
    suite = Suite(asked, tuple(map(task_named, names)))
    if data_root is not None:
        raise TaskError(f"{asked} is not read from the hub, nor from a mirror of it. Leave --data-root out.")
    return suite


def from_mteb(name: str) -> bool:
    """Whether a suite of this name is of mteb's tasks, which come from the hub or from a mirror of it."""
    return name.strip() == "paper" or name.strip().startswith("mteb:")


def task_named(name: str) -> Task:
    """The built-in task of this name; TaskError with the nearest names, and with all there are."""
    if name not in _BUILDERS:
        raise TaskError(
            f"There is no built-in task {name!r}. {did_you_mean(name, _BUILDERS, n=3)}"
            f"The tasks are {', '.join(_BUILDERS)}; the suite `builtin` is all of them. The paper's suite is `paper`, and "
            "tasks of MTEB are named as in `mteb:STS15,SciFact@train`."
        )
    return _BUILDERS[name]()


@cache
def lee_sts() -> Sts:
    """`LeeSTS`: the 1,225 pairs of the 50 Lee news documents, judged by people on one scale from unlike to alike.

    It measures meaning because people judged it, and because documents on one event often share few words. Most
    pairs are simply unlike, and people's judgements of those are noisy: expect low correlations from any method.
    """
    corpus = lee()
    first, second = zip(*combinations(range(len(corpus.documents)), 2), strict=True)
    gold = tuple(float(corpus.similarity[pair]) for pair in zip(first, second, strict=True))
    return Sts("LeeSTS", corpus.documents, first, second, gold)


@cache
def wiki_retrieval() -> Retrieval:
    """`WikiRetrieval`: 54 opening sentences of articles, which look for the body paragraphs of their own article.

    The documents are all 466 paragraphs of the pool, from the same 54 articles and from no lead. An opening sentence
    says what the article is about, a body paragraph tells one detail of it and often never names it.
    """
    passages, openings = pool().passages, pool().openings
    positions: dict[str, dict[int, int]] = {}
    for position, passage in enumerate(passages):
        positions.setdefault(passage.article, {})[position] = 1
    documents = tuple(range(len(passages)))
    return Retrieval(
        "WikiRetrieval",
        texts=(*(passage.text for passage in passages), *openings.values()),
        queries=tuple(range(len(passages), len(passages) + len(openings))),
        documents=documents,
        relevant=tuple(positions[article] for article in openings),
    )


@cache
def wiki_reranking() -> Reranking:
    """`WikiReranking`: the first paragraph of a section looks for those of its section in the same article.

    One query for each section of the pool's larger articles; the candidates are all other paragraphs of that article,
    1 or 2 of them right and 9 or more wrong. Every candidate shares the article's subject and its names, so what is
    left to tell them apart is what the paragraph says.
    """
    passages = pool().classified + pool().clustered
    rows = []
    for _, members in groupby(enumerate(passages), key=lambda row: row[1].article):
        article = list(members)
        for _, of_section in groupby(article, key=lambda row: row[1].section):
            query, passage = next(of_section)
            candidates = [
                (position, other.section == passage.section) for position, other in article if position != query
            ]
            if len({right for _, right in candidates}) > 1:
                rows.append((query, *zip(*candidates, strict=True)))
    queries, candidates_of, relevant = zip(*rows, strict=True)
    return Reranking("WikiReranking", tuple(passage.text for passage in passages), queries, candidates_of, relevant)


@cache
def wiki_clustering() -> Clustering:
    """`WikiClustering`: 120 paragraphs, 12 from each of 10 articles, to be parted by article.

    The paragraphs of an article come from several of its sections: a cluster is held together by a subject, not by
    the phrases of one passage.
    """
    passages = pool().clustered
    return Clustering("WikiClustering", *_labelled(passages))


@cache
def wiki_classification() -> Classification:
    """`WikiClassification`: 210 paragraphs, 21 from each of 10 articles (none of the clustering's), labelled by article.

    The training texts, 9 to 11 an article, and the test texts come from different sections, so what was learnt from one
    aspect of a subject must be known again in another.
    """
    passages = pool().classified
    train: list[int] = []
    for _, members in groupby(range(len(passages)), key=lambda position: passages[position].article):
        learnt: list[int] = []
        for _, of_section in groupby(members, key=lambda position: passages[position].section):
            if len(learnt) < TRAINING_PASSAGES:
                learnt.extend(of_section)
        train.extend(learnt)
    test = sorted(set(range(len(passages))) - set(train))
    return Classification("WikiClassification", *_labelled(passages), train=tuple(train), test=tuple(test))


_BUILDERS: dict[str, Callable[[], Task]] = {
    "LeeSTS": lee_sts,
    "WikiRetrieval": wiki_retrieval,
    "WikiReranking": wiki_reranking,
    "WikiClustering": wiki_clustering,
    "WikiClassification": wiki_classification,
}


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
    """Drawn articles go where most passages are asked for and they have enough: to the classes, the clusters, the rest."""
    wanted = ((CLASSES, PASSAGES_A_CLASS), (CLUSTERS, PASSAGES_A_CLUSTER), (OTHERS, PASSAGES_OF_ANOTHER))
    parts: tuple[list[Article], ...] = ([], [], [])
    for article in _shuffled(filter(_opening, wikipedia()), lambda article: article.title):
        for part, (articles, passages) in zip(parts, wanted, strict=True):
            if len(part) < articles and len(_drawn(article, passages)) == passages:
                part.append(article)
                break
    classified, clustered, others = (
        tuple(chain.from_iterable(_drawn(article, passages) for article in part))
        for part, (_, passages) in zip(parts, wanted, strict=True)
    )
    openings = {article.title: _opening(article) for article in chain(*parts)}
    return Pool(classified, clustered, others, openings)


def _shuffled(items: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """The items in an order that depends on their names and the seed alone."""
    return sorted(items, key=lambda item: sha256(f"{SEED}/{name(item)}".encode()).digest())


def _drawn(article: Article, n: int) -> tuple[Passage, ...]:
    """The first `n` passages of the drawn sections, or fewer if there are no more; none is of the lead."""
    sections = (
        [Passage(article.title, index, text) for text in section.paragraphs if _suitable(text)]
        for index, section in enumerate(article.sections)
        if section.title
    )
    enough = [passages[:MOST_OF_A_SECTION] for passages in sections if len(passages) >= FEWEST_OF_A_SECTION]
    shuffled = _shuffled(enough, lambda passages: passages[0].text)
    return tuple(chain.from_iterable(shuffled))[:n]


_SENTENCE_END = re.compile(r"(?<=[a-z0-9)][.!?])\s+(?=[A-Z\"“])")
_HOLE = re.compile(r"[,;(]\s*[,;.](?!\.)|[\[\]=]")
_OPENING_WORDS = range(8, 61)


def _suitable(paragraph: str) -> bool:
    """Whether it is of the right length, ends as a sentence and has no hole where a formula or a sign stood."""
    return (
        len(paragraph.split()) in PASSAGE_WORDS and not paragraph.endswith((":", "…")) and not _HOLE.search(paragraph)
    )


def _opening(article: Article) -> str:
    """The lead's first sentence of usual length, or nothing."""
    lead = article.sections[0]
    sentences = chain.from_iterable(map(_SENTENCE_END.split, lead.paragraphs if not lead.title else ()))
    return next((sentence for sentence in sentences if len(sentence.split()) in _OPENING_WORDS), "")


def _labelled(passages: Sequence[Passage]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(passage.text for passage in passages), tuple(passage.article for passage in passages)
