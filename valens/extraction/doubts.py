"""What makes vectors doubtful that were read as asked: a mean that is one token, a text without a token left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from valens.layers.layer_set import LayerSet
from valens.layers.sites import Stream
from valens.representations.measures import Measure
from valens.representations.named import HS
from valens.representations.poolings import Pooling
from valens.representations.prompts import Tokens
from valens.representations.readings import Reading
from valens.store.shards import Row
from valens.store.store import Collection

SHARES = Reading(Stream.HIDDEN, Measure.SHARES)
"""Read beside every mean of hidden states: two numbers a text and layer."""

_MOSTLY = 0.5

_FEW = 5
"""Of fewer tokens, one is a large share of any mean."""


def with_measures(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Return the different readings; beside a mean of hidden states also the measure of what it is made of."""
    measures = [SHARES] if HS.reading in readings else []
    return tuple(dict.fromkeys([*readings, *measures]))


def token_shares(collection: Collection, rows: Sequence[Row], layers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return, by layer, the share that the first token and the largest have in the mean of the median text."""
    different = list(dict.fromkeys(rows))
    shares: dict[str, dict[str, float]] = {"first": {}, "largest": {}}
    for index, layer in enumerate(layers):
        of_layer = np.median(collection.read(str(SHARES), index, different), axis=0)
        for name, share in zip(shares, of_layer.tolist(), strict=True):
            shares[name][str(layer)] = round(share, 4)
    return shares


def doubts(
    shares: Mapping[str, Mapping[str, float]], readings: Sequence[Reading], texts: Sequence[Tokens]
) -> Iterator[str]:
    """Say what a reader must know of the vectors: a sentence for each doubt."""
    lengths = [sum(text.pooling_mask) for text in texts]
    if not lengths or np.median(lengths) < _FEW:
        shares = {}
    first = _mostly(shares.get("first", {}))
    other = _mostly({layer: share for layer, share in shares.get("largest", {}).items() if int(layer) not in first})
    for layers, token, name in (
        (first, "the first token", "first"),
        (other, "one token, not always the first", "largest"),
    ):
        if layers:
            worst = max(layers, key=lambda layer: shares[name][str(layer)])
            yield (
                f"At layers {LayerSet.of(layers)} the mean of hidden states (HS) is mostly {token}: at layer {worst} "
                f"{shares[name][str(worst)]:.0%} of it, in the median text. Such a mean tells how long a text is rather "
                "than what it means. Read HS-but-first or hidden/unsunk beside it."
            )
    for pooling in dict.fromkeys(reading.pooling for reading in readings):
        left_out = pooling.left_out if isinstance(pooling, Pooling) else 0
        short = sum(sum(text.pooling_mask) <= left_out for text in texts) if left_out else 0
        if short:
            has, they_have = ("text has", "it has") if short == 1 else ("texts have", "they have")
            yield f"{short:,} {has} no token beyond the first {left_out}: {pooling} pools all that {they_have}."


def _mostly(shares: Mapping[str, float]) -> list[int]:
    """Return the layers at which more than half of the mean is the token."""
    return [int(layer) for layer, share in shares.items() if share > _MOSTLY and int(layer) > 0]
