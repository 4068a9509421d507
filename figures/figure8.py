"""Figure 8: which vectors predict the tokens behind a prefix. Usage: python figures/figure8.py RESULT [--out DIR]."""

from __future__ import annotations

import argparse
from pathlib import Path

from valens.plotting import save_lens_figures
from valens.results import read_result


def draw(result: Path, out: Path) -> list[Path]:
    """Redraw the figures of a stored logit lens as PDF and PNG; gives the paths written. ResultError if it is none."""
    return save_lens_figures(read_result(result), out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="the --out folder of valens logit-lens")
    parser.add_argument("--out", type=Path, default=Path(), help="where the figures go (default: here)")
    arguments = parser.parse_args()
    for path in draw(arguments.result, arguments.out):
        print(path)
