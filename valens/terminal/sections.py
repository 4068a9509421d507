"""A section as a terminal shows it: what was read, tables within the terminal's width, layer sets, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from valens.files.escaped_surrogates import escape_surrogates
from valens.results.formatting import at_layers
from valens.terminal.console import say, say_labelled
from valens.terminal.tables import as_said

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from valens.results.section import LayerSetSection, Section
    from valens.results.views import Cell, View

_LONGEST_CELL, _NARROW_CELL = 60, 12
"""A longer cell is folded over several lines; text beside numbers even a shorter one, where room is short."""

_FORMS: tuple[tuple[Callable[[Cell], str], int], ...] = (
    (lambda cell: cell.whole, _LONGEST_CELL),
    (lambda cell: cell.rounded(2), _LONGEST_CELL),
    (lambda cell: cell.whole if cell.signed else cell.text, _LONGEST_CELL),
    (lambda cell: cell.whole if cell.signed else cell.text, _NARROW_CELL),
    (lambda cell: cell.text, _NARROW_CELL),
)
"""How a cell is written, and where its text is folded, the widest first: the interval of a difference goes last."""

_LONGEST_WORD = len("Classification")
"""A longer word above a column may be folded where that makes room."""

_ROOM = "\N{FIGURE SPACE}"
"""Stands after a number in a column whose best has a `*`."""

_BETWEEN = 2
"""Spaces from one column to the next."""


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
        say_labelled(console, "Note:", note, style="yellow", soft_wrap=False)
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
    if chosen.others:
        say(console, f"  {chosen.others}")
    _show_view(console, chosen.rules)


def _show_view(console: Console, view: View) -> None:
    say(console)
    say(console, Text(escape_surrogates(view.title), style="italic"))
    if view.rows:
        say(console, view_table(view, width=console.width))
    if view.note:
        say(console, view.note, style="dim")


def view_table(view: View, *, width: int) -> Table:
    """Return the table: intervals with three decimals, where room is short with two, of differences alone, or none."""
    for form, longest in _FORMS:
        cells = _cells(view, form)
        widths = _widths(view, cells, width, longest)
        if widths:
            break
    out = Table(box=None, pad_edge=False)
    for index, column in enumerate(view.columns):
        out.add_column(
            as_said(column.name),
            justify="right" if column.numeric else "left",
            overflow="fold",
            width=widths[index] if widths else None,
        )
    for number, row in enumerate(cells):
        texts = (_placed(text, widths[index] if widths else 0) for index, text in enumerate(row))
        out.add_row(*texts, style="bold" if number in view.chosen else None)
    return out


def _placed(text: str, width: int) -> Text:
    """Return a cell; the room after a number for the mark of the best, which setting it to the right would drop, is kept."""
    if not text.endswith(_ROOM):
        return as_said(text)
    said = as_said(f"{text.removesuffix(_ROOM)} ".rjust(width))
    said.justify = "left"
    return said


def _cells(view: View, form: Callable[[Cell], str]) -> list[list[str]]:
    """Return the text of every cell; the best of a column has a `*`, and room is left for it in the others."""
    starred = {index for row in view.rows for index, cell in enumerate(row) if cell.best}
    return [
        [
            ("> " if number in view.chosen and index == 0 else "")
            + form(cell)
            + ("*" if cell.best else _ROOM if index in starred else "")
            for index, cell in enumerate(row)
        ]
        for number, row in enumerate(view.rows)
    ]


def _widths(view: View, cells: list[list[str]], width: int, longest: int) -> list[int] | None:
    """Return how many letters each column gets, so that numbers and the words above them are whole; None if it cannot be.

    `longest` is where text is folded; not that of the first column, which names the row.
    """
    names = [column.name for column in view.columns]
    whole = [max((cell_len(row[index]) for row in cells), default=0) for index in range(len(names))]
    widths = []
    for index, column in enumerate(view.columns):
        most = _LONGEST_CELL if column.numeric or index == 0 else longest
        word = max(map(cell_len, column.name.split()), default=0)
        widths.append(max(min(word, _LONGEST_WORD), min(whole[index], most)))
    room = width - sum(widths) - _BETWEEN * (len(widths) - 1)
    if room < 0:
        return None
    for wanted in (whole, list(map(cell_len, names))):
        for index, most in enumerate(wanted):
            more = min(room, max(0, most - widths[index]))
            widths[index] += more
            room -= more
    return widths
