"""What the commands have in common: JSON on standard output and nothing else there, and what a job would cost."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from valens.strict_json import to_json

if TYPE_CHECKING:
    from rich.console import Console

    from valens.extract import Estimate


def write_json(value: object) -> None:
    """Print one JSON object, strictly valid."""
    sys.stdout.write(to_json(value) + "\n")


def show_estimate(console: Console, estimate: Estimate, *, as_json: bool) -> None:
    """Say what an extraction would cost."""
    from valens.display import pairs_table

    if as_json:
        write_json(asdict(estimate))
        return
    pairs = {
        "texts": f"{estimate.texts:,}, of which {estimate.different_texts:,} differ",
        "tokens": f"{estimate.tokens:,}, after {estimate.truncated:,} texts were cut at the limit",
        "forward passes": f"{estimate.passes:,} texts with {estimate.pass_tokens:,} tokens; the store has "
        f"{estimate.different_texts - estimate.passes:,}",
        "to be stored": f"{estimate.stored_bytes / 2**20:,.1f} MiB",
        "time to read": f"about {timedelta(seconds=round(estimate.seconds))}, measured on a first batch",
    }
    console.print(pairs_table(pairs))
