"""`valens next-token`: which layers, and which of their vectors, know the very next token?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probes.command import ModelOptions, run_probe
from probes.next_token.names import REPEATS
from valens.terminal.choices import either, one_of
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    INPUT,
    TRAINING,
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
    MaxTokens,
    ModelName,
    NearDuplicates,
    Out,
    PoolOver,
    Representations,
    Resamples,
    Revision,
    Seed,
    StorePath,
    representations_named,
)
from valens.terminal.texts import read_corpus

SCHEDULES = ("cosine", "constant")
STARTS = ("beginning", "random")
"""What the options take, said here because what draws and trains loads torch; a test holds these to that."""


def next_token(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
    near_duplicates: NearDuplicates = None,
    representations: Representations = "VA,HS,LT",
    start: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"Where prefixes begin in a text: {either(STARTS)} (drawn for each text).",
            autocompletion=one_of(STARTS),
            rich_help_panel=INPUT,
        ),
    ] = "beginning",
    prefixes: Annotated[
        int, typer.Option(metavar="N", help="At most this many prefixes of each text.", rich_help_panel=INPUT)
    ] = 64,
    min_prefix: Annotated[
        int, typer.Option(metavar="N", help="Tokens of the shortest prefix.", rich_help_panel=INPUT)
    ] = 8,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    layers: Layers = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="A layer set to score as one average, as 26-30; may be repeated.",
            show_default="none",
            rich_help_panel=CHOOSING,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many of the most frequent next tokens are told apart, or all.",
            show_default="1000, or as many as there are",
            rich_help_panel=CHOOSING,
        ),
    ] = None,
    control: Annotated[
        bool, typer.Option(help="Also train on the control task, for selectivity.", rich_help_panel=CHOOSING)
    ] = True,
    repeat: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"Which probes learn with every seed and the control task: {either(REPEATS)} of a representation.",
            autocompletion=one_of(REPEATS),
            rich_help_panel=CHOOSING,
        ),
    ] = "best",
    seed: Seed = 0,
    resamples: Resamples = 10_000,
    seeds: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="How many orders of the rows to train with.", rich_help_panel=TRAINING),
    ] = 3,
    steps: Annotated[int, typer.Option(metavar="N", help="At most this many steps.", rich_help_panel=TRAINING)] = 1000,
    batch: Annotated[int, typer.Option(metavar="N", help="Prefixes a step.", rich_help_panel=TRAINING)] = 256,
    lr: Annotated[float, typer.Option(metavar="RATE", help="Adam's learning rate.", rich_help_panel=TRAINING)] = 1e-3,
    schedule: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"The course of the learning rate: {either(SCHEDULES)}.",
            autocompletion=one_of(SCHEDULES),
            rich_help_panel=TRAINING,
        ),
    ] = "cosine",
    l2: Annotated[
        float, typer.Option(metavar="WEIGHT", help="The penalty on squared weights.", rich_help_panel=TRAINING)
    ] = 1e-2,
    patience: Annotated[
        int,
        typer.Option(metavar="N", help="Checkpoints without gain after which a probe stops.", rich_help_panel=TRAINING),
    ] = 3,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/next-token"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train linear probes that tell the next token, by layer.

    They learn from frozen vectors of prefixes, all together, and are scored on other documents. Each text is read once,
    whatever its prefixes; a second run with the same texts reads nothing.
    """
    from probes.next_token.probe import NextToken
    from valens.linear_probes.recipe import Recipe
    from valens.store.store import ActivationStore

    wanted = representations_named(representations, bos=bos, pool_over=pool_over)
    settings = NextToken(
        layers=layers,
        sets=sets or (),
        n_classes=_classes(classes),
        start=start,
        prefixes=prefixes,
        min_prefix=min_prefix,
        max_tokens=max_tokens,
        recipe=Recipe(steps=steps, batch=batch, lr=lr, schedule=schedule, l2=l2, patience=patience),
        seeds=seeds,
        control=control,
        repeat=repeat,
        seed=seed,
        resamples=resamples,
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


def _classes(text: str | None) -> int | str | None:
    """Return a number where it is one; the probe refuses what is neither that nor `all`."""
    return int(text) if text is not None and text.strip().isdecimal() else text
