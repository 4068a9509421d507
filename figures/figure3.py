"""Figure 3: score by layer, one line a task type. Usage: python figures/figure3.py RESULT [--out DIR]."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from valens.errors import ResultError
from valens.layers import LayerSet
from valens.plotting import layer_curves, save_figure
from valens.results import read_result


def draw(result: Path, out: Path) -> list[Path]:
    """Redraw the figure of a stored layer sweep as PDF and PNG; gives the paths written. ResultError if it is no sweep."""
    return save_figure(layer_curves(read_result(result).table, chosen=_chosen(result / "layers.json")), out, "figure3")


def _chosen(path: Path) -> dict[str, LayerSet]:
    """The layer set of each representation."""
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))["representations"]
        return {name: LayerSet.of(found["list"]) for name, found in sets.items()}
    except (OSError, ValueError, KeyError) as error:
        raise ResultError(f"{path} does not hold a sweep's layer sets ({error}). Give its --out folder.") from error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="the --out folder of valens sweep-layers")
    parser.add_argument("--out", type=Path, default=Path(), help="where the figure goes (default: here)")
    arguments = parser.parse_args()
    for path in draw(arguments.result, arguments.out):
        print(path)
