"""Texts as commands take them: a corpus by name or path, suites of tasks by name, or a file of lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valens.errors import CorpusError
from valens.terminal.console import say

if TYPE_CHECKING:
    from rich.console import Console

    from valens.corpora import Corpus
    from valens.tasks import Suite

TextFile = Annotated[Path, typer.Argument(metavar="TEXTS", help="A file of UTF-8 text, one text a line.")]


def read_corpus(
    console: Console,
    name: str,
    *,
    data_root: Path | None,
    field: str | None,
    limit: int | None,
    near_duplicates: float | None,
) -> Corpus:
    """Return the corpus of `--corpus`, its notes printed; CorpusError if it cannot be had.

    `near_duplicates` is the similarity from which on texts that nearly repeat an earlier one are left out; None keeps them.
    """
    from valens.corpora import corpus, without_near_duplicates
    from valens.corpora.near_duplicates import check_threshold

    if near_duplicates is not None:
        check_threshold(near_duplicates)  # before anything is read for it
    texts = corpus(name, data_root=data_root, field=field, limit=limit)
    if near_duplicates is not None:
        texts = without_near_duplicates(texts, threshold=near_duplicates)
    for note in texts.notes:
        say(console, f"{texts.name}: {note}", style="dim")
    return texts


def read_suites(names: Sequence[str], *, data_root: Path | None, strict: bool) -> list[Suite]:
    """Return the suites of a command line. `--data-root` is for those of mteb's tasks; TaskError if none is of them."""
    from valens.suites.named import from_mteb, suite

    mirrored = [name for name in names if from_mteb(name)] or names
    return [suite(name, data_root=data_root if name in mirrored else None, strict=strict) for name in names]


def cautions(suite: Suite) -> list[str]:
    """Return what a reader must know of a suite's tasks: those left out, and how they were made."""
    return [
        *(f"{missing.name} is left out of the selection. {missing.reason}" for missing in suite.left_out),
        *suite.notes,
    ]


def read_lines(path: Path) -> list[str]:
    """Return the texts of a file, one a line; lines without text are left out."""
    texts = [line for line in _lines(path) if line.strip()]
    if not texts:
        raise CorpusError(f"{path} has no text in it. Give a file with one text a line.")
    return texts


def read_every_line(path: Path | None) -> list[str]:
    """Return the lines of a file, or of standard input, so that line i is text i; CorpusError for a line without text."""
    lines = _lines(path)
    empty = [number for number, line in enumerate(lines, start=1) if not line.strip()]
    if empty:
        raise CorpusError(
            f"{_name(path)} has no text in line {empty[0]}. Every line is a text and gets a vector: remove empty lines."
        )
    return lines


def _lines(path: Path | None) -> list[str]:
    """Return the lines, which end in a line feed alone or after a carriage return; other breaks are parts of a text."""
    return [line.removesuffix("\r") for line in _decoded(path).removesuffix("\n").split("\n")]


def _decoded(path: Path | None) -> str:
    """Return the text, without the mark that some editors put first."""
    try:
        return (sys.stdin.buffer.read() if path is None else path.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{_name(path)} is not UTF-8 (byte {error.start}). Convert it, as with iconv -t utf-8."
        ) from error
    except OSError as error:
        raise CorpusError(
            f"{_name(path)} cannot be read ({error.strerror}). Give a file with one text a line."
        ) from error


def _name(path: Path | None) -> str:
    return "Standard input" if path is None else str(path)
