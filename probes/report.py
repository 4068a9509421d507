"""A page about a results folder: one HTML file, written whole or not at all."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from probes.result_folders import results_in
from valens.errors import ValensWarning
from valens.files.atomic import replace, writable_folder
from valens.report.page import page_of
from valens.results.tables import REPORT


@dataclass(frozen=True)
class Report:
    """A page that was written."""

    path: Path
    faults: tuple[str, ...]
    """Which figures could not be drawn, and why, a sentence each."""


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write a page about the results in a folder, one or a tree of them: figures, tables, layer sets, provenance.

    The page is one HTML file that asks for nothing outside itself. The same results give the same bytes. A figure that
    cannot be drawn is a line on the page, and a warning.

    Args:
        folder: what a probe's `--out` left, or a folder of several such.
        out: the page's file; None: `report.html` in the folder.

    Returns:
        The path of the page.

    Raises:
        ResultError: a folder without a result, a result that cannot be read, or a page that cannot be written; a page that
            was there is then still there.

    """
    report = make_report(folder, out)
    for fault in report.faults:
        warnings.warn(fault, ValensWarning, stacklevel=2)
    return report.path


def make_report(folder: str | Path, out: str | Path | None = None) -> Report:
    """Write the page of `write_report`, and say with its path which figures it lacks."""
    path = Path(folder) / REPORT if out is None else Path(out)
    results = results_in(folder)
    parent = writable_folder(path.parent)
    page = page_of(Path(folder), results)
    replace(parent / path.name, lambda temporary: temporary.write_bytes(page.html.encode("utf-8")))
    return Report(parent / path.name, page.faults)
