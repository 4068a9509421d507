"""From texts to stored vectors: every text is read once, whatever tasks, splits or runs it appears in.

A job is planned before anything runs. Texts with the same tokens are one row; rows are sorted by length, the longest
first, and put side by side up to a budget of tokens, so that little is padding. The plan depends on the texts alone, not
on what the store has: a job that was interrupted meets the same batches again, and computes those that are not stored.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from valens.capture import Batch, Vectors, capturing, vector_count
from valens.errors import CaptureError, PromptError
from valens.models import Model
from valens.progress import progress
from valens.prompts import PLAIN, Prompt, Tokens, tokenize
from valens.representations import Reading
from valens.store import FORMAT, ActivationStore, Collection, Row, row_of

MAX_TOKENS = 512
"""The default limit of tokens a text, as is usual for MTEB tasks; the model's context, where that is shorter."""

BATCH_TOKENS = 4096
"""The default budget of tokens, padding counted, that one forward pass reads."""

_MEASURED_TOKENS = 1024


@dataclass(frozen=True)
class Extraction:
    """Texts whose vectors a store has."""

    collection: Collection = field(repr=False)
    model: Model = field(repr=False)
    rows: tuple[Row, ...] = field(repr=False)
    """One a text, in the order in which the texts were given."""
    passes: int
    """How many texts a forward pass was made for; 0 if the store had them all."""
    tokens: int
    """How many tokens those texts have."""
    truncated: int
    """How many texts were cut at the limit of tokens."""
    seconds: float

    def vectors(self, reading: Reading, layer: int, places: Sequence[int] | None = None) -> Float[np.ndarray, "text d"]:
        """The vectors of one layer, in float32: of all texts, or of those at these places.

        Layers are counted as everywhere from 1; 0 is the input of the first block.
        """
        rows = self.rows if places is None else [self.rows[place] for place in places]
        return self.collection.read(str(reading), reading.layers(self.model.n_layers).index(layer), rows)


