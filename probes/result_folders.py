"""Which results a folder holds: one, or a tree of them."""

from __future__ import annotations

import os
from pathlib import Path

from probes.catalogue import read_result
from valens.errors import ResultError
from valens.results.result import Result
from valens.results.tables import PROVENANCE, TABLE


def results_in(folder: str | Path) -> dict[Path, Result]:
    """Every result in a folder and below it, by its place in there (`.` for the folder itself), in order of names.

    Hidden folders are passed over. ResultError for a folder that is none, that has no result, or one that cannot be read:
    a page that leaves out what is broken would look whole.
    """
    where = _folder(folder)
    paths = [path for path, files in _walk(where) if {PROVENANCE, TABLE} & set(files)]
    if not paths:
        raise ResultError(
            f"{where} has no result, and no folder in it has. Give the --out folder of a probe, or one that holds such."
        )
    return {path.relative_to(where): read_result(path) for path in paths}


def _folder(folder: str | Path) -> Path:
    path = Path(folder)
    try:
        path = path.expanduser()
        if path.is_dir():
            return path
        problem = "is a file" if path.exists() else "does not exist"
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~nobody has no home; ValueError: a zero byte
        problem = f"cannot be read ({error})"
    raise ResultError(f"{path} {problem}. Give the folder of a result, as a probe's --out leaves it.")


def _walk(where: Path) -> list[tuple[Path, list[str]]]:
    """Return each folder that is not hidden, with the names in it, in order."""
    listings = []
    for path, folders, files in os.walk(where, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        listings.append((Path(path), files))
    return listings


def _refuse(error: OSError) -> None:
    raise ResultError(f"{error.filename} cannot be read ({error.strerror}). Give a folder that can.") from error
