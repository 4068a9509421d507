"""Passages, which are what one forward pass reads of one text, and the batches that they are put into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from valens.extraction.capture import Vectors
from valens.representations.prompts import Tokens
from valens.store.shards import Row, row_of


@dataclass(frozen=True)
class Passage:
    """One text as one forward pass reads it, and the rows that it gives: one for each end, as a rule the whole text."""

    tokens: Tokens
    ends: tuple[int, ...]
    """The number of tokens of each row: several for the prefixes of a text, which one pass gives at once."""

    @property
    def parts(self) -> tuple[Tokens, ...]:
        """The text up to each end, one for each row."""
        ids, pooling_mask = self.tokens.ids, self.tokens.pooling_mask
        return tuple(Tokens(ids[:end], pooling_mask[:end], truncated=end < len(ids)) for end in self.ends)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The row under which a store keeps each part: the same as if that prefix had been read alone."""
        return tuple(map(row_of, self.parts))

    def __len__(self) -> int:
        """Return the number of tokens that a pass reads."""
        return len(self.tokens)


def fill_batches(passages: Sequence[Passage], batch_tokens: int, *, max_rows: int) -> tuple[tuple[Passage, ...], ...]:
    """Put the different passages into batches, the longest first.

    A batch has at most `batch_tokens` tokens, padding counted, and at most `max_rows` rows, unless it is one passage.
    """
    batches: list[list[Passage]] = []
    for passage in sorted(set(passages), key=lambda passage: (-len(passage), passage.rows)):
        last = batches[-1] if batches else []
        n_rows = (len(last) + 1) * max(len(member.ends) for member in [*last, passage])
        if last and (len(last) + 1) * len(last[0]) <= batch_tokens and n_rows <= max_rows:
            last.append(passage)
        else:
            batches.append([passage])
    return tuple(map(tuple, batches))


def without_spare_rows(vectors: Vectors, passages: Sequence[Passage]) -> Vectors:
    """Drop the rows that fill up texts with fewer ends than the one with most."""
    most = max(len(passage.ends) for passage in passages)
    keep = [text * most + end for text, passage in enumerate(passages) for end in range(len(passage.ends))]
    if len(keep) == most * len(passages):
        return vectors
    return {reading: part[:, keep] for reading, part in vectors.items()}
