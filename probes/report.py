"""A page about a results folder: one HTML file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from probes.result_folders import results_in
from valens.files.atomic import replace, writable_folder
from valens.report.page import page_of
from valens.results.tables import REPORT


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write a page about the results in a folder, one or a tree of them: figures, tables, layer sets, provenance.

    The page is one HTML file that asks for nothing outside itself. The same results give the same bytes.

    Args:
        folder: what a probe's `--out` left, or a folder of several such.
        out: the page's file; None: `report.html` in the folder.

    Returns:
        The path of the page.

    Raises:
        ResultError: a folder without a result, a result that cannot be read, or a page that cannot be written; a page that
            was there is then still there.

    """
    path = Path(folder) / REPORT if out is None else Path(out)
    results = results_in(folder)
    parent = writable_folder(path.parent)
    content = page_of(Path(folder), results).encode("utf-8")
    replace(parent / path.name, lambda temporary: temporary.write_bytes(content))
    return parent / path.name
