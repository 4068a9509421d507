"""The embedding of a text: the mean of its vectors over a layer set (section 4.1 of arXiv 2602.01572)."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from valens.corpora.contract import Corpus
from valens.errors import ValensWarning
from valens.extraction.extract import Extraction, plan
from valens.extraction.layers_file import as_chosen, layers_for
from valens.extraction.texts import text_list
from valens.layers.layer_set import LayerSet
from valens.metrics import l2_normalize
from valens.model.model import Model
from valens.representations.named import VA, Representation
from valens.representations.named import representation as named
from valens.representations.postprocessing import FittedPostprocessing
from valens.representations.readings import Reading
from valens.store.store import ActivationStore

_AT_ONCE = 4096
"""The number of texts that are read before they are averaged; it limits what is on disk meanwhile."""


def encode(
    model: Model,
    texts: Iterable[str] | Corpus,
    *,
    representation: Representation | str = VA,
    layers: LayerSet | str | Path,
    store: ActivationStore | str | Path | None = None,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    postprocessing: FittedPostprocessing | None = None,
    normalize: bool = False,
) -> Float[np.ndarray, "text d"]:
    """Embed texts: average the vectors of each text over a layer set.

    Section 4.1 of arXiv 2602.01572. The mean over the layers is summed in float64.

    Args:
        model: the decoder that is read, from `load` or `wrap`.
        texts: the texts, or a Corpus. None of them is empty.
        representation: what is read of a text, or its name, as `VA` or `values/last`. The default is VA.
        layers: the layers that are averaged: a LayerSet, its notation (`20-27`, `half`), the path of the layers.json that
            `valens sweep-layers` writes, whose prompt a representation without one has too, or `preset`, the set that the
            paper chose for this model.
        store: the activation store, or its folder. What it has is not read again, and what is read stays there, at all
            layers. None: nothing is kept.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context where that is shorter.
        on_long: what is done with a longer text: `truncate` keeps its beginning, `error` raises PromptError.
        postprocessing: what is done to the embeddings, fitted on other texts by `fit_postprocessing`; None: nothing.
        normalize: whether every embedding is scaled to length 1, in the end.

    Returns:
        The embeddings [text, d] in float32, in the order of the texts. For VA, d is n_kv_heads · d_head; for HS, d_model.
        What makes them doubtful, as a mean that is mostly one token, is a warning.

    Raises:
        LayerSetError, SiteError: layers that this model or representation does not have, or that were chosen for another.
        ResultError: a layers.json that cannot be read.
        RepresentationError: a representation that does not exist.
        PromptError: a single string, an empty text, or a limit that the model cannot read.
        StoreError: a store that cannot be read or written.
        PostprocessingError: a post-processing that was fitted on embeddings of another width.

    """
    asked = as_chosen(named(representation) if isinstance(representation, str) else representation, layers)
    all_texts = text_list(texts)
    layer_set = layers_for(model, asked, layers)
    parts = [np.empty((0, model.sizes.width(asked.reading.stream)), dtype=np.float32)]
    notes: dict[str, None] = {}
    for start in range(0, len(all_texts), _AT_ONCE):
        with _open_store(store) as opened:
            extraction = plan(
                model,
                all_texts[start : start + _AT_ONCE],
                [asked.reading],
                store=opened,
                prompt=asked.prompt,
                max_tokens=max_tokens,
                on_long=on_long,
            ).run()
            parts.append(averaged(extraction, asked.reading, layer_set))
            notes.update(dict.fromkeys(extraction.notes_at(layer_set)))
    for note in notes:
        warnings.warn(note, ValensWarning, stacklevel=2)
    vectors = np.concatenate(parts)
    if postprocessing is not None:
        vectors = postprocessing(vectors)
    return l2_normalize(vectors).astype(np.float32) if normalize else vectors


def averaged(
    extraction: Extraction, reading: Reading, layers: Iterable[int], indices: Sequence[int] | None = None
) -> Float[np.ndarray, "row d"]:
    """Average stored vectors over layers, summed in float64.

    Args:
        extraction: what `extract.Job.run` returned.
        reading: one of the readings of the job.
        layers: one or more layers of the reading, counted from 1; `hidden` also has 0.
        indices: which rows, from 0 in the order of the texts; None: all of them.

    Returns:
        One vector a row [row, d], in float32.

    Raises:
        StoreError: a row has no vectors of the reading.

    """
    averaged_layers = list(layers)
    total = sum(extraction.vectors(reading, layer, indices).astype(np.float64) for layer in averaged_layers)
    return (np.asarray(total) / len(averaged_layers)).astype(np.float32)


@contextlib.contextmanager
def _open_store(store: ActivationStore | str | Path | None) -> Iterator[ActivationStore]:
    """Open the store, or a temporary one that is removed on leaving."""
    if store is not None:
        yield ActivationStore.of(store)
        return
    with tempfile.TemporaryDirectory(prefix="valens-") as folder:
        yield ActivationStore(folder)
