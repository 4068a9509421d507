"""`valens extract`: put the vectors of a file of texts into a store."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from probes.command import ModelOptions
from valens.terminal import choices
from valens.terminal.choices import either
from valens.terminal.console import say, say_labelled, show_estimate, write_json
from valens.terminal.options import (
    DEFAULT_STORE,
    INPUT,
    OUTPUT,
    READING,
    AsJson,
    AttnImplementation,
    Bos,
    Check,
    Device,
    DryRun,
    Dtype,
    Limit,
    MaxTokens,
    ModelName,
    OnLong,
    PoolOver,
    Revision,
    StorePath,
)
from valens.terminal.texts import TextFile, read_lines


def extract(
    texts: TextFile,
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    read: Annotated[
        str,
        typer.Option(
            metavar="READINGS",
            help=f"Readings with commas between: a stream ({either(choices.STREAMS)}), a slash, a pooling "
            f"({either(choices.POOLINGS)}).",
            autocompletion=choices.readings,
            rich_help_panel=INPUT,
        ),
    ] = "values/mean,hidden/mean",
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    on_long: OnLong = "truncate",
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    batch_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens side by side in a pass.", show_default="4096", rich_help_panel=READING),
    ] = None,
    stored: Annotated[
        str,
        typer.Option(
            metavar="DTYPE",
            help=f"{either(choices.DTYPES)}, on disk.",
            autocompletion=choices.dtypes,
            rich_help_panel=OUTPUT,
        ),
    ] = "float32",
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Read texts at every layer, and keep the pooled vectors.

    Each text takes one forward pass; lines that repeat are read once. A job that is killed goes on where it was, and
    several may share one store.
    """
    from valens.extraction.extract import BATCH_TOKENS, plan
    from valens.representations.prompts import Prompt
    from valens.representations.readings import Reading
    from valens.store.store import ActivationStore

    console = Console(stderr=as_json)
    prompt = Prompt(bos=bos, pool_over=pool_over)
    lines = read_lines(texts)[:limit]
    activations = ActivationStore(store, check=check)
    pooled = [Reading.parse(name) for name in read.split(",")]
    loaded = ModelOptions(model, revision, device, dtype, attn_implementation, check).load(console)
    job = plan(
        loaded,
        lines,
        pooled,
        store=activations,
        prompt=prompt,
        max_tokens=max_tokens,
        on_long=on_long,
        stored=stored,
        batch_tokens=batch_tokens or BATCH_TOKENS,
    )
    if dry_run:
        show_estimate(console, job.estimate(), as_json=as_json)
        return
    run = job.run()
    for note in run.notes:
        say_labelled(Console(stderr=True), "Note:", note, style="yellow")
    if as_json:
        facts = {
            "collection": run.collection.key,
            "texts": len(lines),
            "passes": run.passes,
            "tokens": run.tokens,
        }
        write_json(facts | {"truncated": run.truncated, "seconds": round(run.seconds, 3)})
        return
    took = timedelta(seconds=round(run.seconds))
    say(
        console,
        f"{run.passes:,} of {len(lines):,} texts read ({run.tokens:,} tokens, {took}); {run.truncated:,} were cut "
        f"at the limit. They are in {store}, collection {run.collection.key[:12]}.",
    )
