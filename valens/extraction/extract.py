"""From texts to stored vectors: every text is read once, whatever tasks, splits or runs it appears in.

A job is planned before anything runs. Texts with the same tokens are one passage; passages are sorted by length, the longest
first, and put side by side up to a budget of tokens, so that little is padding. The plan depends on the texts alone, not
on what the store has: a job that was interrupted meets the same batches again, and computes those that are not stored.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from valens.errors import CaptureError, PromptError
from valens.extraction.batching import Passage, fill_batches, without_spare_rows
from valens.extraction.capture import Batch, Vectors, capturing, vector_count
from valens.extraction.estimate import Estimate
from valens.extraction.manifest import about_of, how_read
from valens.layers.sites import Stream
from valens.model.loading import DTYPES
from valens.model.model import Model
from valens.progress import progress
from valens.representations.prompts import PLAIN, Prompt, Tokens, tokenize
from valens.representations.readings import Reading
from valens.store.shards import Row
from valens.store.store import ActivationStore, Collection

MAX_TOKENS = 512
"""The default limit of tokens a text, as is usual for MTEB tasks; the model's context, where that is shorter."""

BATCH_TOKENS = 4096
"""The default budget of tokens, padding counted, that one forward pass reads."""

_MEASURED_TOKENS = 1024
_BATCH_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Extraction:
    """Texts whose vectors a store has."""

    collection: Collection = field(repr=False)
    model: Model = field(repr=False)
    rows: tuple[Row, ...] = field(repr=False)
    """One a text, in the order in which the texts were given; one a prefix, text by text, where prefixes were asked for."""
    passes: int
    """How many texts a forward pass was made for; 0 if the store had them all."""
    tokens: int
    """How many tokens those texts have."""
    truncated: int
    """How many texts were cut at the limit of tokens."""
    seconds: float

    def facts(self) -> dict[str, Any]:
        """Where the vectors come from, for a result's provenance."""
        return {
            "model": self.collection.about,
            "how_read": self.collection.identity,
            "store": str(self.collection.folder.parent),
            "collection": self.collection.key,
            "forward_passes": self.passes,
            "tokens_read": self.tokens,
            "seconds_reading": round(self.seconds, 1),
        }

    def vectors(self, reading: Reading, layer: int, places: Sequence[int] | None = None) -> Float[np.ndarray, "row d"]:
        """The vectors of one layer, in float32: of all rows, or of those at these places.

        Layers are counted as everywhere from 1; 0 is the input of the first block.
        """
        rows = self.rows if places is None else [self.rows[place] for place in places]
        return self.collection.read(str(reading), reading.layers(self.model.n_layers).index(layer), rows)


