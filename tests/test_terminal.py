"""What commands print is what was said: no name, path, field or note is read as markup, or is too odd to be printed."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

from valens.terminal.console import say, say_labelled, waiting

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
    monkeypatch.setattr("valens.plotting.save_figure", lambda *_: [])  # slow, and drawn elsewhere
    said = oddly_named("logit-lens", "--offsets", "1,2", "--resamples", 50, "--out", "o2/[/x]").out
    for line in ("[red]texts[x].jsonl: took the field `[/text]`", "texts of [red]texts[x].jsonl;", "are in o2/[/x]\n"):
        assert line in said


def test_next_token_shows_names_as_they_are(oddly_named: Shell) -> None:
    said = oddly_named("next-token", "--dry-run", "--representations", "VA").out
    assert "[red]texts[x].jsonl: took the field `[/text]`" in said


def test_an_error_shows_names_as_they_are(shell: Shell) -> None:  # noqa: F811
    ended = shell("logit-lens", "--corpus", "[/x]/:smile:\\")
    assert ended.code == 2
    assert ended.err.startswith("Error: There is no file or folder [/x]/:smile:\\. A corpus")
    assert len(ended.err.splitlines()) == 1
