"""Figure 3: score by layer, one line a task type; two models side by side when two results are given.

Usage: python figures/figure3.py RESULT [RESULT] [--out DIR].
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from valens.chosen import read_chosen
from valens.errors import ResultError
from valens.layers import LayerSet
from valens.plotting import layer_curves, save_figure
from valens.results import read_result


def draw(results: Sequence[Path], out: Path) -> list[Path]:
    """Redraw the figure of one or more stored layer sweeps as PDF and PNG; gives the paths written.

    ResultError for a folder that is no sweep's, and for two sweeps of one model, which would be drawn into one panel.
    """
    tables: list[pd.DataFrame] = []
    chosen: dict[tuple[str, str], LayerSet] = {}
    for folder in results:
        table = read_result(folder).table
        tables.append(table)
        model = str(table.model.iloc[0])
        if any(model == other for other, _ in chosen):
            raise ResultError(f"{folder} is another sweep of {model}. Give the sweeps of different models.")
        chosen |= {(model, name): layers for name, layers in read_chosen(folder / "layers.json").sets.items()}
    return save_figure(layer_curves(pd.concat(tables, ignore_index=True), chosen=chosen), out, "figure3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, nargs="+", help="the --out folder of valens sweep-layers, one a model")
    parser.add_argument("--out", type=Path, default=Path(), help="where the figure goes (default: here)")
    arguments = parser.parse_args()
    for path in draw(arguments.result, arguments.out):
        print(path)
