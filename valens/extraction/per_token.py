"""Every token's own vector, for chosen texts and sites, and attention patterns of chosen queries; in the same store.

These are large: 512 tokens of one layer of SmolLM2's residual stream are 1.2 MB, where their mean is 2.3 kB. So sites are
named one by one, the bytes are counted before anything runs, and a job above `max_bytes` is refused. A shard keeps the items
of its texts one after the other, [item, d], an item being a token, or a pair of query and key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from valens.corpora.contract import Corpus
from valens.errors import CaptureError, RepresentationError
from valens.extraction.batching import Passage, fill_batches
from valens.extraction.capture import Batch, lent_hooks
from valens.extraction.extract import BATCH_TOKENS, token_limit, tokenized
from valens.extraction.manifest import about_of, how_read
from valens.extraction.texts import text_list
from valens.layers.sites import Site, Stream
from valens.model.model import Model
from valens.progress import progress
from valens.representations.prompts import PLAIN, Prompt, Tokens
from valens.store.shards import row_of
from valens.store.store import ActivationStore, Collection

MAX_BYTES = 10**9
"""The bytes that a job may write unless more is allowed."""

_NOTATION = re.compile(r"(?P<site>[^/]+)/(?P<which>tokens|last|all|\d+(?:,\d+)*)")


@dataclass(frozen=True)
class TokenReading:
    """A site and which of its tokens are kept; `str` is `values@26/tokens`, `pattern@5/last`, `pattern@5/0,7`.

    Args:
        site: the stream and layer, with or without the final norm.
        which: `tokens` for every token of a stream. For an attention pattern: `last` for the last query, positions from 0
            such as `0,7`, or `all` for the full map.

    Raises:
        RepresentationError: tokens of a pattern, queries of another stream, or another word.

    """

    site: Site
    which: str = "tokens"

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if not _NOTATION.fullmatch(str(self)) or (self.which == "tokens") == (self.site.stream is Stream.PATTERN):
            raise RepresentationError(
                f"{self} is not a valid reading of tokens. Write values@26/tokens, or for patterns pattern@5/last, "
                "pattern@5/0,7 or pattern@5/all."
            )

    @classmethod
    def parse(cls, text: str) -> TokenReading:
        """Read the notation that `str` writes; RepresentationError or SiteError for anything else."""
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise RepresentationError(
                f"{text!r} is not a valid reading of tokens. Write values@26/tokens or pattern@5/last."
            )
        return cls(Site.parse(match["site"]), match["which"])

    def queries(self, n_tokens: int) -> list[int]:
        """Return the positions, from 0, of the queries (or tokens) that are kept of a text of `n_tokens` tokens."""
        if self.which in {"tokens", "all"}:
            return list(range(n_tokens))
        return [n_tokens - 1] if self.which == "last" else [int(position) for position in self.which.split(",")]

    def items(self, n_tokens: int) -> int:
        """Return how many items a text of `n_tokens` tokens has: its tokens, or for a pattern its queries times its keys."""
        is_pattern = self.site.stream is Stream.PATTERN
        return len(self.queries(n_tokens)) * n_tokens if is_pattern else n_tokens

    def cut(self, tensor: Tensor, index: int, n_tokens: int) -> Float[Tensor, "item d"]:
        """Return the items of one text, by its index in a batch padded on the right, from what a hook point showed."""
        if self.site.stream is Stream.PATTERN:
            pattern = tensor[index, :, self.queries(n_tokens), :n_tokens]
            return rearrange(pattern, "head query key -> (query key) head").float()
        return tensor[index, :n_tokens].reshape(n_tokens, -1).float()

    def __str__(self) -> str:
        """Return the name under which a store keeps it."""
        return f"{self.site}/{self.which}"


@dataclass(frozen=True)
class TokenVectors:
    """Texts whose tokens' vectors a store has; made by `TokenJob.run`."""

    collection: Collection
    texts: tuple[Tokens, ...] = field(repr=False)
    passes: int
    """The number of texts that a forward pass was made for; 0 if the store had them all."""

    def of(self, reading: TokenReading, index: int) -> Float[np.ndarray, "*items d"]:
        """Read the vectors of one text from the store.

        Args:
            reading: one of the readings of the job.
            index: which text, from 0 in the order of the texts.

        Returns:
            [token, d] in float32; of an attention pattern [query, key, head].

        Raises:
            StoreError: the text has no vectors of this reading.

        """
        text = self.texts[index]
        vectors = self.collection.read_items(str(reading), row_of(text), reading.items)
        if reading.site.stream is Stream.PATTERN:
            return rearrange(vectors, "(query key) head -> query key head", key=len(text))
        return vectors


