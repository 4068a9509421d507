"""Semantic textual similarity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

from valens.errors import TaskError
from valens.tasks.contract import check_lengths, check_positions, check_texts, described, pairs_within, renumbered


@dataclass(frozen=True)
class Sts:
    """Pairs of texts and how alike people find them: Spearman's correlation of the cosine with the judgement."""

    task_type: ClassVar[str] = "STS"
    metric: ClassVar[str] = "spearman"
    __repr__ = described

    name: str
    texts: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    gold: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse pairs that do not match, that have no judgement, or that are all judged alike."""
        check_texts(self)
        check_positions(self, chain(self.first, self.second))
        check_lengths(self, {"first": self.first, "second": self.second, "gold": self.gold})
        unjudged = [pair for pair, gold in enumerate(self.gold) if not math.isfinite(gold)]
        if unjudged:
            raise TaskError(
                f"{self.name}: pair {unjudged[0]} (from 0) has no judgement ({self.gold[unjudged[0]]}); {len(unjudged)} of "
                f"{len(self.gold)} have none. Leave such pairs out."
            )
        if len(set(self.gold)) < 2:  # noqa: PLR2004
            raise TaskError(
                f"{self.name} needs judgements that differ; its {len(self.gold)} pairs are all judged alike."
            )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.gold):,} pairs of {len(self.texts):,} texts"

    def limited(self, n: int) -> Sts:
        """Cut to the first pairs that fit into `n` texts; TaskError if not two pairs of different gold fit."""
        if n >= len(self.texts):
            return self
        pairs, positions = pairs_within(self, n, self.first, self.second, self.gold)
        texts, new = renumbered(self.texts, positions)
        return replace(
            self,
            texts=texts,
            first=tuple(new[self.first[pair]] for pair in pairs),
            second=tuple(new[self.second[pair]] for pair in pairs),
            gold=tuple(self.gold[pair] for pair in pairs),
        )
