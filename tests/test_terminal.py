"""What commands print is what was said: no name, path, field or note is read as markup, or is too odd to be printed."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

from valens.results.views import view
from valens.terminal.console import say, say_labelled, waiting
from valens.terminal.sections import view_table
from valens.terminal.texts import read_every_line, read_lines

ODD = ("[/x]", "[red]a[x]", "a\\", "[", ":smile:", "[bold", "größer 🙂")


def console() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=False)


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


@pytest.mark.parametrize("name", ODD)
def test_a_line_is_printed_as_it_is(name: str) -> None:
    on = console()
    say(on, name, style="dim")
    say_labelled(on, "Note:", name, style="bold red")
    assert printed(on) == f"{name}\nNote: {name}\n"


@pytest.mark.parametrize("name", ODD)
def test_what_is_waited_for_is_shown_as_it_is(name: str) -> None:
    on = Console(file=io.StringIO(), width=80, force_terminal=True)
    with waiting(on, f"Loading {name}"):
        pass
    assert f"Loading {name}" in printed(on)


def test_a_path_is_kept_in_one_piece_where_that_is_asked() -> None:
    on, path = console(), "a folder/" * 20
    say(on, path, soft_wrap=True)
    assert printed(on) == f"{path}\n"


def test_what_is_not_utf8_is_spelt_out() -> None:
    on = console()
    say(on, os.fsdecode(b"a\xff"))
    assert printed(on).encode() == b"a\\udcff\n"


# --- tables -----------------------------------------------------------------------------------------------------------

SCORES = pd.DataFrame(
    {
        "layer": [1, 2],
        "VA": [0.12345, 0.5],
        "VA_low": [0.1, 0.4],
        "VA_high": [0.2, 0.6],
        "difference": [-0.1, 0.25],
        "low": [-0.2, 0.125],
        "high": [0.01, 0.375],
        "of": ["hidden:norm/weighted", "VA"],
    }
)


def lines(table: pd.DataFrame, width: int) -> list[str]:
    on = Console(file=io.StringIO(), width=width)
    on.print(view_table(view(table, "Scores"), width=width))
    return printed(on).splitlines()


@pytest.mark.parametrize(
    ("width", "first"),
    [
        (100, "1 0.123 [0.100, 0.200] −0.100 [−0.200, +0.010] hidden:norm/weighted"),
        (74, "1 0.123 [0.100, 0.200] −0.100 [−0.200, +0.010] hidden:norm/weighted"),
        (73, "1 0.12 [0.10, 0.20] −0.10 [−0.20, +0.01] hidden:norm/weighted"),
        (68, "1 0.12 [0.10, 0.20] −0.10 [−0.20, +0.01] hidden:norm/weighted"),
        (67, "1 0.123 −0.100 [−0.200, +0.010] hidden:norm/weighted"),
        (51, "1 0.123 −0.100 [−0.200, +0.010] hidden:norm/"),
        (50, "1 0.123 −0.100 hidden:norm/weighted"),
        (38, "1 0.123 −0.100 hidden:norm/"),
    ],
)
def test_a_narrow_terminal_costs_decimals_first_and_then_intervals_those_of_differences_last(
    width: int, first: str
) -> None:
    assert (
        next(line for line in lines(SCORES, width) if line.startswith(" ") and " 1 " in f"{line} ").split()
        == first.split()
    )


@given(st.integers(60, 200), st.integers(1, 4))
def test_a_table_is_no_wider_than_the_terminal_and_loses_no_letter(width: int, columns: int) -> None:
    table = SCORES[["layer", "of", "VA", "VA_low", "VA_high"]]
    for number in range(1, columns):
        table = table.assign(**{f"a rather long name of column {number}": ["[red]" * number, "人民日报" * number]})
    found = lines(table, width)
    assert max(map(cell_len, found)) <= width
    texts = "".join([*table.columns.drop(["VA_low", "VA_high"]), *table.of, *table.iloc[:, 5:].to_numpy().flat])
    assert not Counter(texts.replace(" ", "")) - Counter("".join(found))
    assert len(found) == 3 or width < 120 or columns > 1


def test_a_table_without_rows_has_its_names() -> None:
    assert lines(SCORES.head(0), 80)[0].split() == ["layer", "VA", "difference", "of"]


def test_a_number_stays_with_its_interval_where_a_bound_never_changes() -> None:
    table = pd.DataFrame({"layer": [1, 2], "score": [0.9, 0.95], "low": [0.8, 0.85], "high": [1.0, 1.0], "n": [5, 5]})
    shown = view(table, "Scores")
    assert [column.name for column in shown.columns] == ["layer", "score"]
    assert [row[1].whole for row in shown.rows] == ["0.900 [0.800, 1.000]", "0.950 [0.850, 1.000]"]
    assert shown.note == "In every row: n 5."
    alike = view(table.assign(score=0.9, low=0.8), "Scores")
    assert alike.note == "In every row: score 0.900 [0.800, 1.000], n 5."
    assert [column.name for column in view(table, "Scores", constants_apart=False).columns] == ["layer", "score", "n"]


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "object"])
def test_layers_are_whole_numbers_whatever_their_dtype(dtype: str) -> None:
    """A row without a layer, as a baseline has, makes a column of floats; other columns keep their decimals."""
    table = pd.DataFrame({"layer": pd.Series([12.0, 1.5, None], dtype=dtype), "score": [12.0, 1.0, 2.0]})
    cells = [[cell.text for cell in row] for row in view(table, "Scores").rows]
    assert cells == [["12", "12.000"], ["1.500", "1.000"], ["–", "2.000"]]
    assert view(table.iloc[[0, 0]].assign(score=[1.0, 2.0]), "Scores").note == "In every row: layer 12."


def test_the_best_and_the_chosen_are_marked_and_the_others_keep_the_room() -> None:
    plain = view(SCORES[["layer", "VA"]], "Scores")
    rows = tuple((row[0], replace(row[1], best=best)) for row, best in zip(plain.rows, (False, True), strict=True))
    on = Console(file=io.StringIO(), width=80)
    on.print(view_table(replace(plain, rows=rows, chosen=frozenset({0})), width=80))
    assert printed(on).splitlines()[1:] == ["  > 1  0.123 ", "    2  0.500*"]


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def oddly_named(shell: Shell, tiny_folder: Path) -> Shell:  # noqa: F811
    """Commands on a model, texts and a store whose names look like markup; the texts are in a field that does too."""
    chance = random.Random(0)
    texts = [" ".join(f"w{chance.randrange(5, 97)}" for _ in range(40)) for _ in range(14)]
    Path("[red]texts[x].txt").write_text("\n".join(texts), encoding="utf-8")
    rows = (json.dumps({"[/text]": text}) for text in texts)
    Path("[red]texts[x].jsonl").write_text("\n".join(rows), encoding="utf-8")
    model, store = Path("[bold]m[x]"), Path("stores") / "[/s]"
    shutil.copytree(tiny_folder, model)
    settings = {
        "logit-lens": ["--corpus", "[red]texts[x].jsonl", "--model", model, "--prefix-tokens", "4-20", "--prefixes", 2],
        "next-token": ["--corpus", "[red]texts[x].jsonl", "--model", model, "--store", store],
        "extract": ["[red]texts[x].txt", "--model", model, "--store", store],
        "store": ["--store", store],
    }

    def called(command: str, *words: object):
        ended = shell(command, *words, *settings[command])
        assert (ended.code, ended.err) == (0, "")
        return ended

    return called


def test_extract_and_store_show_names_as_they_are(oddly_named: Shell) -> None:
    assert "They are in stores/[/s], collection" in " ".join(oddly_named("extract").out.split())
    assert " [bold]m[x] " in oddly_named("store", "ls").out


def test_logit_lens_shows_names_as_they_are(oddly_named: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valens.plotting.style.save_figure", lambda *_: [])  # slow, and drawn elsewhere
    said = oddly_named("logit-lens", "--offsets", "1,2", "--resamples", 50, "--out", "o2/[/x]").out
    for line in ("[red]texts[x].jsonl: took the field `[/text]`", "texts of [red]texts[x].jsonl,", "are in o2/[/x]\n"):
        assert line in said


def test_next_token_shows_names_as_they_are(oddly_named: Shell) -> None:
    said = oddly_named("next-token", "--dry-run", "--representations", "VA").out
    assert "[red]texts[x].jsonl: took the field `[/text]`" in said


def test_an_error_shows_names_as_they_are(shell: Shell) -> None:  # noqa: F811
    ended = shell("logit-lens", "--corpus", "[/x]/:smile:\\")
    assert ended.code == 2
    assert ended.err.startswith("Error: There is no file or folder [/x]/:smile:\\. A corpus")
    assert len(ended.err.splitlines()) == 1


def test_lines_end_in_line_feeds_alone_for_every_command(tmp_path):
    """A form feed, U+0085 or U+2028 inside a line is a part of its text, whoever reads the file."""
    texts = ["a\fb", "c\vd", "e\x1cf", "g\x85h", "i\u2028j", "k\rl"]
    path = tmp_path / "few.txt"
    path.write_bytes("\r\n".join(texts).encode() + b"\n")
    assert read_lines(path) == read_every_line(path) == texts
