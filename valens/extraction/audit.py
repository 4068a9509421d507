"""How far apart are vectors that should be equal? Measured on a handful of texts, by stream and layer.

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
    """Measure a model. The table has a row a comparison, stream and layer.

    `relative` is the largest, over the texts, norm of the difference of two vectors over the norm of the second;
    `cosine_gap` the largest 1 - cosine. A comparison that the model does not allow is left out.
    """
    network, tokenizer, revision = fetch(name, device=device, dtype=dtype)
    tokens = tokenize(tokenizer, list(texts), max_tokens=max_tokens or MAX_TOKENS)
    bare = _bare(network, tokens)
    model = wrap(network, tokenizer, name=short_name(name), revision=revision)
    found = [*_comparisons(model, tokens, bare)]
    if dtype == "float32":
        half = load(name, device=device, dtype="bfloat16", revision=None if revision == "local" else revision)
        found.append(("float32 and bfloat16", _read(half, tokens), _read(model, tokens)))
    table = pd.concat([_gaps(what, one, other, model) for what, one, other in found], ignore_index=True)
    facts = provenance(
        model=about_of(model),
        dtype=dtype,
        attn_implementation=model.attn_implementation,
        texts=len(texts),
        tokens=sum(map(len, tokens)),
    )
    return Result(KIND, table, facts)


def drift(collection: Collection, model: Model, *, sample: int = 20, seed: int = 0) -> pd.DataFrame:
    """Read a random sample of a collection's rows again, and say how far each stored reading is from what comes now.

    The table has a row a reading and layer, as `audit` has; what `not_read_again` names is passed over. Raises StoreError if
    the model is not the collection's, and if no row of the sample has a reading that can be read again.
    """
    _check_same_model(collection, model)
    chosen = collection.sample(sample, seed)
    parts = []
    again = [name for name in collection.readings() if name not in not_read_again(collection)]
    for name, reading in zip(again, map(Reading.parse, again), strict=True):
        there = [(row, tokens) for row, tokens in chosen if not collection.lacks(name, [row])]
        if there:
            rows = [row for row, _ in there]
            places = range(len(reading.layers(model.n_layers)))
            stored = torch.stack([torch.from_numpy(collection.read(name, place, rows)) for place in places])
            now = _alone(model, [tokens for _, tokens in there], [reading])
            parts.append(_gaps("stored and read again", now, {reading: stored}, model))
    if not parts:
        raise StoreError(
            f"None of the {len(chosen)} rows drawn has a reading that can be read again; the collection has "
            f"{', '.join(collection.readings())}. Single tokens and user-defined poolings cannot; for others, draw more."
        )
    return pd.concat(parts, ignore_index=True)


def not_read_again(collection: Collection) -> list[str]:
    """The readings that a store and a model do not suffice for: user-defined poolings, and single tokens."""
    return [name for name in collection.readings() if CUSTOM_MARK in name or "@" in name]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """For each comparison and stream the largest difference over the layers, and the layer that has it."""
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
        found = [read(Batch.of([text], device=model.device)) for text in tokens]
    return {reading: torch.cat([vectors[reading] for vectors in found], dim=1) for reading in readings}


def _bare(network: PreTrainedModel, tokens: Sequence[Tokens]) -> Vectors:
    """Means over tokens that a bare forward shows at modules of the usual names; a stream without one is absent."""
    found = [_bare_text(network, text) for text in tokens]
    return {reading: torch.stack([text[reading] for text in found], dim=1) for reading in found[0]}


def _bare_text(network: PreTrainedModel, text: Tokens) -> dict[Reading, Float[Tensor, "layer d"]]:
    body = body_of(network)
    blocks: Any = getattr(body, "layers", None) or getattr(body, "h", None) or ()
    seen: dict[Stream, list[Tensor]] = {}
    handles = []

    def keep(stream: Stream, *, entering: bool = False) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
            found = args if entering else output
            tensor = found[0] if isinstance(found, tuple) else found
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


def _gaps(what: str, one: Vectors, other: Vectors, model: Model) -> pd.DataFrame:
    """How far one is from the other, at the layers from 1 on, largest over the texts."""
    rows = []
    for reading, vectors in one.items():
        layers = list(reading.layers(model.n_layers))[-len(other[reading]) :]
        for layer, left, right in zip(layers, vectors[-len(layers) :], other[reading], strict=True):
            relative = (left - right).norm(dim=1) / right.norm(dim=1)
            cosine = torch.nn.functional.cosine_similarity(left.double(), right.double(), dim=1)
            rows.append((what, str(reading), layer, float(relative.max()), float((1 - cosine).max().clamp(min=0))))
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
