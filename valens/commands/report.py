"""`valens report`: a results folder as one page that a browser shows, a printer prints and an e-mail carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from valens.terminal.console import say, say_labelled, waiting
from valens.terminal.options import OUTPUT


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A result, as a probe's --out leaves it, or a folder of several.")
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The page.", show_default="report.html in the folder", rich_help_panel=OUTPUT
        ),
    ] = None,
) -> None:
    """Write a page about a result, in one HTML file.

    The file needs nothing outside itself. It has what was found in words, the figures, tables that sort, the layer set with
    a reason for every layer, and where all of it comes from. No model is run.
    """
    from probes.report import make_report

    console = Console()
    with waiting(console, f"Writing about {folder}"):
        written = make_report(folder, out)
    for fault in written.faults:
        say_labelled(Console(stderr=True), "Note:", fault, style="yellow")
    say(console, f"The page is {written.path}", soft_wrap=True)
