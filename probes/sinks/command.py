"""`valens sinks`: is a mean one token?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probes.command import ModelOptions, run_probe
from valens.terminal.options import (
    DEFAULT_STORE,
    INPUT,
    AsJson,
    AttnImplementation,
    Bos,
    Check,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    Field,
    MaxTokens,
    ModelName,
    NearDuplicates,
    Out,
    ParagraphsOrCorpus,
    PoolOver,
    Resamples,
    Revision,
    Seed,
    StorePath,
)
from valens.terminal.texts import read_corpus


def sinks(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: ParagraphsOrCorpus = None,
    field: Field = None,
    data_root: DataRoot = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most this many texts.", rich_help_panel=INPUT)
    ] = 200,
    near_duplicates: NearDuplicates = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    max_tokens: MaxTokens = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/sinks"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Look for attention sinks.

    At every layer: how long the first and the longest token are beside the others, how much of a mean they make, massive
    activations, heads that attend to the first token, and whether the cosine of two texts follows their lengths.
    """
    from probes.sinks.probe import Sinks
    from valens.representations.prompts import Prompt
    from valens.store.store import ActivationStore
    from valens.suites.paragraphs import paragraphs

    texts = (
        read_corpus(
            Console(stderr=as_json),
            corpus,
            data_root=data_root,
            field=field,
            limit=limit,
            near_duplicates=near_duplicates,
        )
        if corpus
        else paragraphs(limit)
    )
    run_probe(
        Sinks(prompt=Prompt(bos=bos, pool_over=pool_over), max_tokens=max_tokens, resamples=resamples, seed=seed),
        ModelOptions(model, revision, device, dtype, attn_implementation, check),
        texts,
        (),
        store=ActivationStore(store, check=check),
        out=out,
        dry_run=dry_run,
        as_json=as_json,
    )
