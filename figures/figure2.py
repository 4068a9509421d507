"""Figure 2: does a text's beginning find its own end, by layer? Usage: python figures/figure2.py RESULT [--out DIR]."""

from __future__ import annotations

import argparse
from pathlib import Path

from valens.errors import ResultError
from valens.plotting import matching_curves, save_figure
from valens.results import read_result


def draw(result: Path, out: Path) -> list[Path]:
    """Redraw the figure of a stored segment matching as PDF and PNG; gives the paths. ResultError if it is none."""
    found = read_result(result)
    if found.kind != "segment-matching":
        raise ResultError(f"{result} holds a result of {found.kind}; figure 2 is drawn from a segment matching.")
    return save_figure(matching_curves(found.table), out, "figure2")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="the --out folder of valens segment-matching")
    parser.add_argument("--out", type=Path, default=Path(), help="where the figure goes (default: here)")
    arguments = parser.parse_args()
    for path in draw(arguments.result, arguments.out):
        print(path)
