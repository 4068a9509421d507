"""Every token's own vector, for chosen texts and sites, and attention patterns of chosen queries; in the same store.

These are large: 512 tokens of one layer of SmolLM2's residual stream are 1.2 MB, where their mean is 2.3 kB. So sites are
named one by one, the bytes are counted before anything runs, and a job above `max_bytes` is refused. A shard keeps the items
of its texts one after the other, [item, d], an item being a token, or a pair of query and key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from valens.errors import CaptureError, RepresentationError
from valens.extraction.batching import Passage, fill_batches
from valens.extraction.capture import Batch, lent_hooks
from valens.extraction.extract import BATCH_TOKENS, token_limit
from valens.extraction.manifest import about_of, how_read
from valens.layers.sites import Site, Stream
from valens.model.model import Model
from valens.progress import progress
from valens.representations.prompts import PLAIN, Prompt, Tokens, tokenize
from valens.store.shards import row_of
from valens.store.store import ActivationStore, Collection

MAX_BYTES = 10**9
"""What a job may write unless more is allowed."""

_NOTATION = re.compile(r"(?P<site>[^/]+)/(?P<which>tokens|last|all|\d+(?:,\d+)*)")


@dataclass(frozen=True)
class TokenReading:
    """A site and which of its tokens are kept; `str` is `values@26/tokens`, `pattern@5/last`, `pattern@5/0,7`.

    A pattern is kept for the last query, for queries at given positions (from 0), or, only where it says `pattern@5/all`,
    as the full map. Other streams are kept for every token.
    """

    site: Site
    which: str = "tokens"

    def __post_init__(self) -> None:
        """Refuse what is no reading of tokens."""
        if not _NOTATION.fullmatch(str(self)) or (self.which == "tokens") == (self.site.stream is Stream.PATTERN):
            raise RepresentationError(
                f"{self} is no reading of tokens. Write values@26/tokens, or for patterns pattern@5/last, pattern@5/0,7 or "
                "pattern@5/all."
            )

    @classmethod
    def parse(cls, text: str) -> TokenReading:
        """Read the notation that `str` writes."""
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise RepresentationError(f"{text!r} is no reading of tokens. Write values@26/tokens or pattern@5/last.")
        return cls(Site.parse(match["site"]), match["which"])

    def queries(self, n_tokens: int) -> list[int]:
        """The positions of a text whose attention is kept."""
        if self.which in {"tokens", "all"}:
            return list(range(n_tokens))
        return [n_tokens - 1] if self.which == "last" else [int(place) for place in self.which.split(",")]

    def items(self, n_tokens: int) -> int:
        """How many items a text of so many tokens has."""
        is_pattern = self.site.stream is Stream.PATTERN
        return len(self.queries(n_tokens)) * n_tokens if is_pattern else n_tokens

    def cut(self, tensor: Tensor, place: int, n_tokens: int) -> Float[Tensor, "item d"]:
        """The items of one text, from what a hook point showed of a batch padded on the right."""
        if self.site.stream is Stream.PATTERN:
            kept = tensor[place, :, self.queries(n_tokens), :n_tokens]
            return rearrange(kept, "head query key -> (query key) head").float()
        return tensor[place, :n_tokens].reshape(n_tokens, -1).float()

    def __str__(self) -> str:
        """The name under which a store keeps it."""
        return f"{self.site}/{self.which}"


@dataclass(frozen=True)
class TokenVectors:
    """What a store has of each text's tokens."""

    collection: Collection
    texts: tuple[Tokens, ...] = field(repr=False)
    passes: int
    """How many texts a forward pass was made for."""

    def of(self, reading: TokenReading, place: int) -> Float[np.ndarray, "*items d"]:
        """One text's vectors: [token, d]; for a pattern [query, key, head]."""
        text = self.texts[place]
        found = self.collection.read_items(str(reading), row_of(text), reading.items)
        if reading.site.stream is Stream.PATTERN:
            return rearrange(found, "(query key) head -> query key head", key=len(text))
        return found


