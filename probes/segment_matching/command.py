"""`valens segment-matching`: does a text's beginning find its own end, at which layers, and by which vectors?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probes.command import ModelOptions, run_probe
from valens.terminal.choices import either, one_of
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    READING,
    AsJson,
    AttnImplementation,
    Bos,
    Check,
    CorpusName,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    Field,
    Layers,
    Limit,
    ModelName,
    NearDuplicates,
    Out,
    PoolOver,
    Representations,
    Resplits,
    Revision,
    Seed,
    StorePath,
    representations_named,
)
from valens.terminal.texts import read_corpus

SIMILARITIES = ("cosine", "dot", "centered-cosine")
INTERVALS = ("wilson", "percentile", "bca")
"""What the options take, said here because what measures them loads numpy; a test holds these to that."""


def segment_matching(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
    near_duplicates: NearDuplicates = None,
    representations: Representations = "VA,HS,HS-but-first",
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Tokens read of a text.",
            show_default="2,000, or the model's context",
            rich_help_panel=READING,
        ),
    ] = None,
    segment_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Tokens kept on each side of the cut.",
            show_default="all",
            rich_help_panel=READING,
        ),
    ] = None,
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    layers: Layers = None,
    k: Annotated[
        str,
        typer.Option(
            "--k", metavar="NUMBERS", help="The k of recall@k, with commas between.", rich_help_panel=CHOOSING
        ),
    ] = "1,5,10",
    similarity: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"How alike two segments are: {either(SIMILARITIES)}.",
            autocompletion=one_of(SIMILARITIES),
            rich_help_panel=CHOOSING,
        ),
    ] = "cosine",
    interval: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"The interval: {either(INTERVALS)}. Wilson's is for recall; MRR has BCa beside it.",
            autocompletion=one_of(INTERVALS),
            rich_help_panel=CHOOSING,
        ),
    ] = "wilson",
    seed: Seed = 0,
    resplits: Resplits = 1,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/segment-matching"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Match the beginnings of texts with their ends, by layer.

    The scores are recall@k and MRR, with intervals. Each text is cut once between a quarter and three quarters of its
    tokens, and each segment is read alone. A second run with the same settings reads nothing.
    """
    from probes.segment_matching.probe import SegmentMatching
    from valens.store.store import ActivationStore

    wanted = representations_named(representations, bos=bos, pool_over=pool_over)
    settings = SegmentMatching(
        layers=layers,
        max_tokens=max_tokens,
        segment_tokens=segment_tokens,
        similarity=similarity,
        ks=_numbers(k),
        seed=seed,
        resplits=resplits,
        interval=interval,
    )
    run_probe(
        settings,
        ModelOptions(model, revision, device, dtype, attn_implementation, check),
        read_corpus(
            Console(stderr=as_json),
            corpus,
            data_root=data_root,
            field=field,
            limit=limit,
            near_duplicates=near_duplicates,
        ),
        wanted,
        store=ActivationStore(store, check=check),
        out=out,
        dry_run=dry_run,
        as_json=as_json,
    )


def _numbers(text: str) -> list[int]:
    from valens.errors import ResultError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ResultError(f"--k takes whole numbers with commas between, as 1,5,10; got {text!r}.")
    return [int(part) for part in parts]
