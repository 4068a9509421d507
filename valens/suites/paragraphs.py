"""Paragraphs that no built-in task has, from other articles of the Wikipedia sample: something to fit on."""

from __future__ import annotations

from functools import cache

from valens.corpora import Corpus, wikipedia
from valens.suites.pool import in_seeded_order, pool, suitable


@cache
def paragraphs(n: int = 300) -> Corpus:
    """Return `n` paragraphs of 30 to 100 words, from articles that the built-in suite takes nothing from.

    Raises:
        CorpusError: fewer than one.
        MissingPackageError: gensim's wheel is not installed.

    """
    taken = {passage.article for passage in pool().passages}
    texts = [
        (f"{article.title} {index}", text)
        for article in wikipedia()
        if article.title not in taken
        for index, text in enumerate(
            text for section in article.sections if section.title for text in section.paragraphs
        )
        if suitable(text)
    ]
    ids, chosen = zip(*in_seeded_order(texts, lambda pair: pair[0]), strict=True)
    source = "articles of gensim's Wikipedia sample that no built-in task uses"
    return Corpus("paragraphs", chosen, ids, source).limited(n)