@dataclass(frozen=True)
class TokenJob:
    """The tokens' vectors of texts that get into a store; made by `plan_tokens`, and carried out by `run`."""

    model: Model = field(repr=False)
    readings: tuple[TokenReading, ...]
    collection: Collection
    texts: tuple[Tokens, ...] = field(repr=False)
    batches: tuple[tuple[Passage, ...], ...] = field(repr=False)

    @property
    def n_bytes(self) -> int:
        """The number of bytes of vectors that `run` would write."""
        return sum(self._bytes(passage.tokens) for batch in self.batches for passage in self._lacking(batch))

    def run(self) -> TokenVectors:
        """Read what the store does not have yet; every batch becomes one shard.

        CaptureError for NaN or infinity and for a hook that did not fire, StoreError where nothing can be written.
        """
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
                parts = [reading.cut(normed, index, len(text)) for index, text in enumerate(texts)]
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
    texts: Sequence[str | Tokens] | Corpus,
    readings: Sequence[TokenReading],
    *,
    store: ActivationStore | str | Path,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> TokenJob:
    """Plan which tokens' vectors of which texts get into a store. Nothing is read or written before `run` is called.

    Args:
        model: the decoder that is read.
        texts: the texts, or a Corpus. A text may also come as Tokens, which are read as they are, without the prompt.
        readings: the sites, and which tokens of each; repeats are dropped.
        store: the activation store, or its folder.
        prompt: what is put around each text; the default is the text as the tokenizer prepares it.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context where that is shorter.
        max_bytes: how many bytes of vectors the job may write.

    Returns:
        A job with `n_bytes` and `run`.

    Raises:
        CaptureError: more than `max_bytes` would be written, or a query's position is after a text's end.
        SiteError: a layer that the model does not have.
        PromptError: an empty text, or a limit that the model cannot read.
        ModelError: a token that the model has no embedding for.
        StoreError: a store that cannot be opened.

    """
    for reading in readings:
        reading.site.check(model.n_layers, model.name)
    limit = token_limit(model, max_tokens)
    tokens = tuple(tokenized(model, text_list(texts), prompt, limit))
    _check_queries(tokens, readings)
    identity = how_read(model, prompt=prompt, max_tokens=limit, stored="float32")
    passages = [Passage(text, (len(text),)) for text in tokens]
    job = TokenJob(
        model=model,
        readings=tuple(dict.fromkeys(readings)),
        collection=ActivationStore.of(store).collection(identity, about_of(model)),
        texts=tokens,
        batches=fill_batches(passages, BATCH_TOKENS, max_rows=len(passages)),
    )
    if job.n_bytes > max_bytes:
        raise CaptureError(
            f"These readings of {len(tokens):,} texts make {job.n_bytes:,} bytes, more than the {max_bytes:,} allowed. "
            "Choose fewer texts or layers, or raise --max-bytes."
        )
    return job


def _check_queries(tokens: Sequence[Tokens], readings: Sequence[TokenReading]) -> None:
    for index, text in enumerate(tokens):
        for reading in readings:
            if max(reading.queries(len(text))) >= len(text):
                raise CaptureError(
                    f"{reading} asks for a query that text {index} (from 0) does not have: it has {len(text)} tokens."
                )


def _check_finite(seen: dict[TokenReading, Tensor]) -> None:
    for reading, part in seen.items():
        if not torch.isfinite(part).all():
            raise CaptureError(f"{reading} has NaN or infinity. Nothing of this batch was stored. Try --dtype float32.")
