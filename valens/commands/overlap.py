"""`valens overlap`: which texts do two suites have in common?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from valens.commands.options import OUTPUT, AsJson, DataRoot
from valens.terminal import write_json

if TYPE_CHECKING:
    from valens.contamination import Common
    from valens.tasks import Suite

_SHOWN = 80
"""Characters of an example's text that are shown."""


def overlap(
    first: Annotated[str, typer.Argument(help="A suite or tasks, e.g. paper or mteb:STSBenchmark@test,STS15.")],
    second: Annotated[str, typer.Argument(help="Another one, e.g. mteb:STS15@test or LeeSTS,WikiRetrieval.")],
    data_root: DataRoot = None,
    strict: Annotated[bool, typer.Option("--strict", help="A task whose data cannot be had is an error.")] = False,
    examples: Annotated[
        int, typer.Option(min=0, metavar="<int>", help="So many of what is shared are shown.", rich_help_panel=OUTPUT)
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Count the texts of one suite that are in another, and the pairs of texts, with examples.

    Two texts are the same if their letters and digits are, whatever the case, the spaces and the signs. Layers that were
    chosen on texts of the one are judged too well on those of the other.
    """
    from valens.builtin import suite_named
    from valens.contamination import common

    suites = [suite_named(name, data_root=data_root, strict=strict) for name in (first, second)]
    found = common(*suites, examples=examples)
    if as_json:
        left_out = [asdict(missing) for suite in suites for missing in suite.left_out]
        write_json({"shared": [asdict(row) | {"share": row.share} for row in found], "left_out": left_out})
        return
    console = Console(soft_wrap=True)
    _show_left_out(console, suites)
    if not found:
        console.print(f"{first} and {second} have no text in common.", highlight=False)
        return
    console.print(_table(found))
    for row in found:
        _show_examples(console, row)


def _table(found: list[Common]) -> Table:
    table = Table(box=None)
    for header in ("units of", "that are in"):
        table.add_column(header)
    for header in ("unit", "shared", "of", "share"):
        table.add_column(header, justify="right")
    for row in found:
        table.add_row(row.task, row.other, row.unit, f"{row.shared:,}", f"{row.of:,}", f"{row.share:.1%}")
    return table


def _show_examples(console: Console, row: Common) -> None:
    if row.examples:
        console.print(f"\n{row.task} and {row.other}, {row.unit}s such as", highlight=False)
    for unit, same in row.examples:
        console.print(f"  {_shown(unit)}", highlight=False)
        if same != unit:
            console.print(f"  [dim]= {_shown(same)}[/dim]", highlight=False)


def _shown(unit: str | tuple[str, str]) -> str:
    texts = [unit] if isinstance(unit, str) else unit
    return " [dim]|[/dim] ".join(escape(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…") for text in texts)


def _show_left_out(console: Console, suites: list[Suite]) -> None:
    for suite in suites:
        for missing in suite.left_out:
            console.print(f"[yellow]Left out:[/yellow] {escape(missing.reason)}", highlight=False)