@dataclass(frozen=True)
class TokenJob:
    """What is to be read of which texts, and how many bytes that makes; made by `plan_tokens`."""

    model: Model = field(repr=False)
    readings: tuple[TokenReading, ...]
    collection: Collection
    texts: tuple[Tokens, ...] = field(repr=False)
    batches: tuple[tuple[Passage, ...], ...] = field(repr=False)

    @property
    def n_bytes(self) -> int:
        """How many bytes of vectors `run` would write."""
        return sum(self._bytes(passage.tokens) for batch in self.batches for passage in self._lacking(batch))

    def run(self) -> TokenVectors:
        """Read what the store lacks, a shard a batch."""
        self.collection.begin()
        pending = [self._lacking(batch) for batch in self.batches]
        n_texts, n_tokens = sum(map(len, pending)), sum(len(passage) for batch in pending for passage in batch)
        with progress(f"Reading tokens of {self.model.name}", texts=n_texts, tokens=n_tokens) as advance:
            for batch in filter(None, pending):
                self._keep([passage.tokens for passage in batch])
                advance(len(batch), sum(map(len, batch)))
        return TokenVectors(self.collection, self.texts, n_texts)

    def _lacking(self, batch: Sequence[Passage]) -> list[Passage]:
        names = [str(reading) for reading in self.readings]
        return [passage for passage in batch if any(self.collection.lacks(name, passage.rows) for name in names)]

    def _bytes(self, text: Tokens) -> int:
        width = self.model.sizes.width
        return sum(4 * reading.items(len(text)) * width(reading.site.stream) for reading in self.readings)

    def _keep(self, texts: list[Tokens]) -> None:
        seen: dict[TokenReading, Tensor] = {}
        for site in {reading.site for reading in self.readings}:
            site.check(self.model.n_layers, self.model.name)

        def watch(tensor: Tensor, hook: object, readings: Sequence[TokenReading]) -> None:  # noqa: ARG001
            for reading in readings:
                normed = self.model.final_norm(tensor) if reading.site.norm else tensor
                parts = [reading.cut(normed, place, len(text)) for place, text in enumerate(texts)]
                seen[reading] = torch.cat(parts).cpu()

        by_hook: dict[str, list[TokenReading]] = {}
        for reading in self.readings:
            by_hook.setdefault(reading.site.hook, []).append(reading)
        hooks = [
            (name, lambda tensor, hook, readings=readings: watch(tensor, hook, readings))
            for name, readings in by_hook.items()
        ]
        pattern = any(reading.site.stream is Stream.PATTERN for reading in self.readings)
        with lent_hooks(self.model, hooks, pattern=pattern), torch.inference_mode():
            self.model.run_body(Batch.of(texts, device=self.model.device).ids)
        silent = [str(reading) for reading in self.readings if reading not in seen]
        if silent:
            raise CaptureError(f"{', '.join(silent)} of {self.model.name} were not read: no hook fired there.")
        _check_finite(seen)
        self.collection.write(texts, {str(reading): part for reading, part in seen.items()})


def plan_tokens(
    model: Model,
    texts: Sequence[str],
    readings: Sequence[TokenReading],
    *,
    store: ActivationStore,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> TokenJob:
    """Plan which tokens' vectors of which texts get into the store.

    Raises CaptureError if that would write more than `max_bytes`, or if a query's position is beyond a text's end, SiteError
    for layers that the model does not have, PromptError for empty texts.
    """
    for reading in readings:
        reading.site.check(model.n_layers, model.name)
    limit = token_limit(model, max_tokens)
    tokens = tuple(tokenize(model.tokenizer, texts, prompt=prompt, max_tokens=limit))
    model.check_token_ids(text.ids for text in tokens)
    _check_queries(tokens, readings)
    identity = how_read(model, prompt=prompt, max_tokens=limit, stored="float32")
    passages = [Passage(text, (len(text),)) for text in tokens]
    job = TokenJob(
        model=model,
        readings=tuple(dict.fromkeys(readings)),
        collection=store.collection(identity, about_of(model)),
        texts=tokens,
        batches=fill_batches(passages, BATCH_TOKENS, max_rows=len(passages)),
    )
    if job.n_bytes > max_bytes:
        raise CaptureError(
            f"These readings of {len(texts):,} texts make {job.n_bytes:,} bytes, more than the {max_bytes:,} allowed. "
            "Choose fewer texts or layers, or raise --max-bytes."
        )
    return job


def _check_queries(tokens: Sequence[Tokens], readings: Sequence[TokenReading]) -> None:
    for place, text in enumerate(tokens):
        for reading in readings:
            if max(reading.queries(len(text))) >= len(text):
                raise CaptureError(
                    f"{reading} asks for a query that text {place} (from 0) does not have: it has {len(text)} tokens."
                )


def _check_finite(seen: dict[TokenReading, Tensor]) -> None:
    for reading, part in seen.items():
        if not torch.isfinite(part).all():
            raise CaptureError(f"{reading} has NaN or infinity. Nothing of this batch was stored. Try --dtype float32.")
