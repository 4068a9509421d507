"""The embedding of a text: the mean of its vectors over a layer set (section 4.1 of arXiv 2602.01572)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from valens.chosen import layers_for
from valens.extract import Extraction, plan
from valens.layers import LayerSet
from valens.metrics import unit
from valens.models import Model
from valens.representations import VA, Reading, Representation
from valens.store import ActivationStore

_AT_ONCE = 4096
"""So many texts are read before their average is taken, which bounds what lies on disk between."""


def encode(
    model: Model,
    texts: Sequence[str],
    *,
    representation: Representation = VA,
    layers: LayerSet | str | Path,
    store: ActivationStore | str | Path | None = None,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    normalize: bool = False,
) -> Float[np.ndarray, "text d"]:
    """The averaged embedding of each text, in float32; `normalize` sets each to length one.

    `layers` is a LayerSet, its notation, the path of a sweep's layers.json, or `preset` (the paper's set for the model).
    With a store, what it has is not read again and what is read stays there, at all layers; without one nothing is kept.
    Raises LayerSetError or SiteError for layers that are not this model's, PromptError for an empty text.
    """
    wanted = layers_for(model, representation, layers)
    parts = [np.empty((0, model.sizes.width(representation.reading.stream)), dtype=np.float32)]
    for start in range(0, len(texts), _AT_ONCE):
        with _kept(store) as folder:
            extraction = plan(
                model,
                texts[start : start + _AT_ONCE],
                [representation.reading],
                store=folder,
                prompt=representation.prompt,
                max_tokens=max_tokens,
                on_long=on_long,
            ).run()
            parts.append(averaged(extraction, representation.reading, wanted))
    vectors = np.concatenate(parts)
    return unit(vectors).astype(np.float32) if normalize else vectors


def averaged(
    extraction: Extraction, reading: Reading, layers: Iterable[int], places: Sequence[int] | None = None
) -> Float[np.ndarray, "row d"]:
    """The mean over layers of stored vectors, summed in float64: of all rows, or of those at these places."""
    wanted = list(layers)
    total = sum(extraction.vectors(reading, layer, places).astype(np.float64) for layer in wanted)
    return (np.asarray(total) / len(wanted)).astype(np.float32)


@contextlib.contextmanager
def _kept(store: ActivationStore | str | Path | None) -> Iterator[ActivationStore]:
    """The store, or one that is gone on leaving."""
    if store is not None:
        yield store if isinstance(store, ActivationStore) else ActivationStore(store)
        return
    with tempfile.TemporaryDirectory(prefix="valens-") as folder:
        yield ActivationStore(folder)
