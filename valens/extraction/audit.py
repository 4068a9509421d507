"""The audit: how far apart vectors are that should be equal, on a few texts, by stream and layer.

Each comparison reads the same texts in two ways: alone and in one batch, padded on the right and on the left, with two
attention implementations, in float32 and bfloat16, and by valens and by a bare Hugging Face forward with plain PyTorch
hooks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from valens.errors import StoreError
from valens.extraction.capture import Batch, Vectors, capturing
from valens.extraction.extract import MAX_TOKENS
from valens.extraction.manifest import about_of, how_read
from valens.layers.sites import Stream
from valens.model.architecture import body_of
from valens.model.attention import BRIDGE_ATTENTION
from valens.model.loading import fetch, load, short_name, wrap
from valens.model.model import Model
from valens.representations.poolings import CUSTOM_MARK, Pooling
from valens.representations.prompts import Prompt, Tokens, tokenize
from valens.representations.readings import Reading
from valens.results.provenance import provenance
from valens.results.result import Result
from valens.store.maintenance import flat
from valens.store.store import Collection

KIND = "audit"

TEXTS = (
    "The cat sat on the mat.",
    "A layer's values are computed from the residual stream that enters its block, after the norm.",
    "In 1867 the territory was bought for two cents an acre, and was long thought to be worthless.",
    "Padding must change nothing, whatever stands beside a text and however long it is. " * 4,
)

READINGS = tuple(Reading(stream, Pooling.MEAN) for stream in Stream if stream is not Stream.PATTERN)


def audit(
    name: str,
    texts: Sequence[str] = TEXTS,
    *,
    device: str = "auto",
    dtype: str = "float32",
    max_tokens: int | None = None,
) -> Result:
    """Measure how far apart a model's vectors are where they should be equal.

    The same texts are read alone and in one batch, padded on the left and on the right, with two attention implementations,
    by valens and by a bare Hugging Face forward with plain PyTorch hooks, and in float32 and bfloat16. A comparison that the
    model does not allow is left out.

    Args:
        name: an alias, hub name, folder or GGUF file, as for `load`.
        texts: what is read; the default is four short English texts.
        device: `cpu`, `cuda`, or `auto`: a CUDA device where there is one.
        dtype: `float32`, `bfloat16` or `float16`; only from float32 is bfloat16 compared too.
        max_tokens: how many tokens of a text are read; None: 512.

    Returns:
        A result whose table has one row a comparison, reading and layer. `relative` is the norm of the difference of two
        vectors over the norm of the second, `cosine_gap` is 1 - cosine; both are the largest over the texts.

    Raises:
        ModelError: the model cannot be found or read.
        PromptError: an empty text.

    """
    network, tokenizer, revision = fetch(name, device=device, dtype=dtype)
    tokens = tokenize(tokenizer, list(texts), max_tokens=max_tokens or MAX_TOKENS)
    bare = _bare(network, tokens)
    model = wrap(network, tokenizer, name=short_name(name), revision=revision)
    comparisons = [*_comparisons(model, tokens, bare)]
    if dtype == "float32":
        half = load(name, device=device, dtype="bfloat16", revision=None if revision == "local" else revision)
        comparisons.append(("float32 and bfloat16", _read(half, tokens), _read(model, tokens)))
    table = pd.concat([_gaps(label, one, other, model) for label, one, other in comparisons], ignore_index=True)
    facts = provenance(
        model=about_of(model),
        dtype=dtype,
        attn_implementation=model.attn_implementation,
        texts=len(texts),
        tokens=sum(map(len, tokens)),
    )
    return Result(KIND, table, facts)


def drift(collection: Collection, model: Model, *, sample: int = 20, seed: int = 0) -> pd.DataFrame:
    """Read a random sample of a collection's rows again, and measure how far the stored vectors are from the new ones.

    Args:
        collection: the stored vectors; the readings that `not_read_again` returns are left out.
        model: the model that they were read from.
        sample: how many rows are drawn; all of them if there are fewer.
        seed: draws the rows.

    Returns:
        One row a reading and layer, with the columns of the table of `audit`.

    Raises:
        StoreError: the model is not the collection's, or no row that was drawn has a reading that can be read again.

    """
    _check_same_model(collection, model)
    drawn = collection.sample(sample, seed)
    parts = []
    again = [name for name in collection.readings() if name not in not_read_again(collection)]
    for name, reading in zip(again, map(Reading.parse, again), strict=True):
        stored_rows = [(row, tokens) for row, tokens in drawn if not collection.lacks(name, [row])]
        if stored_rows:
            rows = [row for row, _ in stored_rows]
            indices = range(len(reading.layers(model.n_layers)))
            stored = torch.stack([torch.from_numpy(collection.read(name, index, rows)) for index in indices])
            now = _alone(model, [tokens for _, tokens in stored_rows], [reading])
            parts.append(_gaps("stored and read again", now, {reading: stored}, model))
    if not parts:
        raise StoreError(
            f"None of the {len(drawn)} rows drawn has a reading that can be read again; the collection has "
            f"{', '.join(collection.readings())}. Single tokens and user-defined poolings cannot; for others, draw more."
        )
    return pd.concat(parts, ignore_index=True)


def not_read_again(collection: Collection) -> list[str]:
    """Return the readings that are not compared again: user-defined poolings, single tokens and measures."""
    return [
        name for name in collection.readings() if CUSTOM_MARK in name or "@" in name or Reading.parse(name).is_measure
    ]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return, for each comparison and reading, the largest difference over the layers, and the layer that has it."""
    worst = table.loc[table.groupby(["comparison", "reading"], sort=False).relative.idxmax()]
    cosines = table.groupby(["comparison", "reading"], sort=False).cosine_gap.max().reset_index(drop=True)
    return worst.drop(columns="cosine_gap").reset_index(drop=True).assign(cosine_gap=cosines)


