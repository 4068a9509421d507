"""mteb's searches as ours: documents in the order of their ids, by which equally near ones are ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valens.errors import TaskError
from valens.mteb.texts import Texts, are_texts, require
from valens.tasks import Reranking, Retrieval


@dataclass(frozen=True)
class _Search:
    """What a search of mteb's is made of; ids are mteb's."""

    queries: dict[str, str]
    documents: dict[str, str]
    grades: Mapping[str, Mapping[str, int]]
    candidates: Mapping[str, list[str]] | None


def retrieval(mteb_task: Any, data: Any, name: str) -> Retrieval:
    """Convert a retrieval: queries of which something was judged, and all documents."""
    search = _read(data, name)
    if search.candidates is not None:
        raise TaskError(
            f"{name} gives each query candidates of its own; valens scores that only in the family Reranking."
        )
    index_of = {document: index for index, document in enumerate(search.documents)}
    texts = Texts(name)
    grades = [search.grades[query] for query in search.queries]
    lost = [tuple(grade for document, grade in row.items() if document not in index_of) for row in grades]
    return Retrieval(
        name,
        queries=texts.indices(search.queries.values(), "query", ids=search.queries),
        documents=texts.indices(search.documents.values(), "document", ids=search.documents),
        texts=texts.all,
        relevant=tuple({index_of[d]: max(grade, 0) for d, grade in row.items() if d in index_of} for row in grades),
        itself=tuple(map(index_of.get, search.queries)) if mteb_task.ignore_identical_ids else (),
        missing=tuple(lost) if any(lost) else (),
    )


def reranking(mteb_task: Any, data: Any, name: str) -> Reranking:
    """Convert a reranking: queries of which something was judged, each with its candidates."""
    search = _read(data, name)
    if search.candidates is None:
        raise TaskError(f"{name} has no candidates to put in order (`top_ranked`), which a reranking needs.")
    texts = Texts(name)
    rows = [
        sorted(set(search.candidates.get(query, [])) - ({query} if mteb_task.ignore_identical_ids else set()))
        for query in search.queries
    ]
    right = [{d for d, grade in search.grades[query].items() if grade > 0} for query in search.queries]
    missing = tuple(len(wanted - set(row)) for wanted, row in zip(right, rows, strict=True))
    needed = any(missing) or not all(right)
    return Reranking(
        name,
        queries=texts.indices(search.queries.values(), "query", ids=search.queries),
        candidates=tuple(texts.indices(map(search.documents.get, row), "candidate", ids=row) for row in rows),
        texts=texts.all,
        relevant=tuple(tuple(document in wanted for document in row) for wanted, row in zip(right, rows, strict=True)),
        missing=missing if needed else (),
    )


def _read(data: Any, name: str) -> _Search:
    queries, corpus = data["queries"], data["corpus"]
    require(name, "queries", queries, "id", "text")
    require(name, "corpus", corpus, "id", "text")
    grades = {query: row for query, row in data["relevant_docs"].items() if row}
    asked = queries.select([index for index, query in enumerate(queries["id"]) if query in grades])
    documents = dict(zip(corpus["id"], _document_texts(corpus, name), strict=True))
    return _Search(
        dict(zip(asked["id"], _query_texts(asked, name), strict=True)),
        dict(sorted(documents.items())),
        grades,
        data["top_ranked"],
    )


def _document_texts(corpus: Any, name: str) -> list[str]:
    """Join title and text as mteb does; a title may be missing, a text may not."""
    texts = are_texts(name, corpus["text"], "document", ids=corpus["id"])
    titles = corpus["title"] if "title" in corpus.column_names else [""] * len(corpus)
    return [f"{title} {text}".strip() if title else text.strip() for title, text in zip(titles, texts, strict=True)]


def _query_texts(queries: Any, name: str) -> list[str]:
    """Text and instruction, as mteb joins them."""
    if any(isinstance(text, list) for text in queries["text"]):
        raise TaskError(f"{name} asks in conversations of several turns, which valens does not read.")
    texts = are_texts(name, queries["text"], "query", ids=queries["id"])
    if "instruction" not in queries.column_names:
        return texts
    return [
        text if more is None else f"{text} {more}" for text, more in zip(texts, queries["instruction"], strict=True)
    ]
