"""`valens extract-tokens`: put the vectors of single tokens, and attention patterns, into a store."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from probes.command import ModelOptions
from valens.terminal.console import say, write_json
from valens.terminal.options import (
    DEFAULT_STORE,
    OUTPUT,
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
    Revision,
    StorePath,
)
from valens.terminal.texts import TextFile, read_lines


def extract_tokens(
    texts: TextFile,
    readings: Annotated[
        list[str],
        typer.Argument(
            metavar="READINGS", help="What is read: values@26/tokens, hidden@28:norm/tokens, pattern@5/last."
        ),
    ],
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    bos: Bos = "auto",
    max_bytes: Annotated[
        int, typer.Option(metavar="BYTES", help="The most that may be written.", rich_help_panel=OUTPUT)
    ] = 10**9,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Keep every token's vector, or attention, at chosen layers.

    These are large, so the bytes are counted before anything runs. Patterns are kept for the last query
    (pattern@5/last), for queries at given positions from 0 (pattern@5/0,7), or as the full map (pattern@5/all).
    """
    from valens.extraction.per_token import TokenReading, plan_tokens
    from valens.representations.prompts import Prompt
    from valens.store.store import ActivationStore

    prompt = Prompt(bos=bos)
    console = Console(stderr=as_json)
    lines = read_lines(texts)[:limit]
    wanted = [TokenReading.parse(name) for name in readings]
    activations = ActivationStore(store, check=check)
    loaded = ModelOptions(model, revision, device, dtype, attn_implementation, check).load(console)
    job = plan_tokens(
        loaded, lines, wanted, store=activations, prompt=prompt, max_tokens=max_tokens, max_bytes=max_bytes
    )
    n_bytes, passes = job.n_bytes, 0 if dry_run else job.run().passes
    if as_json:
        write_json({"collection": job.collection.key, "texts": len(lines), "bytes": n_bytes, "passes": passes})
        return
    say(console, f"{n_bytes:,} bytes of vectors; {passes:,} of {len(lines):,} texts read.")
