"""The embedding of a text: the mean of its vectors over a layer set (section 4.1 of arXiv 2602.01572)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from valens.errors import PromptError
from valens.extraction.extract import Extraction, plan
from valens.extraction.layers_file import layers_for
from valens.layers.layer_set import LayerSet
from valens.metrics import l2_normalize
from valens.model.model import Model
from valens.representations.named import VA, Representation
from valens.representations.named import representation as named
from valens.representations.readings import Reading
from valens.store.store import ActivationStore

_AT_ONCE = 4096
"""So many texts are read before their average is taken, which bounds what lies on disk between."""


def encode(
    model: Model,
    texts: Iterable[str],
    *,
    representation: Representation | str = VA,
    layers: LayerSet | str | Path,
    store: ActivationStore | str | Path | None = None,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    normalize: bool = False,
) -> Float[np.ndarray, "text d"]:
    """The averaged embedding of each text, in float32; `normalize` sets each to length one.

    `representation` may be its name, as `"VA"` or `"values/last"`. `layers` is a LayerSet, its notation, the path of a
    sweep's layers.json, or `preset` (the paper's set for the model).
    With a store, what it has is not read again and what is read stays there, at all layers; without one nothing is kept.
    Raises LayerSetError or SiteError for layers that are not this model's, PromptError for an empty text and for
    what is no list of texts.
    """
    asked = named(representation) if isinstance(representation, str) else representation
    all_texts = listed(texts)
    wanted = layers_for(model, asked, layers)
    parts = [np.empty((0, model.sizes.width(asked.reading.stream)), dtype=np.float32)]
    for start in range(0, len(all_texts), _AT_ONCE):
        with _kept(store) as folder:
            extraction = plan(
                model,
                all_texts[start : start + _AT_ONCE],
                [asked.reading],
                store=folder,
                prompt=asked.prompt,
                max_tokens=max_tokens,
                on_long=on_long,
            ).run()
            parts.append(averaged(extraction, asked.reading, wanted))
    vectors = np.concatenate(parts)
    return l2_normalize(vectors).astype(np.float32) if normalize else vectors


def listed(texts: object) -> list[str]:
    """Texts as a list; PromptError for one text alone, whose letters would be taken for texts, and for what is none."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise PromptError(f'The texts are a list of texts, as ["one text"]; got {texts!r:.40}.')
    found = list(texts)
    others = [place for place, text in enumerate(found) if not isinstance(text, str)]
    if others:
        raise PromptError(f"Text {others[0]} (from 0) is no text: {found[others[0]]!r:.40}. Give a list of texts.")
    return found


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
        yield ActivationStore.of(store)
        return
    with tempfile.TemporaryDirectory(prefix="valens-") as folder:
        yield ActivationStore(folder)
