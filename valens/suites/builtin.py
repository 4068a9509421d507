"""The `builtin` suite: five real tasks, one of each type, on texts that ship in a wheel; no hub, minutes on two cores.

The four Wikipedia tasks share one pool of paragraphs, so a model reads each once. The pool is drawn in the order of
SHA-256 under a fixed seed, so it is the same in every process and with every version of the random generators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations, groupby

from valens.corpora import lee
from valens.suites.pool import TRAINING_PASSAGES, Passage, pool
from valens.tasks import Classification, Clustering, Reranking, Retrieval, Sts, Task


@cache
def lee_sts() -> Sts:
    """Build `LeeSTS`: the 1,225 pairs of the 50 Lee news documents, judged by people from unlike to alike.

    It measures meaning because people judged it, and because documents on one event often share few words. Most
    pairs are simply unlike, and people's judgements of those are noisy: expect low correlations from any method.
    """
    corpus = lee()
    first, second = zip(*combinations(range(len(corpus.documents)), 2), strict=True)
    gold = tuple(float(corpus.similarity[pair]) for pair in zip(first, second, strict=True))
    return Sts("LeeSTS", corpus.documents, first, second, gold)


@cache
def wiki_retrieval() -> Retrieval:
    """Build `WikiRetrieval`: 54 opening sentences of articles look for the body paragraphs of their own article.

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
    """Build `WikiReranking`: the first paragraph of a section looks for those of its section in the same article.

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
    """Build `WikiClustering`: 120 paragraphs, 12 from each of 10 articles, to be grouped by article.

    The paragraphs of an article come from several of its sections: a cluster is held together by a subject, not by
    the phrases of one passage.
    """
    passages = pool().clustered
    return Clustering("WikiClustering", *_labelled(passages))


@cache
def wiki_classification() -> Classification:
    """Build `WikiClassification`: 210 paragraphs labelled by article, 21 from each of 10, none of the clustering's.

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


BUILDERS: dict[str, Callable[[], Task]] = {
    "LeeSTS": lee_sts,
    "WikiRetrieval": wiki_retrieval,
    "WikiReranking": wiki_reranking,
    "WikiClustering": wiki_clustering,
    "WikiClassification": wiki_classification,
}


def _labelled(passages: Sequence[Passage]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(passage.text for passage in passages), tuple(passage.article for passage in passages)
