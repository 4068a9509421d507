"""From texts to stored vectors: every text is read once, whatever tasks, splits or runs it appears in.

A job is planned before anything runs. Texts with the same tokens are one passage; passages are sorted by length, the longest
first, and put side by side up to a budget of tokens, so that little is padding. The plan depends on the texts alone, not
on what the store has: a job that was interrupted meets the same batches again, and computes those that are not stored.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from valens.corpora.contract import Corpus
from valens.errors import CaptureError, PromptError, ValensWarning
from valens.extraction.batching import Passage, fill_batches, without_spare_rows
from valens.extraction.capture import Batch, Vectors, capturing, vector_count
from valens.extraction.doubts import SHARES, doubts, token_shares, with_measures
from valens.extraction.estimate import Estimate
from valens.extraction.manifest import about_of, how_read
from valens.extraction.texts import text_list
from valens.layers.sites import Stream
from valens.model.attention import BRIDGE_ATTENTION
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
    """Texts whose vectors a store has; made by `Job.run`."""

    collection: Collection = field(repr=False)
    model: Model = field(repr=False)
    readings: tuple[Reading, ...]
    rows: tuple[Row, ...] = field(repr=False)
    """One a text, in the order in which the texts were given; one a prefix, text by text, where prefixes were asked for."""
    texts: tuple[Tokens, ...] = field(repr=False)
    """What was read of each text."""
    passes: int
    """The number of texts that a forward pass was made for; 0 if the store had them all."""
    tokens: int
    """The number of tokens of those texts."""
    seconds: float
    """The time that reading took."""

    @property
    def truncated(self) -> int:
        """The number of texts that were cut at the limit of tokens."""
        return sum(text.truncated for text in self.texts)

    @cached_property
    def token_shares(self) -> dict[str, dict[str, float]]:
        """How much of the mean of hidden states is the first token, and the largest, by layer; empty where not read."""
        if SHARES not in self.readings:
            return {}
        return token_shares(self.collection, self.rows, SHARES.layers(self.model.n_layers))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the vectors, a sentence each."""
        return tuple(doubts(self.token_shares, self.readings, self.texts))

    def notes_at(self, layers: Iterable[int]) -> tuple[str, ...]:
        """Return what a reader must know of the vectors of some layers alone."""
        wanted = set(map(str, layers))
        shares = {name: {at: by[at] for at in by if at in wanted} for name, by in self.token_shares.items()}
        return tuple(doubts(shares, self.readings, self.texts))

    def facts(self) -> dict[str, Any]:
        """Return where the vectors come from, for a result's provenance."""
        return {
            "model": self.collection.about,
            "how_read": self.collection.identity,
            "store": str(self.collection.folder.parent),
            "collection": self.collection.key,
            "forward_passes": self.passes,
            "tokens_read": self.tokens,
            "seconds_reading": round(self.seconds, 1),
            "token_shares": self.token_shares,
            "notes": list(self.notes),
        }

    def vectors(self, reading: Reading, layer: int, indices: Sequence[int] | None = None) -> Float[np.ndarray, "row d"]:
        """Read the vectors of one layer from the store.

        Args:
            reading: one of the readings of the job.
            layer: counted from 1; for `hidden` also 0, the input of the first block.
            indices: which rows, from 0 in the order of the texts; None: all of them.

        Returns:
            One vector a row [row, d], in float32.

        Raises:
            StoreError: a row has no vectors of this reading.

        """
        rows = self.rows if indices is None else [self.rows[index] for index in indices]
        return self.collection.read(str(reading), reading.layers(self.model.n_layers).index(layer), rows)


