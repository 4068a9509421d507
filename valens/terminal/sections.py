"""A section as a terminal shows it: what was read, tables within the terminal's width, layer sets, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from valens.files.escaped_surrogates import escape_surrogates
from valens.results.formatting import at_layers
from valens.terminal.console import say, say_labelled
from valens.terminal.tables import as_said

if TYPE_CHECKING:
    from rich.console import Console

    from valens.results.section import LayerSetSection, Section
    from valens.results.views import Cell, View

_LONGEST_CELL = 60
"""A longer cell is folded over several lines."""


def show_section(console: Console, section: Section) -> None:
    """Print a section: question, what was read, notes, the tables that are not for a page alone, and findings."""
    say(
        console,
        Text(
            escape_surrogates(f"{section.title}: {section.question}" if section.question else section.title),
            style="bold",
        ),
    )
    for line in section.about:
        say(console, line)
    for note in section.notes:
        say_labelled(console, "Note:", note, style="yellow")
    for table in section.tables:
        if not table.folded:
            _show_view(console, table)
    for chosen in section.sets:
        _show_set(console, chosen)
    if section.findings:
        say(console)
    for line in section.findings:
        say(console, line)


def _show_set(console: Console, chosen: LayerSetSection) -> None:
    say(console)
    say(
        console,
        Text.assemble(
            f"{chosen.name}: the `{chosen.rule}` rule chooses ", (at_layers(str(chosen.layers)), "bold"), ":"
        ),
    )
    for layer, why in chosen.why.items():
        say(console, f"  {layer}: {why}")
    n_outside = len(chosen.reasons.rows) - len(chosen.why)
    if n_outside:
        say(console, f"  The other {n_outside} are out; layers.json says why for each.")
    _show_view(console, chosen.rules)


def _show_view(console: Console, view: View) -> None:
    say(console)
    say(console, Text(escape_surrogates(view.title), style="italic"))
    if view.rows:
        say(console, view_table(view, width=console.width))
    if view.note:
        say(console, view.note, style="dim")


def view_table(view: View, *, width: int) -> Table:
    """Return the table, with intervals and three decimals where there is room, else with two, else without."""
    cells = next(
        (cells for cells in map(_cells, [view] * len(_FORMS), _FORMS) if _width(view, cells) <= width),
        _cells(view, _FORMS[-1]),
    )
    out = Table(box=None, pad_edge=False)
    for column in view.columns:
        out.add_column(
            as_said(column.name),
            justify="right" if column.numeric else "left",
            overflow="fold",
            min_width=min(len(column.name), 7),
        )
    for number, row in enumerate(cells):
        out.add_row(*map(as_said, row), style="bold" if number in view.chosen else None)
    return out


def _whole(cell: Cell) -> str:
    return f"{cell.text} {cell.interval}".strip()


def _short(cell: Cell) -> str:
    return cell.rounded(2)


def _bare(cell: Cell) -> str:
    return cell.text


_FORMS = (_whole, _short, _bare)
"""How a cell is written, the longest form first."""


def _cells(view: View, form: object) -> list[list[str]]:
    """The text of every cell; the best of a column has a `*`, and room is left for it in the others."""
    starred = {index for row in view.rows for index, cell in enumerate(row) if cell.best}
    return [
        [
            (f"{'> ' if number in view.chosen and index == 0 else ''}{form(cell)}" + ("*" if cell.best else " "))  # type: ignore[operator]
            if index in starred
            else f"{'> ' if number in view.chosen and index == 0 else ''}{form(cell)}"  # type: ignore[operator]
            for index, cell in enumerate(row)
        ]
        for number, row in enumerate(view.rows)
    ]


def _width(view: View, cells: list[list[str]]) -> int:
    """How many letters a line has at the most, with a space between two columns."""
    widest = [
        max(min(len(column.name), 7), *(min(len(row[index]), _LONGEST_CELL) for row in cells))
        for index, column in enumerate(view.columns)
    ]
    return sum(widest) + 2 * (len(widest) - 1)
