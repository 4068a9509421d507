"""Tables on a terminal: every word is there, nothing is read as markup, and numbers stand under each other."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from valens.terminal.console import say
from valens.terminal.tables import pairs_table, plain_table

ODD = ("[/x]", "[red]a[x]", "a\\", "[", ":smile:", "[bold", "größer 🙂")


def shown(what: Table) -> list[str]:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    say(console, what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("name", ODD)
def test_names_are_shown_as_they_are(name: str) -> None:
    head, row = shown(plain_table([name], [[name]]))
    assert (head.strip(), row.strip()) == (name, name)
    assert shown(pairs_table({name: name}))[0].split(name)[0].strip() == ""


def test_a_plain_table_keeps_every_word_at_80_columns() -> None:
    columns, row = ("alias", "layers", "where"), ("qwen3-8b", "36", "Qwen/Qwen3-8B")
    lines = shown(plain_table(columns, [row], right=("layers",)))
    assert [line.split() for line in lines] == [list(columns), list(row)]
    assert lines[0].index("layers") + len("layers") == lines[1].index("36") + len("36")


def test_pairs_stand_one_a_line() -> None:
    assert [line.split() for line in shown(pairs_table({"texts": "570", "tokens": "49,950"}))] == [
        ["texts", "570"],
        ["tokens", "49,950"],
    ]