@dataclass(frozen=True)
class Job:
    """The readings of texts that get into a store; made by `plan`, and carried out by `run`."""

    model: Model = field(repr=False)
    readings: tuple[Reading, ...]
    collection: Collection
    passages: tuple[Passage, ...] = field(repr=False)
    """One a text, in the order of the texts."""
    batches: tuple[tuple[Passage, ...], ...] = field(repr=False)
    """The different passages, the longest first."""
    stored: str = "float32"
    """The dtype on disk."""

    def pending(self) -> list[Passage]:
        """Return the passages that need a forward pass: those of which some row has no vectors of some reading."""
        return [passage for batch in self.batches for passage in self._lacking(batch)]

    def run(self) -> Extraction:
        """Read what the store does not have yet.

        Every batch becomes one shard, so that a run that is stopped loses one batch at most; the next `run` goes on there.
        Where a batch does not fit into the memory of a GPU, it is halved. A terminal or notebook shows a progress bar.

        Returns:
            The texts with their vectors, from which `vectors` reads a layer.

        Raises:
            CaptureError: NaN or infinity in a vector, a number that the dtype on disk cannot hold, or one text that does
                not fit into memory. Nothing of its batch is stored.
            StoreError: the store cannot be written to.

        """
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
        texts = tuple(passage.tokens for passage in self.passages)
        seconds = time.monotonic() - start
        return Extraction(self.collection, self.model, self.readings, rows, texts, len(pending), n_tokens, seconds)

    def estimate(self) -> Estimate:
        """Estimate what `run` would cost; this makes one small forward pass to measure the speed, and keeps nothing."""
        pending = self.pending()
        computed = [(len(lacking), len(lacking[0]), lacking) for lacking in map(self._lacking, self.batches) if lacking]
        n_tokens = sum(map(len, pending))
        numbers = sum(vector_count(self.model, reading) for reading in self.readings)
        row_bytes = numbers * torch.tensor([], dtype=getattr(torch, self.stored)).element_size()
        return Estimate(
            texts=len(self.passages),
            different_texts=sum(map(len, self.batches)),
            tokens=sum(map(len, self.passages)),
            truncated=sum(passage.tokens.truncated for passage in self.passages),
            passes=len(pending),
            pass_tokens=n_tokens,
            padding=1 - n_tokens / sum(count * width for count, width, _ in computed) if computed else 0.0,
            stored_bytes=row_bytes * sum(len(passage.ends) for passage in pending),
            seconds=n_tokens * self._seconds_a_token(pending) if pending else 0.0,
        )

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
        """Read passages in this number of parts, in twice as many where memory is too small; return the number needed."""
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
            warnings.warn(
                f"Out of memory with {size} texts at once; going on with half as many.", ValensWarning, stacklevel=2
            )
            torch.cuda.empty_cache()
            return self._read(self._lacking(passages), parts * 2)
        return parts

    def _keep(self, passages: list[Passage]) -> None:
        rows = [row for passage in passages for row in passage.rows]
        missing = [reading for reading in self.readings if self.collection.lacks(str(reading), rows)]
        with capturing(self.model, missing) as read:
            vectors = without_spare_rows(read(self._batch(passages)), passages)
        self._check_finite(passages, vectors)
        stored = {str(reading): self._as_stored(reading, part) for reading, part in vectors.items()}
        self.collection.write([part for passage in passages for part in passage.parts], stored)

    def _check_finite(self, passages: list[Passage], vectors: Vectors) -> None:
        owners = [passage for passage in passages for _ in passage.ends]
        for reading, part in vectors.items():
            if not torch.isfinite(part).all():
                layer_index, row = (~torch.isfinite(part)).any(dim=2).nonzero()[0].tolist()
                layer, text = reading.layers(self.model.n_layers)[layer_index], self.passages.index(owners[row])
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
    texts: Sequence[str | Tokens] | Corpus,
    readings: Sequence[Reading],
    *,
    store: ActivationStore | str | Path,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    prefixes: Sequence[Sequence[int]] | None = None,
    stored: str = "float32",
    batch_tokens: int = BATCH_TOKENS,
) -> Job:
    """Plan how readings of texts get into a store. Nothing is read or written before `run` is called on the result.

    Args:
        model: the decoder that is read.
        texts: the texts, or a Corpus. A text may also come as Tokens, which are read as they are, without the prompt.
        readings: what is read of each text; repeats are dropped. A representation has its reading as `.reading`. Beside a
            mean of hidden states, how much of it is one token is measured too (`hidden/shares`).
        store: the activation store, or its folder.
        prompt: what is put around each text; the default is the text as the tokenizer prepares it.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context where that is shorter.
        on_long: what is done with a longer text: `truncate` keeps its beginning, `error` raises PromptError.
        prefixes: for each text, the numbers of tokens of the prefixes that are read instead of the whole text. One forward
            pass gives them all, and each is kept as if it had been read alone. None: the whole texts.
        stored: the dtype on disk: `float32`, `bfloat16` or `float16`.
        batch_tokens: how many tokens one forward pass reads, padding counted.

    Returns:
        A job with `estimate` and `run`.

    Raises:
        PromptError: no list of texts, an empty text, a limit that the model cannot read, or a prefix that a text does not
            have.
        ModelError: a token that the model has no embedding for.
        CaptureError: attention patterns, which are not one vector a text, or a dtype that is not stored.
        StoreError: a store that cannot be opened.

    """
    of_patterns = [reading for reading in readings if reading.stream is Stream.PATTERN]
    if not all(reading.is_measure for reading in of_patterns):
        raise CaptureError("Attention patterns are as wide as a text is long; a store keeps vectors of one width.")
    if stored not in DTYPES:
        raise CaptureError(f"Vectors are stored as {', '.join(DTYPES)}; {stored!r} was asked for.")
    limit = token_limit(model, max_tokens)
    tokens = tokenized(model, text_list(texts), prompt, limit)
    _check_lengths(tokens, limit, on_long)
    passages = tuple(
        Passage(text, _ends(text, index, prefixes[index] if prefixes is not None else None))
        for index, text in enumerate(tokens)
    )
    identity = how_read(model, prompt=prompt, max_tokens=limit, stored=stored)
    if (
        of_patterns
    ):  # the pass that shows them is TransformerLens's own, and its vectors go to a collection of their own
        identity |= {"attn_implementation": BRIDGE_ATTENTION}
    asked = with_measures(readings)
    numbers = sum(vector_count(model, reading) for reading in asked)
    return Job(
        model=model,
        readings=asked,
        collection=ActivationStore.of(store).collection(identity, about_of(model)),
        passages=passages,
        batches=fill_batches(passages, batch_tokens, max_rows=max(1, _BATCH_BYTES // (4 * max(numbers, 1)))),
        stored=stored,
    )


def tokenized(model: Model, texts: Sequence[str | Tokens], prompt: Prompt, limit: int) -> list[Tokens]:
    """Tokenise the texts that come as strings, and check all: PromptError or ModelError for what cannot be read."""
    plain = [text for text in texts if isinstance(text, str)]
    fresh = iter(tokenize(model.tokenizer, plain, prompt=prompt, max_tokens=limit))
    tokens = [next(fresh) if isinstance(text, str) else text for text in texts]
    model.check_token_ids(text.ids for text in tokens)
    long = [index for index, text in enumerate(tokens) if len(text) > limit]
    if long:
        raise PromptError(
            f"Text {long[0]} (from 0) was given as {len(tokens[long[0]]):,} tokens, above the limit of {limit:,}. "
            "Raise --max-tokens, or cut it."
        )
    return tokens


def token_limit(model: Model, max_tokens: int | None) -> int:
    """Return how many tokens of a text are read; None gives 512, or the model's context where that is shorter.

    PromptError for a limit below 1 or above the model's context.
    """
    if max_tokens is None:
        return min(MAX_TOKENS, model.n_ctx)
    if not 1 <= max_tokens <= model.n_ctx:
        raise PromptError(f"{model.name} reads 1 to {model.n_ctx:,} tokens; --max-tokens {max_tokens:,} was asked for.")
    return max_tokens


def _check_lengths(tokens: Sequence[Tokens], limit: int, on_long: str) -> None:
    if on_long not in {"truncate", "error"}:
        raise PromptError(f"--on-long is truncate or error; {on_long!r} was asked for.")
    long = [index for index, text in enumerate(tokens) if text.truncated]
    if long and on_long == "error":
        raise PromptError(
            f"{len(long)} of {len(tokens)} texts have more than {limit} tokens; the first is text {long[0]}, from 0. "
            "Raise --max-tokens, or use --on-long truncate."
        )


def _ends(text: Tokens, index: int, prefixes: Sequence[int] | None) -> tuple[int, ...]:
    if prefixes is None:
        return (len(text),)
    impossible = [end for end in prefixes if not 1 <= end <= len(text) or not any(text.pooling_mask[:end])]
    if impossible or not prefixes:
        asked = f"a prefix of {impossible[0]} tokens" if impossible else "no prefix"
        raise PromptError(
            f"Text {index} (from 0) has {len(text)} tokens; {asked} was asked for. Ask for 1 to {len(text)}."
        )
    return tuple(prefixes)
