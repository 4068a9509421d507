"""Figure 3: score by layer, one line a task type; several models side by side when their results are given together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from script import figure_script

from probes.layer_sweep.figure import layer_curves
from valens.errors import ResultError
from valens.plotting import Width
from valens.probes import LayerSweepResult


def draw(results: Sequence[LayerSweepResult], width: Width) -> Mapping[str, Figure]:
    """Scores by layer of one or more stored sweeps; ResultError for two of one model, which would be one panel."""
    tables = {str(sweep.table.model.iloc[0]): sweep.table for sweep in results}
    if len(tables) < len(results):
        raise ResultError(f"Two sweeps are of {_twice(results)}. Give the sweeps of different models.")
    chosen = {
        (model, name): choice.layers
        for model, sweep in zip(tables, results, strict=True)
        for name, choice in sweep.choices.items()
    }
    drawn = [sweep.replicates_of_model() for sweep in results]
    replicates = None if any(each is None for each in drawn) else pd.concat(drawn, ignore_index=True)
    table = pd.concat(tables.values(), ignore_index=True)
    return {"figure3": layer_curves(table, chosen=chosen, replicates=replicates, width=width)}


def _twice(results: Sequence[LayerSweepResult]) -> str:
    (most, _), *_ = Counter(str(sweep.table.model.iloc[0]) for sweep in results).most_common()
    return most


if __name__ == "__main__":
    figure_script(draw, kind="layer-sweep", stored=Path(__file__).parent / "results", about=__doc__, together=True)
