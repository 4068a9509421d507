"""Search among a few candidates for each query."""

from __future__ import annotations

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
    in_turn,
    renumbered,
)


@dataclass(frozen=True)
class Reranking:
    """Queries, each with candidates of its own to be put in order: mean average precision by cosine.

    `relevant` says of each candidate of each query whether it belongs at the top. Of equally near candidates the later
    is taken first, as trec_eval does with candidates in the order of their ids.
    """

    task_type: ClassVar[str] = "Reranking"
    metric: ClassVar[str] = "map"
    __repr__ = described

    name: str
    texts: tuple[str, ...]
    queries: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    relevant: tuple[tuple[bool, ...], ...]
    missing: tuple[int, ...] = ()
    """For each query, how many right ones its candidates lack; they count as not found. Empty: they lack none."""

    def __post_init__(self) -> None:
        """Refuse a query without a right candidate, and judgements that do not match the candidates."""
        check_texts(self)
        check_positions(self, chain(self.queries, *self.candidates))
        lengths = {"queries": self.queries, "candidates": self.candidates, "relevant": self.relevant}
        check_lengths(self, lengths | ({"missing": self.missing} if self.missing else {}))
        for query, candidates, relevant in zip(self.queries, self.candidates, self.relevant, strict=True):
            right = any(relevant) or self.missing
            if len(candidates) != len(relevant) or not right:
                raise TaskError(
                    f"{self.name}: the query at {query} needs a judgement for each candidate, one of them True; "
                    f"it has {len(candidates)} candidates and the judgements {relevant!r}."
                )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.queries):,} queries, {sum(map(len, self.candidates)):,} candidates"

    def limited(self, n: int) -> Reranking:
        """Cut to the first queries that fit into `n` texts with all their candidates; TaskError below 3.

        If not one fits, the first is kept with as many candidates as fit, relevant and other ones in turn.
        """
        if n >= len(self.texts):
            return self
        check_limit(self, n, 3)
        positions: set[int] = set()
        rows = []
        for row, (query, candidates) in enumerate(zip(self.queries, self.candidates, strict=True)):
            if len(positions.union(candidates, [query])) <= n:
                positions.update(candidates, [query])
                rows.append(row)
        if not rows:
            return self._trimmed(n)
        return self._of(rows, positions)

    def _of(self, rows: list[int], positions: set[int]) -> Reranking:
        texts, new = renumbered(self.texts, positions)
        return replace(
            self,
            texts=texts,
            queries=tuple(new[self.queries[row]] for row in rows),
            candidates=tuple(tuple(new[candidate] for candidate in self.candidates[row]) for row in rows),
            relevant=tuple(self.relevant[row] for row in rows),
            missing=tuple(self.missing[row] for row in rows) if self.missing else (),
        )

    def _trimmed(self, n: int) -> Reranking:
        row = next(row for row, relevant in enumerate(self.relevant) if any(relevant))
        judged = list(zip(self.candidates[row], self.relevant[row], strict=True))
        right = [pair for pair in judged if pair[1]]
        wrong = [pair for pair in judged if not pair[1]]
        candidates, relevant = zip(*in_turn([right, wrong])[: n - 1], strict=True)
        one = replace(
            self,
            queries=(self.queries[row],),
            candidates=(candidates,),
            relevant=(relevant,),
            missing=self.missing[row : row + 1],
        )
        return one._of([0], {one.queries[0], *candidates})