@dataclass(frozen=True)
class Estimate:
    """What a job would cost; `seconds` is measured on a first batch."""

    texts: int
    different_texts: int
    tokens: int
    truncated: int
    passes: int
    """How many texts a forward pass would be made for."""
    pass_tokens: int
    """How many tokens those texts have."""
    stored_bytes: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """What is to be read of which texts, and where it is kept; made by `plan`."""

    model: Model = field(repr=False)
    readings: tuple[Reading, ...]
    collection: Collection
    rows: tuple[Row, ...] = field(repr=False)
    """One a text."""
    tokens: dict[Row, Tokens] = field(repr=False)
    """The different rows."""
    batches: tuple[tuple[Row, ...], ...] = field(repr=False)

    @property
    def truncated(self) -> int:
        """How many texts are cut at the limit of tokens."""
        return sum(self.tokens[row].truncated for row in self.rows)

    def pending(self) -> list[Row]:
        """The rows for which a forward pass is needed: those without vectors of some reading."""
        lacking = {row for reading in self.readings for row in self.collection.lacks(str(reading), list(self.tokens))}
        return [row for batch in self.batches for row in batch if row in lacking]

    def run(self) -> Extraction:
        """Read what the store lacks, a shard a batch, and give what it has then. Shows a bar where somebody looks."""
        pending, start = self.pending(), time.monotonic()
        lacking, n_tokens = set(pending), _count(self.tokens, pending)
        with progress(f"Reading {self.model.name}", texts=len(pending), tokens=n_tokens) as advance:
            for batch in self.batches:
                rows = [row for row in batch if row in lacking]
                if rows:
                    self._read(rows)
                    advance(len(rows), _count(self.tokens, rows))
        seconds = time.monotonic() - start
        return Extraction(self.collection, self.model, self.rows, len(pending), n_tokens, self.truncated, seconds)

    def estimate(self) -> Estimate:
        """What `run` would cost; makes one small forward pass to measure the speed, and keeps nothing."""
        pending = self.pending()
        n_tokens = _count(self.tokens, pending)
        numbers = sum(vector_count(self.model, reading) for reading in self.readings)
        return Estimate(
            texts=len(self.rows),
            different_texts=len(self.tokens),
            tokens=_count(self.tokens, self.rows),
            truncated=self.truncated,
            passes=len(pending),
            pass_tokens=n_tokens,
            stored_bytes=len(pending) * (numbers * np.dtype(np.float32).itemsize + len(pending[0])) if pending else 0,
            seconds=n_tokens * self._seconds_a_token(pending) if pending else 0.0,
        )

    def _seconds_a_token(self, pending: list[Row]) -> float:
        sample = pending[: max(1, _MEASURED_TOKENS // len(self.tokens[pending[0]]))]
        batch = self._batch(sample)
        with capturing(self.model, self.readings) as read:
            read(batch)  # the first pass pays for what is set up once
            start = time.monotonic()
            read(batch)
            return (time.monotonic() - start) / _count(self.tokens, sample)

    def _batch(self, rows: Sequence[Row]) -> Batch:
        return Batch.of([self.tokens[row] for row in rows], self.model.device)

    def _read(self, rows: list[Row]) -> None:
        wanted = [reading for reading in self.readings if self.collection.lacks(str(reading), rows)]
        with capturing(self.model, wanted) as read:
            vectors = read(self._batch(rows))
        self._refuse_non_finite(rows, vectors)
        self.collection.write(rows, {str(reading): part for reading, part in vectors.items()})

    def _refuse_non_finite(self, rows: list[Row], vectors: Vectors) -> None:
        for reading, part in vectors.items():
            broken = (~torch.isfinite(part)).any(dim=2).nonzero()
            if len(broken):
                layer, text = broken[0].tolist()
                raise CaptureError(
                    f"{self.model.name} ({self.model.dtype}) gave NaN or infinity for {reading} at layer "
                    f"{reading.layers(self.model.n_layers)[layer]} of text {self.rows.index(rows[text])} (counted from 0). "
                    "Nothing of this batch was stored. Try --dtype float32, or leave the text out."
                )


def plan(
    model: Model,
    texts: Sequence[str],
    readings: Sequence[Reading],
    *,
    store: ActivationStore,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    batch_tokens: int = BATCH_TOKENS,
) -> Job:
    """Plan how these readings of these texts get into the store.

    `on_long` is what becomes of a text that has more than `max_tokens` tokens: `truncate` keeps its beginning, `error`
    raises PromptError. Raises PromptError for empty texts, and for a limit that the model cannot read.
    """
    limit = _limit(model, max_tokens)
    tokens = tokenize(model.tokenizer, texts, prompt=prompt, max_tokens=limit)
    long = [place for place, text in enumerate(tokens) if text.truncated]
    if long and on_long == "error":
        raise PromptError(
            f"{len(long)} of {len(texts)} texts have more than {limit} tokens; the first is number {long[0]}, from 0. "
            "Raise --max-tokens, or use --on-long truncate."
        )
    rows = tuple(row_of(text.ids, text.speaks) for text in tokens)
    different = dict(zip(rows, tokens, strict=True))
    identity = how_read(model, prompt=prompt, max_tokens=limit)
    return Job(
        model=model,
        readings=tuple(dict.fromkeys(readings)),
        collection=store.collection(identity, about_of(model)),
        rows=rows,
        tokens=different,
        batches=_fill(different, batch_tokens),
    )


def how_read(model: Model, *, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
    """All that can change a number besides the text and the reading. Its hash is the collection's key."""
    return {
        "format": FORMAT,
        "weights": model.weights,
        "config": model.config,
        "tokenizer": model.tokens,
        "revision": model.revision,
        "dtype": model.dtype,
        "kernel": model.kernel,
        "prompt": prompt.identity(),
        "truncation": {"max_tokens": max_tokens, "keep": "beginning"},
        "libraries": {name: version(name) for name in ("torch", "transformers", "transformer-lens")},
    }


def about_of(model: Model) -> dict[str, Any]:
    """What a reader of a collection wants to know that changes no number."""
    sizes = model.sizes
    return {
        "model": model.name,
        "n_layers": sizes.n_layers,
        "d_model": sizes.d_model,
        "n_heads": sizes.n_heads,
        "n_kv_heads": sizes.n_kv_heads,
        "d_head": sizes.d_head,
    }


def _limit(model: Model, max_tokens: int | None) -> int:
    if max_tokens is None:
        return min(MAX_TOKENS, model.n_ctx)
    if not 1 <= max_tokens <= model.n_ctx:
        raise PromptError(f"{model.name} reads 1 to {model.n_ctx:,} tokens; --max-tokens {max_tokens:,} was asked for.")
    return max_tokens


def _fill(tokens: dict[Row, Tokens], batch_tokens: int) -> tuple[tuple[Row, ...], ...]:
    """Rows in batches, the longest first; a batch has at most `batch_tokens` tokens, padding counted, or one row."""
    batches: list[list[Row]] = []
    for row in sorted(tokens, key=lambda row: (-len(tokens[row]), row)):
        width = len(tokens[batches[-1][0]]) if batches else 0
        if batches and (len(batches[-1]) + 1) * width <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return tuple(map(tuple, batches))


def _count(tokens: dict[Row, Tokens], rows: Sequence[Row]) -> int:
    return sum(len(tokens[row]) for row in rows)
