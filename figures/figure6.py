"""Figure 6 and its companion by layer: who knows the next token? Usage: python figures/figure6.py RESULT [--out DIR]."""

from __future__ import annotations

import argparse
from pathlib import Path

from valens.plotting import save_next_token_figures
from valens.results import read_result


def draw(result: Path, out: Path) -> list[Path]:
    """Redraw the figures of a stored probing as PDF and PNG; gives the paths. ResultError if it is no such result."""
    return save_next_token_figures(read_result(result), out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="the --out folder of valens next-token")
    parser.add_argument("--out", type=Path, default=Path(), help="where the figures go (default: here)")
    arguments = parser.parse_args()
    for path in draw(arguments.result, arguments.out):
        print(path)
