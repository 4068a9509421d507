"""`valens ladder`: is it the values, or the pooling?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.command import ModelOptions, run_probe
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    AsJson,
    AttnImplementation,
    Bos,
    Check,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    FitCorpus,
    MaxTokens,
    ModelName,
    Out,
    PoolOver,
    Resamples,
    Revision,
    Seed,
    Select,
    StorePath,
    Strict,
    SuiteName,
    TaskLimit,
)
from valens.terminal.texts import cautions, read_suites


def ladder(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    suite: SuiteName = "builtin",
    data_root: DataRoot = None,
    strict: Strict = False,
    limit: TaskLimit = None,
    fit: FitCorpus = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    max_tokens: MaxTokens = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="A set to look at beside the deep half and all.",
            show_default="the paper's",
            rich_help_panel=CHOOSING,
        ),
    ] = None,
    select: Select = "paper",
    draws: Annotated[
        int, typer.Option(min=1, metavar="N", help="Random matrices in place of W_V.", rich_help_panel=CHOOSING)
    ] = 5,
    runs: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Runs of a clustering or classification, of mteb's ten.", rich_help_panel=CHOOSING
        ),
    ] = 5,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/ladder"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Tell values from pooling.

    Every step from the mean of hidden states to the mean of values is scored, and every fix of either, on the same texts
    from one pass: tokens of one length, without the first, without sinks, standardised, without principal directions. What
    is left to the values is told for each way of choosing layers.
    """
    from probes.ladder.probe import Ladder
    from valens.corpora import corpus
    from valens.representations.prompts import Prompt
    from valens.store.store import ActivationStore

    (tasks,) = read_suites([suite], data_root=data_root, strict=strict)
    run_probe(
        Ladder(
            fit=corpus(fit) if fit else None,
            layers=layers,
            select=select,
            draws=draws,
            runs=runs,
            prompt=Prompt(bos=bos, pool_over=pool_over),
            max_tokens=max_tokens,
            resamples=resamples,
            seed=seed,
        ),
        ModelOptions(model, revision, device, dtype, attn_implementation, check),
        tasks if limit is None else tasks.limited(limit),
        (),
        store=ActivationStore(store, check=check),
        out=out,
        dry_run=dry_run,
        as_json=as_json,
        notes=cautions(tasks),
    )
