"""Post-processing fitted on a corpus: on the embeddings of its texts, none of which is then embedded or evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from valens.corpora.contract import Corpus
from valens.corpora.duplicates import identity
from valens.errors import PostprocessingError
from valens.extraction.embedding import encode
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import VA, Representation
from valens.representations.named import representation as named
from valens.representations.postprocessing import FittedPostprocessing, Postprocessing
from valens.store.store import ActivationStore


def check_fit_texts(fit: Corpus, evaluated: Sequence[str]) -> None:
    """Raise PostprocessingError if a text that is fitted on is evaluated too, but for case, spaces and signs."""
    known = set(map(identity, evaluated))
    shared = [text for text in fit.texts if identity(text) in known]
    if shared:
        raise PostprocessingError(
            f"{len(shared)} of the {len(fit.texts):,} texts of {fit.name} to fit on are evaluated too, the first is "
            f"{shared[0][:40]!r}. Fit on other texts."
        )


def fit_postprocessing(
    model: Model,
    postprocessing: Postprocessing | str,
    fit: Corpus,
    *,
    representation: Representation | str = VA,
    layers: LayerSet | str | Path,
    store: ActivationStore | str | Path | None = None,
    max_tokens: int | None = None,
    on_long: str = "truncate",
) -> FittedPostprocessing:
    """Embed a corpus and fit a post-processing on it, to be given to `encode` with the same representation and layers.

    Args:
        model: the decoder that is read.
        postprocessing: a Postprocessing or its notation, such as `abtt-3`.
        fit: the texts that it is fitted on, none of which is embedded with it: `check_fit_texts` tells.
        representation: what is read of a text, as `encode` has it.
        layers: the layers that are averaged, as `encode` has them.
        store: the activation store, or its folder; None: nothing is kept.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context.
        on_long: what becomes of longer texts, as `encode` has it.

    Returns:
        The fitted map.

    Raises:
        PostprocessingError: one that does not exist, or fewer texts than it needs, before any is read.
        ValensError: what `encode` raises.

    """
    wanted = Postprocessing.parse(postprocessing) if isinstance(postprocessing, str) else postprocessing
    what = named(representation) if isinstance(representation, str) else representation
    wanted.check(len(fit.texts), model.sizes.width(what.reading.stream))
    embeddings = encode(
        model, fit, representation=what, layers=layers, store=store, max_tokens=max_tokens, on_long=on_long
    )
    return wanted.fit(embeddings)
