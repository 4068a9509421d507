"""`valens audit`: how exact are a model's vectors?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from valens.terminal.console import say, waiting, write_json
from valens.terminal.options import OUTPUT, AsJson, Device, Dtype, MaxTokens, ModelName


def audit(
    *,
    model: ModelName = "smollm2-135m",
    device: Device = "auto",
    dtype: Dtype = "float32",
    max_tokens: MaxTokens = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the table by layer here.", show_default="nowhere", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how exact a model's vectors are.

    On a handful of texts, the vectors are compared that should be equal: alone and batched, padded on the right and on the
    left, with two attention implementations, in float32 and bfloat16, and by valens and a bare Hugging Face forward. The
    largest gaps are shown by stream and layer, in units of vector norm and of cosine.
    """
    from valens.extraction.audit import audit as measure
    from valens.extraction.audit import summary
    from valens.files.atomic import writable_folder
    from valens.results.tables import records
    from valens.terminal.tables import differences_table

    if out is not None:
        writable_folder(out)
    console = Console(stderr=as_json)
    with waiting(console, f"Auditing {model}"):
        result = measure(model, device=device, dtype=dtype, max_tokens=max_tokens)
    if out is not None:
        result.save(out)
    if as_json:
        write_json({"differences": records(result.table), "provenance": result.provenance})
        return
    say(console, differences_table(summary(result.table)))
    say(
        console,
        "relative: largest norm of the difference, over the norm; cosine gap: largest 1 - cosine; over texts, with the "
        "layer that has the largest relative difference.",
        style="dim",
    )