@dataclass(frozen=True)
class Job:
    """What is to be read of which texts, and where it is kept; made by `plan`."""

    model: Model = field(repr=False)
    readings: tuple[Reading, ...]
    collection: Collection
    passages: tuple[Passage, ...] = field(repr=False)
    """One a text, in the order of the texts."""
    batches: tuple[tuple[Passage, ...], ...] = field(repr=False)
    """The different passages, the longest first."""
    stored: str = "float32"

    def pending(self) -> list[Passage]:
        """The passages for which a forward pass is needed: those of which some row has no vectors of some reading."""
        return [passage for batch in self.batches for passage in self._lacking(batch)]

    def run(self) -> Extraction:
        """Read what the store lacks, a shard a batch, and give what it has then. Shows a bar where somebody looks."""
        self.collection.begin()
        pending, start = self.pending(), time.monotonic()
        n_tokens = sum(map(len, pending))
        with progress(f"Reading {self.model.name}", texts=len(pending), tokens=n_tokens) as advance:
            parts = 1
            for batch in self.batches:
                lacking = self._lacking(batch)
                if lacking:
                    parts = self._read(lacking, parts)
                    advance(len(lacking), sum(map(len, lacking)))
        rows = tuple(row for passage in self.passages for row in passage.rows)
        seconds = time.monotonic() - start
        return Extraction(self.collection, self.model, rows, len(pending), n_tokens, self._truncated(), seconds)

    def estimate(self) -> Estimate:
        """What `run` would cost; makes one small forward pass to measure the speed, and keeps nothing."""
        pending = self.pending()
        computed = [(len(lacking), len(lacking[0]), lacking) for lacking in map(self._lacking, self.batches) if lacking]
        n_tokens = sum(map(len, pending))
        numbers = sum(vector_count(self.model, reading) for reading in self.readings)
        row_bytes = numbers * torch.tensor([], dtype=getattr(torch, self.stored)).element_size()
        return Estimate(
            texts=len(self.passages),
            different_texts=sum(map(len, self.batches)),
            tokens=sum(map(len, self.passages)),
            truncated=self._truncated(),
            passes=len(pending),
            pass_tokens=n_tokens,
            padding=1 - n_tokens / sum(count * width for count, width, _ in computed) if computed else 0.0,
            stored_bytes=row_bytes * sum(len(passage.ends) for passage in pending),
            seconds=n_tokens * self._seconds_a_token(pending) if pending else 0.0,
        )

    def _truncated(self) -> int:
        return sum(passage.tokens.truncated for passage in self.passages)

    def _lacking(self, batch: Sequence[Passage]) -> list[Passage]:
        names = [str(reading) for reading in self.readings]
        return [passage for passage in batch if any(self.collection.lacks(name, passage.rows) for name in names)]

    def _seconds_a_token(self, pending: list[Passage]) -> float:
        sample = pending[: max(1, _MEASURED_TOKENS // len(pending[0]))]
        batch = self._batch(sample)
        with capturing(self.model, self.readings) as read:
            read(batch)  # the first pass pays for what is set up once
            start = time.monotonic()
            read(batch)
            return (time.monotonic() - start) / sum(map(len, sample))

    def _batch(self, passages: Sequence[Passage]) -> Batch:
        tokens, ends = [passage.tokens for passage in passages], [passage.ends for passage in passages]
        return Batch.of(tokens, ends=ends, device=self.model.device)

    def _read(self, passages: list[Passage], parts: int) -> int:
        """Read passages in so many parts; where memory is too small for that, in twice as many. Gives the parts needed."""
        size = -(-len(passages) // parts)
        try:
            for start in range(0, len(passages), size):
                self._keep(passages[start : start + size])
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise CaptureError(
                    f"One text of {len(passages[0]):,} tokens does not fit into the memory of {self.model.device}. "
                    "Lower --max-tokens, or use a smaller dtype."
                ) from error
            warnings.warn(f"Out of memory with {size} texts at once; going on with half as many.", stacklevel=2)
            torch.cuda.empty_cache()
            return self._read(self._lacking(passages), parts * 2)
        return parts

    def _keep(self, passages: list[Passage]) -> None:
        rows = [row for passage in passages for row in passage.rows]
        wanted = [reading for reading in self.readings if self.collection.lacks(str(reading), rows)]
        with capturing(self.model, wanted) as read:
            vectors = without_spare_rows(read(self._batch(passages)), passages)
        self._check_finite(passages, vectors)
        kept = {str(reading): self._as_stored(reading, part) for reading, part in vectors.items()}
        self.collection.write([part for passage in passages for part in passage.parts], kept)

    def _check_finite(self, passages: list[Passage], vectors: Vectors) -> None:
        owners = [passage for passage in passages for _ in passage.ends]
        for reading, part in vectors.items():
            if not torch.isfinite(part).all():
                place, row = (~torch.isfinite(part)).any(dim=2).nonzero()[0].tolist()
                layer, text = reading.layers(self.model.n_layers)[place], self.passages.index(owners[row])
                raise CaptureError(
                    f"{self.model.name} ({self.model.dtype}) gave NaN or infinity for {reading} at layer {layer} of text "
                    f"{text} (from 0). Nothing of this batch was stored. Try --dtype float32, or leave the text out."
                )

    def _as_stored(self, reading: Reading, part: torch.Tensor) -> torch.Tensor:
        dtype = getattr(torch, self.stored)
        largest = part.abs().amax(dim=(1, 2))
        if float(largest.max()) > torch.finfo(dtype).max:
            layer = reading.layers(self.model.n_layers)[int(largest.argmax())]
            raise CaptureError(
                f"{reading} at layer {layer} reaches {float(largest.max()):,.0f}, above {torch.finfo(dtype).max:,.0f}, the "
                f"most that {self.stored} can hold. Keep it in float32 or bfloat16 instead."
            )
        return part.to(dtype)


def plan(
    model: Model,
    texts: Sequence[str | Tokens],
    readings: Sequence[Reading],
    *,
    store: ActivationStore,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    prefixes: Sequence[Sequence[int]] | None = None,
    stored: str = "float32",
    batch_tokens: int = BATCH_TOKENS,
) -> Job:
    """Plan how these readings of these texts get into the store.

    A text that comes as Tokens, because it was cut between two of them, is read as it is. `on_long` is what becomes of a
    text that has more than `max_tokens` tokens: `truncate` keeps its beginning, `error` raises PromptError. `prefixes` asks,
    for each text, for its prefixes of so many tokens instead of the whole: one pass gives them all, and each is kept as if
    it had been read alone. `stored` is the dtype on disk. Raises PromptError for empty texts and for limits that the model
    cannot read, ModelError for tokens that it has no embedding for, CaptureError for readings that are not one vector a
    text.
    """
    if any(reading.stream is Stream.PATTERN for reading in readings):
        raise CaptureError("Attention patterns are as wide as a text is long; a store keeps vectors of one width.")
    if stored not in DTYPES:
        raise CaptureError(f"Vectors are stored as {', '.join(DTYPES)}; {stored!r} was asked for.")
    limit = token_limit(model, max_tokens)
    tokens = _tokenized(model, texts, prompt, limit)
    _check_lengths(tokens, limit, on_long)
    passages = tuple(
        Passage(text, _ends(text, place, prefixes[place] if prefixes is not None else None))
        for place, text in enumerate(tokens)
    )
    identity = how_read(model, prompt=prompt, max_tokens=limit, stored=stored)
    numbers = sum(vector_count(model, reading) for reading in readings)
    return Job(
        model=model,
        readings=tuple(dict.fromkeys(readings)),
        collection=store.collection(identity, about_of(model)),
        passages=passages,
        batches=fill_batches(passages, batch_tokens, max_rows=max(1, _BATCH_BYTES // (4 * max(numbers, 1)))),
        stored=stored,
    )


def _tokenized(model: Model, texts: Sequence[str | Tokens], prompt: Prompt, limit: int) -> list[Tokens]:
    plain = [text for text in texts if isinstance(text, str)]
    fresh = iter(tokenize(model.tokenizer, plain, prompt=prompt, max_tokens=limit))
    tokens = [next(fresh) if isinstance(text, str) else text for text in texts]
    model.check_token_ids(text.ids for text in tokens)
    long = [place for place, text in enumerate(tokens) if len(text) > limit]
    if long:
        raise PromptError(
            f"Text {long[0]} (from 0) was given as {len(tokens[long[0]]):,} tokens, above the limit of {limit:,}. "
            "Raise --max-tokens, or cut it."
        )
    return tokens


def token_limit(model: Model, max_tokens: int | None) -> int:
    """How many tokens of a text are read; PromptError for a limit that the model cannot read."""
    if max_tokens is None:
        return min(MAX_TOKENS, model.n_ctx)
    if not 1 <= max_tokens <= model.n_ctx:
        raise PromptError(f"{model.name} reads 1 to {model.n_ctx:,} tokens; --max-tokens {max_tokens:,} was asked for.")
    return max_tokens


def _check_lengths(tokens: Sequence[Tokens], limit: int, on_long: str) -> None:
    if on_long not in {"truncate", "error"}:
        raise PromptError(f"--on-long is truncate or error; {on_long!r} was asked for.")
    long = [place for place, text in enumerate(tokens) if text.truncated]
    if long and on_long == "error":
        raise PromptError(
            f"{len(long)} of {len(tokens)} texts have more than {limit} tokens; the first is text {long[0]}, from 0. "
            "Raise --max-tokens, or use --on-long truncate."
        )


def _ends(text: Tokens, place: int, prefixes: Sequence[int] | None) -> tuple[int, ...]:
    if prefixes is None:
        return (len(text),)
    bad = [end for end in prefixes if not 1 <= end <= len(text) or not any(text.pooling_mask[:end])]
    if bad or not prefixes:
        what = f"a prefix of {bad[0]} tokens" if bad else "no prefix"
        raise PromptError(
            f"Text {place} (from 0) has {len(text)} tokens; {what} was asked for. Ask for 1 to {len(text)}."
        )
    return tuple(prefixes)
