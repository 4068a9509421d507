"""Pairs that say the same, and pairs that do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

from valens.errors import TaskError
from valens.tasks.contract import check_lengths, check_positions, check_texts, described, pairs_within, renumbered


@dataclass(frozen=True)
class PairClassification:
    """Pairs of texts that are the same or not: the best average precision of five similarities, mteb's `max_ap`.

    A similarity that ranks the pairs that are the `same` above the others has an average precision of 1. The five are
    the cosine (in two ways of rounding), the dot product, and the Euclidean and Manhattan distances, the least first.
    """

    task_type: ClassVar[str] = "PairClassification"
    metric: ClassVar[str] = "max_ap"
    __repr__ = described

    name: str
    texts: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    same: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Refuse pairs that do not match, or that are all the same, or all not."""
        check_texts(self)
        check_positions(self, chain(self.first, self.second))
        check_lengths(self, {"first": self.first, "second": self.second, "same": self.same})
        if len(set(self.same)) < 2:  # noqa: PLR2004
            raise TaskError(
                f"{self.name} needs pairs that are the same and pairs that are not; its {len(self.same)} pairs are "
                f"all {self.same[0]}."
            )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.same):,} pairs of {len(self.texts):,} texts, {sum(self.same):,} of the pairs the same"

    def limited(self, n: int) -> PairClassification:
        """Cut to the first pairs that fit into `n` texts; TaskError if not one pair of either kind fits."""
        if n >= len(self.texts):
            return self
        pairs, positions = pairs_within(self, n, self.first, self.second, self.same)
        texts, new = renumbered(self.texts, positions)
        return replace(
            self,
            texts=texts,
            first=tuple(new[self.first[pair]] for pair in pairs),
            second=tuple(new[self.second[pair]] for pair in pairs),
            same=tuple(self.same[pair] for pair in pairs),
        )
