"""`valens overlap`: which texts do two suites have in common?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from valens.files.escaped_surrogates import escape_surrogates
from valens.terminal import choices
from valens.terminal.console import say, say_labelled, write_json
from valens.terminal.options import OUTPUT, AsJson, DataRoot, Strict
from valens.terminal.tables import plain_table
from valens.terminal.texts import read_suites

if TYPE_CHECKING:
    from rich.table import Table

    from valens.suites.contamination import Common
    from valens.tasks import Suite

_SHOWN = 80
"""Characters of an example's text that are shown."""


def overlap(
    first: Annotated[
        str,
        typer.Argument(
            metavar="FIRST",
            help="A suite or tasks, as paper or mteb:STSBenchmark@test,STS15.",
            autocompletion=choices.suites,
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="SECOND",
            help="Another, as mteb:STS15@test or LeeSTS,WikiRetrieval.",
            autocompletion=choices.suites,
        ),
    ],
    *,
    data_root: DataRoot = None,
    strict: Strict = False,
    examples: Annotated[
        int, typer.Option(min=0, metavar="N", help="So many of what is shared are shown.", rich_help_panel=OUTPUT)
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Count the texts that two suites have in common.

    Pairs of texts are counted too, and some examples shown. Two texts are the same if their letters and digits are,
    whatever the case, the spaces and the signs. Layers that were chosen on texts of the one are judged too well on those
    of the other.
    """
    from valens.suites.contamination import common

    suites = read_suites([first, second], data_root=data_root, strict=strict)
    overlaps = common(*suites, examples=examples)
    if as_json:
        left_out = [asdict(missing) for suite in suites for missing in suite.left_out]
        write_json({"shared": [asdict(row) | {"share": row.share} for row in overlaps], "left_out": left_out})
        return
    console = Console()
    _show_left_out(console, suites)
    if not overlaps:
        say(console, f"{first} and {second} have no text in common.", soft_wrap=True)
        return
    say(console, _table(overlaps), soft_wrap=True)
    for row in overlaps:
        _show_examples(console, row)


def _table(overlaps: list[Common]) -> Table:
    columns = ("units of", "that are in", "unit", "shared", "of", "share")
    rows = [(row.task, row.other, row.unit, f"{row.shared:,}", f"{row.of:,}", f"{row.share:.1%}") for row in overlaps]
    return plain_table(columns, rows, right=columns[2:])


def _show_examples(console: Console, row: Common) -> None:
    if row.examples:
        say(console, f"\n{row.task} and {row.other}, {row.unit}s such as", soft_wrap=True)
    for unit, same in row.examples:
        say(console, Text("  ") + _shown(unit), soft_wrap=True)
        if same != unit:
            say(console, Text("  = ") + _shown(same), style="dim", soft_wrap=True)


def _shown(unit: str | tuple[str, str]) -> Text:
    texts = [unit] if isinstance(unit, str) else unit
    cut = (text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…" for text in texts)
    return Text(" | ", style="dim").join(Text(escape_surrogates(text)) for text in cut)


def _show_left_out(console: Console, suites: list[Suite]) -> None:
    for suite in suites:
        for missing in suite.left_out:
            say_labelled(console, "Left out:", missing.reason, style="yellow")