def _comparisons(model: Model, tokens: Sequence[Tokens], bare: Vectors) -> Iterator[tuple[str, Vectors, Vectors]]:
    alone, batched = _alone(model, tokens, READINGS), _read(model, tokens)
    yield "alone and batched", batched, alone
    yield "left and right padding", _read(model, tokens, left=True), batched
    for attn_implementation in ("eager", BRIDGE_ATTENTION):
        if model.attn_implementation not in {attn_implementation, BRIDGE_ATTENTION}:
            yield (
                f"{attn_implementation} and {model.attn_implementation}",
                _read(dataclasses.replace(model, attn_implementation=attn_implementation), tokens),
                batched,
            )
    yield "valens and bare Hugging Face", {reading: alone[reading] for reading in bare}, bare


def _read(model: Model, tokens: Sequence[Tokens], *, left: bool = False) -> Vectors:
    with capturing(model, READINGS) as read:
        return read(Batch.of(tokens, device=model.device, left=left))


def _alone(model: Model, tokens: Sequence[Tokens], readings: Sequence[Reading]) -> Vectors:
    with capturing(model, readings) as read:
        by_text = [read(Batch.of([text], device=model.device)) for text in tokens]
    return {reading: torch.cat([vectors[reading] for vectors in by_text], dim=1) for reading in readings}


def _bare(network: PreTrainedModel, tokens: Sequence[Tokens]) -> Vectors:
    """Return the means over tokens that a bare forward shows at modules of the usual names; other streams are absent."""
    by_text = [_bare_text(network, text) for text in tokens]
    return {reading: torch.stack([means[reading] for means in by_text], dim=1) for reading in by_text[0]}


def _bare_text(network: PreTrainedModel, text: Tokens) -> dict[Reading, Float[Tensor, "layer d"]]:
    body = body_of(network)
    blocks: Any = getattr(body, "layers", None) or getattr(body, "h", None) or ()
    seen: dict[Stream, list[Tensor]] = {}
    handles = []

    def keep(stream: Stream, *, entering: bool = False) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
            passing = args if entering else output
            tensor = passing[0] if isinstance(passing, tuple) else passing
            weights = torch.tensor(text.pooling_mask, device=tensor.device).float()[None]
            seen.setdefault(stream, []).append(
                einsum(tensor.float(), weights, "one token d, one token -> d") / weights.sum()
            )

        return hook

    for block in blocks:
        handles.append(block.register_forward_hook(keep(Stream.HIDDEN)))
        attention = next((getattr(block, name) for name in ("self_attn", "attn") if hasattr(block, name)), block)
        if hasattr(attention, "v_proj"):
            handles.append(attention.v_proj.register_forward_hook(keep(Stream.VALUES)))
        if hasattr(attention, "o_proj"):
            handles.append(attention.o_proj.register_forward_hook(keep(Stream.HEADS, entering=True)))
    try:
        with torch.inference_mode():
            body(input_ids=torch.tensor([text.ids], device=next(network.parameters()).device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return {Reading(stream, Pooling.MEAN): torch.stack(layers).cpu() for stream, layers in seen.items()}


def _gaps(label: str, one: Vectors, other: Vectors, model: Model) -> pd.DataFrame:
    """Measure how far one is from the other, at the layers from 1 on, largest over the texts."""
    rows = []
    for reading, vectors in one.items():
        layers = list(reading.layers(model.n_layers))[-len(other[reading]) :]
        for layer, left, right in zip(layers, vectors[-len(layers) :], other[reading], strict=True):
            relative = (left - right).norm(dim=1) / right.norm(dim=1)
            cosine = torch.nn.functional.cosine_similarity(left.double(), right.double(), dim=1)
            rows.append((label, str(reading), layer, float(relative.max()), float((1 - cosine).max().clamp(min=0))))
    return pd.DataFrame(rows, columns=["comparison", "reading", "layer", "relative", "cosine_gap"])


def _check_same_model(collection: Collection, model: Model) -> None:
    """Raise StoreError unless the collection was read from this model; prompt, truncation and libraries may be others."""
    stored = dict(flat(collection.identity))
    now = dict(flat(how_read(model, prompt=Prompt(), max_tokens=1, stored=str(stored.get("stored")))))
    differs = [
        name
        for name in ("weights_hash", "config_hash", "tokenizer_hash", "dtype", "attn_implementation")
        if stored.get(name) != now[name]
    ]
    if differs:
        raise StoreError(
            f"The collection {collection.key[:12]} was made by {collection.about.get('model')}; {model.name} as loaded here "
            f"differs in {', '.join(differs)}. Load the same model with the same --dtype."
        )
