"""Figure 3: score by layer, one line a task type. Usage: python figures/figure3.py RESULT [--out DIR]."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from valens.layers import LayerSet
from valens.plotting import layer_curves
from valens.results import read_result, writable_folder


def draw(result: Path, out: Path) -> list[Path]:
    """Redraw the figure of a stored layer sweep as PDF and PNG; gives the paths written."""
    sets = json.loads((result / "layers.json").read_text(encoding="utf-8"))["representations"]
    chosen = {name: LayerSet.of(found["list"]) for name, found in sets.items()}
    figure = layer_curves(read_result(result).table, chosen=chosen)
    paths = [writable_folder(out) / f"figure3.{suffix}" for suffix in ("pdf", "png")]
    for path in paths:
        figure.savefig(path)
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="the --out folder of valens sweep-layers")
    parser.add_argument("--out", type=Path, default=Path(), help="where the figure goes (default: here)")
    arguments = parser.parse_args()
    for path in draw(arguments.result, arguments.out):
        print(path)
