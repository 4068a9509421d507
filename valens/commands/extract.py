"""`valens extract`: put the vectors of a file of texts into a store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from valens.commands.options import (
    DEFAULT_STORE,
    INPUT,
    READING,
    AsJson,
    Check,
    Device,
    DryRun,
    Dtype,
    MaxTokens,
    ModelName,
    OnLong,
    Revision,
    StorePath,
)
from valens.errors import CorpusError
from valens.terminal import show_estimate, write_json


def extract(  # noqa: PLR0917
    texts: Annotated[Path, typer.Argument(help="A file of UTF-8 text, one text a line.")],
    model: ModelName = "smollm2-135m",
    read: Annotated[
        str, typer.Option(help="Pooled readings, with commas between: stream/pooling.", rich_help_panel=READING)
    ] = "values/mean,hidden/mean",
    tokens: Annotated[
        list[str] | None,
        typer.Option(
            help="A reading of every token, instead: values@26/tokens, pattern@5/last.", rich_help_panel=READING
        ),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option(help="The most that readings of tokens may write.", rich_help_panel=READING)
    ] = 10**9,
    stored: Annotated[
        str, typer.Option(help="float32, bfloat16 or float16, on disk.", rich_help_panel=READING)
    ] = "float32",
    limit: Annotated[int | None, typer.Option(help="At most this many texts.", rich_help_panel=INPUT)] = None,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    max_tokens: MaxTokens = None,
    on_long: OnLong = "truncate",
    batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens side by side in a pass (default: 4096).", rich_help_panel=READING)
    ] = None,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Read texts at every layer in one forward pass each, and keep the vectors.

    A job that is killed goes on where it was; several may share one store. Lines that repeat are read once.
    """
    from valens.extract import BATCH_TOKENS, plan
    from valens.models import load
    from valens.representations import Reading
    from valens.store import ActivationStore
    from valens.tokenwise import TokenReading, plan_tokens

    console = Console(stderr=as_json)
    lines = _lines(texts)[:limit]
    activations = ActivationStore(store, check=check)
    pooled = [Reading.parse(name) for name in read.split(",")]
    wise = [TokenReading.parse(name) for name in tokens or ()]
    with console.status(f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, revision=revision)
    if wise:
        token_job = plan_tokens(loaded, lines, wise, store=activations, max_tokens=max_tokens, max_bytes=max_bytes)
        n_bytes, passes = token_job.n_bytes, 0 if dry_run else token_job.run().passes
        if as_json:
            write_json(
                {"collection": token_job.collection.key, "texts": len(lines), "bytes": n_bytes, "passes": passes}
            )
        else:
            console.print(f"{n_bytes:,} bytes of vectors; {passes:,} of {len(lines):,} texts read.", highlight=False)
        return
    job = plan(
        loaded,
        lines,
        pooled,
        store=activations,
        max_tokens=max_tokens,
        on_long=on_long,
        stored=stored,
        batch_tokens=batch_tokens or BATCH_TOKENS,
    )
    if dry_run:
        show_estimate(console, job.estimate(), as_json=as_json)
        return
    found = job.run()
    if as_json:
        facts = {
            "collection": found.collection.key,
            "texts": len(lines),
            "passes": found.passes,
            "tokens": found.tokens,
        }
        write_json(facts | {"truncated": found.truncated, "seconds": round(found.seconds, 3)})
        return
    took = timedelta(seconds=round(found.seconds))
    console.print(
        f"{found.passes:,} of {len(lines):,} texts read ({found.tokens:,} tokens, {took}); {found.truncated:,} were cut "
        f"at the limit. They are in {store}, collection {found.collection.key[:12]}.",
        highlight=False,
    )


def _lines(path: Path) -> list[str]:
    """The texts of a file, one a line; lines without text are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 (byte {error.start}). Convert it, as with iconv -t utf-8.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}). Give a file with one text a line.") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise CorpusError(f"{path} has no text in it. Give a file with one text a line.")
    return texts
