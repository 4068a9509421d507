"""Texts to read: long ones by name or path (`corpus`), and the Lee news with their human judgements."""

from __future__ import annotations

from valens.corpora.contract import Corpus
from valens.corpora.lee_news import LEE_DOCUMENTS, LEE_SIMILARITIES, Lee, lee
from valens.corpora.named import CORPORA, corpus
from valens.corpora.near_duplicates import without_near_duplicates
from valens.corpora.wikipedia_sample import WIKIPEDIA_PAGES, Article, Section, wikipedia

__all__ = [
    "CORPORA",
    "LEE_DOCUMENTS",
    "LEE_SIMILARITIES",
    "WIKIPEDIA_PAGES",
    "Article",
    "Corpus",
    "Lee",
    "Section",
    "corpus",
    "lee",
    "wikipedia",
    "without_near_duplicates",
]
