"""What the documents that were found are worth, without a table of all queries and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from valens.metrics.ranking import discounted_gain

NDCG_CUT = 10


@dataclass(frozen=True)
class Ndcg:
    """The grade of each document for each query, where it is above 0, and the best that each query could find."""

    keys: Int[np.ndarray, " pair"]
    """Query times the number of documents, plus document; rising."""
    grades: Int[np.ndarray, " pair"]
    ideal: Float[np.ndarray, " query"]
    n_documents: int

    @classmethod
    def of(
        cls,
        relevant: Sequence[Mapping[int, int]],
        n_documents: int,
        *,
        missing: Sequence[Sequence[int]] = (),
        itself: Sequence[int | None] = (),
    ) -> Ndcg:
        """Build from grades by documents' indices; `missing` grades and `itself` count only in what could be found."""
        best, pairs = np.zeros((len(relevant), NDCG_CUT)), []
        for query, grades in enumerate(relevant):
            largest = sorted([*grades.values(), *(missing[query] if missing else ())], reverse=True)[:NDCG_CUT]
            best[query, : len(largest)] = largest
            own = itself[query] if itself else None
            pairs += [(query * n_documents + index, grade) for index, grade in grades.items() if index != own]
        table = np.array(sorted(pairs) or [(-1, 0)])
        return cls(table[:, 0], table[:, 1], discounted_gain(best), n_documents)

    def ndcg(self, indices: Int[np.ndarray, "query first"]) -> Float[np.ndarray, " query"]:
        """Return the nDCG of the documents that each query found, nearest first; -1 is none. 0 without an answer."""
        keys = np.arange(len(indices))[:, None] * self.n_documents + indices
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        gains = np.where((self.keys[at] == keys) & (indices >= 0), self.grades[at], 0)
        return discounted_gain(gains) / np.where(self.ideal == 0, 1.0, self.ideal)
