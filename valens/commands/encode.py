"""`valens encode`: texts in, one a line; their averaged embeddings out, one a row, as a numpy array."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probes.command import ModelOptions
from valens.errors import PostprocessingError, ResultError
from valens.terminal import choices
from valens.terminal.choices import either
from valens.terminal.options import (
    BOS_HELP,
    CHOOSING,
    INPUT,
    OUTPUT,
    POOL_OVER_HELP,
    READING,
    AttnImplementation,
    Check,
    Device,
    Dtype,
    FitCorpus,
    MaxTokens,
    ModelName,
    OnLong,
    Revision,
)
from valens.terminal.texts import read_every_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from valens.corpora import Corpus
    from valens.representations.postprocessing import FittedPostprocessing


def encode(
    texts: Annotated[
        Path | None,
        typer.Argument(metavar="TEXTS", help="A file of UTF-8 text, one text a line.", show_default="standard input"),
    ] = None,
    *,
    layers: Annotated[
        str,
        typer.Option(
            metavar="LAYERS",
            help="As 26,27,29-31, the layers.json of a sweep, or preset: the paper's set for llama-2-7b or qwen3-8b.",
            rich_help_panel=CHOOSING,
        ),
    ],
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    representation: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"What is averaged: {either(choices.REPRESENTATIONS)}, or a reading such as values/last.",
            autocompletion=choices.representation,
            rich_help_panel=INPUT,
        ),
    ] = "VA",
    post: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What is done to the embeddings: centred, standardised, abtt-3, whitened-64 or pca-64, fitted on --fit.",
            show_default="nothing",
            rich_help_panel=CHOOSING,
        ),
    ] = None,
    fit: FitCorpus = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Set every vector to length one.", rich_help_panel=CHOOSING)
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    on_long: OnLong = "truncate",
    bos: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help=BOS_HELP,
            autocompletion=choices.bos,
            show_default="auto, or as layers.json says",
            rich_help_panel=READING,
        ),
    ] = None,
    pool_over: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help=POOL_OVER_HELP,
            autocompletion=choices.pool_over,
            show_default="all, or as layers.json says",
            rich_help_panel=READING,
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="An activation store to read from and to keep in.",
            show_default="none",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    check: Check = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The .npy file.", show_default="standard output", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Embed texts: the mean of their vectors over a layer set.

    What comes out is a float32 array in numpy's format, one row a line. With --store, texts that were read before are not
    read again.
    """
    from rich.console import Console

    from valens.corpora import corpus
    from valens.extraction import embedding
    from valens.extraction.fitting import check_fit_texts, fit_postprocessing
    from valens.extraction.layers_file import as_chosen, layers_for
    from valens.representations.named import representation as named
    from valens.representations.postprocessing import Postprocessing
    from valens.store.store import ActivationStore

    if out is None and sys.stdout.isatty():
        raise ResultError(
            "Vectors cannot be shown on a terminal. Give --out vectors.npy, or send standard output to a file."
        )
    for path in [] if out is None else [out] if post is None else [out, _beside(out)]:
        _check_out(path)
    if (post is None) != (fit is None) or (post is not None and out is None):
        raise PostprocessingError("--post, --fit and --out go together: what was fitted is kept beside the vectors.")
    after = None if post is None else Postprocessing.parse(post)
    wanted = as_chosen(named(representation), layers)  # a file that is none is known before a model is loaded for it
    policies = {name: word for name, word in (("bos", bos), ("pool_over", pool_over)) if word is not None}
    wanted = replace(wanted, prompt=replace(wanted.prompt, **policies))
    lines = read_every_line(texts)
    fit_texts = None if fit is None else corpus(fit)
    if fit_texts is not None:
        check_fit_texts(fit_texts, lines)
    activations = None if store is None else ActivationStore(store, check=check)
    loaded = ModelOptions(model, revision, device, dtype, attn_implementation, check).load(Console(stderr=True))
    chosen = layers_for(loaded, wanted, layers)
    fitted = None
    if after is not None and fit_texts is not None:
        fitted = fit_postprocessing(
            loaded,
            after,
            fit_texts,
            representation=wanted,
            layers=chosen,
            store=activations,
            max_tokens=max_tokens,
            on_long=on_long,
        )
    vectors = embedding.encode(
        loaded,
        lines,
        representation=wanted,
        layers=chosen,
        store=activations,
        max_tokens=max_tokens,
        on_long=on_long,
        postprocessing=fitted,
        normalize=normalize,
    )
    _write(vectors, out)
    if fitted is not None and fit_texts is not None and out is not None:
        _write_fit(fitted, fit_texts, _beside(out))


def _beside(out: Path) -> Path:
    """Return the file for what was fitted."""
    return out.with_suffix(".post.npz")


def _check_out(out: Path) -> None:
    """Raise ResultError for what cannot be a file, before anything is computed for it."""
    if not out.name or out.is_dir():
        raise ResultError(f"--out {out} is a folder. Name a file, as --out vectors.npy.")
    if not out.parent.is_dir():
        raise ResultError(f"There is no folder {out.parent} for {out.name}. Make it, or choose another --out.")


def _write(vectors: NDArray, out: Path | None) -> None:
    import numpy as np

    from valens.files import atomic

    content = io.BytesIO()
    np.save(content, vectors)
    if out is None:
        _to_standard_output(content.getbuffer())
    else:
        atomic.replace(out, lambda path: path.write_bytes(content.getbuffer()))


def _write_fit(fitted: FittedPostprocessing, fit: Corpus, path: Path) -> None:
    """Keep what was fitted: `offset` and `matrix`, and in `about`, as JSON, on which texts."""
    import numpy as np

    from valens.files import atomic
    from valens.files.strict_json import to_json

    content = io.BytesIO()
    about = to_json({"name": fitted.name, "texts": fitted.n_texts, "corpus": fit.facts()})
    np.savez(content, offset=fitted.offset, matrix=fitted.matrix, about=np.array(about))
    atomic.replace(path, lambda temporary: temporary.write_bytes(content.getbuffer()))


def _to_standard_output(content: memoryview) -> None:
    """Write all of it past Python's buffer, whose rest would be written once more on leaving, and fail once more."""
    sys.stdout.flush()
    try:
        with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as raw:
            while content:
                content = content[raw.write(content) or 0 :]
    except OSError as error:
        raise ResultError(
            f"Standard output cannot be written ({error.strerror}). Give --out, on a disk with space."
        ) from error
