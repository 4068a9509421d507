"""What the commands have in common: JSON alone on standard output, lines and tables as they are, and what a job would cost.

Names, paths, fields and notes are the user's, and may have brackets and colons in them: `say` and its kin read no markup.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.text import Text

from valens.files.escaped_surrogates import escape_surrogates
from valens.files.strict_json import to_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status

    from valens.extraction.estimate import Estimate


def write_json(value: object) -> None:
    """Print one JSON object, strictly valid."""
    sys.stdout.write(to_json(value) + "\n")


def say(console: Console, what: RenderableType = "", *, style: str | None = None, soft_wrap: bool = False) -> None:
    """Print a line or a table, no part of it read as markup; `soft_wrap` keeps a line, and a path in it, in one piece."""
    shown = Text(escape_surrogates(what)) if isinstance(what, str) else what
    console.print(shown, style=style, markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)


def say_labelled(console: Console, label: str, text: str, *, style: str, soft_wrap: bool = True) -> None:
    """Print a line that a word in colour begins, as `Note: …`; `soft_wrap` keeps it in one piece, as `say` does."""
    say(console, Text.assemble((label, style), " ", escape_surrogates(text)), soft_wrap=soft_wrap)


def waiting(console: Console, what: str) -> Status:
    """Return a turning wheel and what is done meanwhile, inside `with`, where somebody looks."""
    return console.status(Text(escape_surrogates(what)))


def show_estimate(console: Console, estimate: Estimate, *, as_json: bool) -> None:
    """Say what an extraction would cost."""
    from valens.terminal.tables import pairs_table

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
    if estimate.notes:
        pairs["note"] = "; ".join(estimate.notes)
    say(console, pairs_table(pairs))
