"""From texts to ranks: which texts need a pass, what that would cost, and each text's ranks, kept as they are computed.

text ─tokens─▶ one packed pass ─▶ vectors [layer, prefix, offset, d], as they are and after the final norm ─unembedding, in
chunks─▶ ranks. Vectors and logits of one text are gone before the next is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from probes.logit_lens.names import NAMES, NORMS
from probes.logit_lens.prefixes import Continuations
from probes.logit_lens.ranks import TextRanks, text_ranks
from probes.logit_lens.restricted_pass import check_restrictable, pack
from probes.logit_lens.tables import Ranks
from valens.errors import CaptureError
from valens.extraction.estimate import Estimate
from valens.extraction.manifest import about_of
from valens.model.model import Model
from valens.progress import progress
from valens.store.partial_results import PartialResults
from valens.store.shards import row_of

_RANK = np.dtype(np.int32)


@dataclass(frozen=True)
class RankExtraction:
    """The ranks of all texts, and what they took."""

    ranks: Ranks = field(repr=False)
    passes: int
    """How many texts a pass was made for."""
    seconds: float


@dataclass(frozen=True)
class RankReading:
    """The texts whose ranks are wanted, and where they are kept."""

    model: Model = field(repr=False)
    continuations: Continuations
    offsets: tuple[int, ...]
    identity: dict[str, Any] = field(repr=False)
    """All that could change a rank, besides the text."""
    partial_results: PartialResults | None
    """Where each text's ranks are kept as they are computed; None keeps them in memory alone."""

    def facts(self, extraction: RankExtraction) -> dict[str, Any]:
        """Return where the ranks come from, for a result's provenance."""
        return {
            "model": about_of(self.model),
            "how_read": self.identity,
            "forward_passes": extraction.passes,
            "seconds_reading": round(extraction.seconds, 1),
        }

    def pending(self) -> list[int]:
        """Return the places of the documents that a pass is needed for."""
        stored = self._stored()
        return [index for index in range(len(self.continuations.texts)) if index not in stored]

    def estimate(self) -> Estimate:
        """Return what `run` would cost; computes one text to measure the speed, and keeps nothing."""
        pending, texts = self.pending(), self.continuations.texts
        self._check(pending)
        start = time.monotonic()
        for index in pending[:1]:
            self.ranks_of(index)
        return Estimate(
            texts=len(texts),
            different_texts=len(texts),
            tokens=sum(map(len, texts)),
            truncated=sum(text.truncated for text in texts),
            passes=len(pending),
            pass_tokens=self._n_tokens(pending),
            padding=0.0,
            stored_bytes=len(pending) * math.prod(self._shape) * _RANK.itemsize
            if self.partial_results is not None
            else 0,
            seconds=(time.monotonic() - start) * len(pending),
        )

    def run(self) -> RankExtraction:
        """Read the texts that are pending, one after the other, and give the ranks of all."""
        if self.partial_results is not None:
            self.partial_results.begin()
        by_index, texts, start = self._stored(), self.continuations.texts, time.monotonic()
        pending = [index for index in range(len(texts)) if index not in by_index]
        self._check(pending)
        title, n_tokens = f"Reading continuations, {self.model.name}", self._n_tokens(pending)
        with progress(title, texts=len(pending), tokens=n_tokens) as advance:
            for index in pending:
                by_index[index] = self.ranks_of(index)
                if self.partial_results is not None:
                    self.partial_results.write(row_of(texts[index]), by_index[index])
                advance(1, len(texts[index]))
        ranks = np.stack([by_index[index] for index in range(len(texts))])
        return RankExtraction(ranks, len(pending), time.monotonic() - start)

    def ranks_of(self, index: int) -> TextRanks:
        """Return the ranks of one text, by one pass; CaptureError naming the text if a vector is not finite."""
        text, prefixes = self.continuations.texts[index], self.continuations.prefixes[index]
        try:
            return text_ranks(self.model, text, prefixes, self.offsets)
        except CaptureError as error:
            raise CaptureError(f"Text {self.continuations.documents[index]} (from 0): {error}") from error

    @property
    def _shape(self) -> tuple[int, ...]:
        """The axes of one text's ranks."""
        n_prefixes = len(self.continuations.prefixes[0])
        return len(NAMES), len(NORMS), self.model.n_layers, n_prefixes, len(self.offsets)

    def _n_tokens(self, indices: Sequence[int]) -> int:
        return sum(len(self.continuations.texts[index]) for index in indices)

    def _check(self, pending: Sequence[int]) -> None:
        """Refuse a model whose attention cannot be restricted, as the text with the longest prefix shows."""
        if not pending:
            return
        longest = max(pending, key=lambda index: self.continuations.prefixes[index][-1])
        ids = self.continuations.texts[longest].ids
        packing = pack(ids, self.continuations.prefixes[longest], self.offsets)
        check_restrictable(self.model, ids[:-1], row=len(packing.ids))

    def _stored(self) -> dict[int, TextRanks]:
        """Return the ranks of the texts for which no pass is needed, by their places."""
        if self.partial_results is None:
            return {}
        rows = map(row_of, self.continuations.texts)
        read = (self.partial_results.read(row, shape=self._shape, dtype=np.int32) for row in rows)
        return {index: ranks for index, ranks in enumerate(read) if ranks is not None}
