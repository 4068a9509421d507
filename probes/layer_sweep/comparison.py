"""Is one representation ahead of another, layer by layer? From a sweep's scores and their replicates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from valens.errors import ResultError
from valens.selectors import AVERAGE, TaskCurve, mean_of_type, mean_over_types
from valens.statistics import compare_replicates


def compared(table: pd.DataFrame, replicates: pd.DataFrame, first: str, second: str, task_type: str) -> pd.DataFrame:
    """First − second at every layer that both have, on the tasks of both; what `LayerSweepResult.compare` gives.

    `replicates` has the score of each layer in every resample: representation, task, layer, resample, value.
    """
    single = table[table.layer.notna()]
    layers = [{int(layer) for layer in single.layer[single.representation == name]} for name in (first, second)]
    shared = sorted(layers[0] & layers[1])
    if not shared:
        representations = ", ".join(single.representation.unique())
        raise ResultError(f"{first!r} and {second!r} have no layers in common; there are {representations}.")
    tasks = scored_tasks(table, [first, second])
    if not tasks:
        raise ResultError(f"No task has scores of both {first!r} and {second!r}. Compare others.")
    ours, theirs = (
        curve_of(single[single.task.isin(tasks)], replicates, name, shared, task_type) for name in (first, second)
    )
    differences = compare_replicates(ours.score, theirs.score, ours.replicates, theirs.replicates)
    return pd.DataFrame({"layer": np.array(shared, dtype=int), **differences.columns()})


def scored_tasks(table: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Return the tasks that have a score at some layer of each of these representations; means are over no others."""
    scored = table[table.layer.notna() & table.score.notna()]
    of_each = [set(scored.task[scored.representation == name]) for name in names]
    return [task for task in dict.fromkeys(scored.task) if all(task in tasks for tasks in of_each)]


def curve_of(single: pd.DataFrame, replicates: pd.DataFrame, name: str, layers: list[int], task_type: str) -> TaskCurve:
    """Return the scores of a type of task, or over all types, at these layers."""
    rows = single[(single.representation == name) & single.layer.isin(layers)]
    selected = replicates[(replicates.representation == name) & replicates.layer.isin(layers)]
    by_task = dict(iter(selected.groupby("task", observed=True)))
    curves = [
        TaskCurve(
            str(task), str(part.task_type.iloc[0]), part.sort_values("layer").score.to_numpy(), _matrix(by_task[task])
        )
        for task, part in rows.groupby("task", sort=False)
    ]
    if task_type == AVERAGE:
        return mean_over_types(curves)
    types = dict.fromkeys(curve.task_type for curve in curves)
    if task_type not in types:
        raise ResultError(f"A task type is {', '.join(types)} or {AVERAGE}; {task_type!r} was asked for.")
    return mean_of_type(curves, task_type)


def _matrix(replicates: pd.DataFrame) -> np.ndarray:
    """[layer, resample], from a row each."""
    return replicates.pivot_table(index="layer", columns="resample", values="value", dropna=False).to_numpy(dtype=float)
