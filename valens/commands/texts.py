"""A file of texts, as commands take it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from valens.errors import CorpusError

TextFile = Annotated[Path, typer.Argument(help="A file of UTF-8 text, one text a line.")]


def read_lines(path: Path) -> list[str]:
    """The texts of a file, one a line; lines without text are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 (byte {error.start}). Convert it, as with iconv -t utf-8.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}). Give a file with one text a line.") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise CorpusError(f"{path} has no text in it. Give a file with one text a line.")
    return texts
