"""Search among all documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

from valens.errors import TaskError
from valens.tasks.contract import (
    check_lengths,
    check_limit,
    check_positions,
    check_texts,
    described,
    first_fitting,
    renumbered,
)


@dataclass(frozen=True)
class Retrieval:
    """Queries that look for their documents among all documents: nDCG of the ten nearest by cosine.

    `relevant` has one mapping a query, from a document's index in `documents` to its grade; 0 is a document that was
    judged and does not answer. Two documents may have one text. Of equally near documents the later in `documents` is
    taken first, which is what trec_eval does if they stand there in the order of their ids.
    """

    task_type: ClassVar[str] = "Retrieval"
    metric: ClassVar[str] = "ndcg_at_10"
    __repr__ = described

    name: str
    texts: tuple[str, ...]
    queries: tuple[int, ...]
    documents: tuple[int, ...]
    relevant: tuple[Mapping[int, int], ...]
    itself: tuple[int | None, ...] = ()
    """For each query, the index of the document that is the query itself and is not to be found; empty: there are none."""
    missing: tuple[tuple[int, ...], ...] = ()
    """For each query, the grades of what the documents lack: they count in the best that could be found."""

    def __post_init__(self) -> None:
        """Refuse a query of which nothing was judged, and judgements of what is not among the documents."""
        check_texts(self)
        check_positions(self, chain(self.queries, self.documents))
        lengths = {"queries": self.queries, "relevant": self.relevant}
        lengths |= {name: value for name in ("itself", "missing") if (value := getattr(self, name))}
        check_lengths(self, lengths)
        for query, grades in zip(self.queries, self.relevant, strict=True):
            outside = [index for index in grades if not 0 <= index < len(self.documents)]
            if outside or min(grades.values(), default=0) < 0 or not (grades or self.missing):
                raise TaskError(
                    f"{self.name}: the query at {query} needs one or more of the indices 0..{len(self.documents) - 1} of "
                    f"the documents, each with a grade from 0; it has {dict(grades)!r}. Leave out queries with nothing to "
                    "find."
                )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.queries):,} queries, {len(self.documents):,} documents"

    def limited(self, n: int) -> Retrieval:
        """Cut to `n` texts: queries with one answer each in half of them, then more documents. TaskError below 3."""
        if n >= len(self.texts):
            return self
        check_limit(self, n, 3)
        rows, wanted = self._first_queries(max(n // 2, 2))
        taken = {self.documents[index] for index in wanted} | {self.queries[row] for row in rows}
        others = [index for index in range(len(self.documents)) if self.documents[index] not in taken]
        room = first_fitting(others, self.documents, n - len(taken))
        indices = sorted({*wanted, *room, *(index for index, text in enumerate(self.documents) if text in taken)})
        texts, new = renumbered(self.texts, taken | {self.documents[index] for index in room})
        moved = {old: index for index, old in enumerate(indices)}
        itself = [self.itself[row] for row in rows] if self.itself else []
        return replace(
            self,
            texts=texts,
            queries=tuple(new[self.queries[row]] for row in rows),
            documents=tuple(new[self.documents[index]] for index in indices),
            relevant=tuple(
                {moved[index]: g for index, g in self.relevant[row].items() if index in moved} for row in rows
            ),
            itself=tuple(moved.get(index) if index is not None else None for index in itself),
            missing=tuple(self.missing[row] for row in rows) if self.missing else (),
        )

    def _first_queries(self, n: int) -> tuple[list[int], set[int]]:
        """Return the first queries that fit into `n` texts with their best document each, and those documents."""
        positions: set[int] = set()
        rows, wanted = [], set()
        for row, (query, grades) in enumerate(zip(self.queries, self.relevant, strict=True)):
            if not grades:
                continue
            best = max(grades, key=lambda index: grades[index])
            if len(positions | {query, self.documents[best]}) <= n:
                positions |= {query, self.documents[best]}
                rows.append(row)
                wanted.add(best)
        return rows, wanted
