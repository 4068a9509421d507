"""What the figures' scripts have in common: their arguments, reading, writing, and one line for what goes wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from probes.catalogue import read_result
from valens.errors import ResultError, ValensError
from valens.files.escaped_surrogates import escape_surrogates
from valens.plotting.style import WIDTHS, Width, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Read = TypeVar("Read")

Draw = Callable[[Sequence[Read], Width], Mapping[str, "Figure"]]
"""From results, of which there are several only where the script takes them together, each figure by its file's name."""


def figure_script(draw: Draw[Any], *, kind: str, stored: Path, about: str, together: bool = False) -> None:
    """Run a script from the command line: draw results of a kind, name each file that is written, exit with 2 on an error.

    Without a RESULT, every folder `KIND-…` in `stored` is drawn. Figures go beside their result, or into --out. `together`:
    several results make one figure.
    """
    asked = _arguments(about, together=together)
    try:
        for results, out in _jobs(asked.result, asked.out, kind, stored):
            figures = draw([_read(folder, kind) for folder in results], asked.width)
            for name, figure in figures.items():
                for path in save_figure(figure, out, name):
                    sys.stdout.write(f"{escape_surrogates(str(path))}\n")
    except ValensError as error:
        sys.stderr.write(f"Error: {escape_surrogates(str(error))}\n")
        raise SystemExit(2) from error


def _arguments(about: str, *, together: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "result",
        metavar="RESULT",
        type=Path,
        nargs="*" if together else "?",
        help="the --out folder of a probe; without one, the stored results are drawn",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where the figures go (default: beside their result)")
    sizes = ", ".join(f"{name} ({size} in)" for name, size in WIDTHS.items())
    parser.add_argument(
        "--width", choices=list(WIDTHS), default="two", help=f"columns of a page: {sizes} (default: %(default)s)"
    )
    asked = parser.parse_args()
    if not together:
        asked.result = [asked.result] if asked.result else []
    return asked


def _jobs(results: list[Path], out: Path | None, kind: str, stored: Path) -> Iterator[tuple[list[Path], Path]]:
    """Which results make figures together, and where these go."""
    if len(results) > 1 and out is None:
        raise ResultError(f"{len(results)} results make one figure. Say with --out where it goes.")
    if results:
        yield results, out or results[0]
        return
    folders = sorted(stored.glob(f"{kind}-*"))
    if not folders:
        raise ResultError(f"{stored} has no folder {kind}-…, as stored results are called. Give a RESULT.")
    for folder in folders:
        yield [folder], out / folder.name if out else folder


def _read(folder: Path, kind: str) -> Any:
    result = read_result(folder)
    if result.kind == kind:
        return result
    raise ResultError(f"{folder} holds a result of {result.kind}; this figure is drawn from one of {kind}.")
