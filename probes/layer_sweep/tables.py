"""The tables of a layer sweep, one row a number, from what was scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from probes.layer_sweep.rules import SelectorResults, paired_differences
from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.suite_scores import Scores
from valens.evaluation.tfidf import LEXICAL
from valens.model.model import Model
from valens.tasks import Task


def score_table(results: Sequence[SelectorResults], lexical: Scores, model: Model) -> pd.DataFrame:
    """Single layers of every representation, and the lexical baseline, which has no layer."""
    words = [_origin(LEXICAL, model, None) | _numbers(task, evaluation, index=0) for task, evaluation in lexical.tasks]
    rows = [
        _origin(result.representation.name, model, layer) | _numbers(task, evaluation, index=index)
        for result in results
        for task, evaluation in result.alone.tasks
        for index, layer in enumerate(result.layers)
    ]
    return pd.DataFrame(words + rows).astype({"layer": "Int64", "depth": "Float64"})


def dimension_table(results: Sequence[SelectorResults], model: Model) -> pd.DataFrame:
    """Return the intrinsic dimension of every layer of every representation: representation, layer, depth, dimension."""
    rows = [
        _origin(result.representation.name, model, layer) | {"dimension": float(dimension)}
        for result in results
        for layer, dimension in zip(result.layers, result.dimension, strict=True)
    ]
    return pd.DataFrame(rows)


def sample_table(results: Sequence[SelectorResults]) -> pd.DataFrame:
    """Return what the scores of single layers are made of: representation, task, layer, what, sample (from 0), value."""
    parts = [
        pd.DataFrame(
            {
                "representation": result.representation.name,
                "task": task.name,
                "layer": layer,
                "what": evaluation.sample,
                "sample": np.arange(len(values)),
                "value": values.astype(np.float32),
            }
        )
        for result in results
        for task, evaluation in result.alone.tasks
        if evaluation.samples is not None
        for layer, values in zip(result.layers, evaluation.samples, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def replicate_table(results: Sequence[SelectorResults]) -> pd.DataFrame:
    """Return each single layer's score in every resample, in float32: representation, task, layer, resample (from 0), value.

    The resamples of a task are the same for all representations and layers, which is what pairs their differences.
    """
    parts = []
    for result in results:
        for task, evaluation in result.alone.tasks:
            index, resample = np.indices(evaluation.replicates.shape, dtype=np.int32).reshape(2, -1)
            numbers = {"layer": np.array(result.layers)[index], "resample": resample}
            values = evaluation.replicates.ravel().astype(np.float32)
            parts.append(
                pd.DataFrame(
                    {"representation": result.representation.name, "task": task.name, **numbers, "value": values}
                )
            )
    return pd.concat(parts, ignore_index=True)


def set_table(results: Sequence[SelectorResults]) -> pd.DataFrame:
    """Return the averaged embedding over each rule's set, on each task."""
    rows = [
        {"representation": result.representation.name, "set": name, "layers": str(layers)}
        | _numbers(task, evaluation, index=0)
        for result in results
        for name, layers in result.chosen_sets().items()
        for task, evaluation in result.scores_of(layers).tasks
    ]
    return pd.DataFrame(rows)


def paired_difference_table(results: Sequence[SelectorResults]) -> pd.DataFrame:
    """Return how far the chosen set is from each other rule's, paired, by task type and on average."""
    rows = [
        {"representation": result.representation.name, "against": name} | difference
        for result in results
        for name, layers in result.chosen_sets().items()
        if name not in {"chosen", result.select}
        for difference in paired_differences(result, result.choice.layers, result, layers)
    ]
    return pd.DataFrame(rows)


def comparison_table(results: Sequence[SelectorResults]) -> pd.DataFrame:
    """Return how far the first representation is from the second, with the chosen sets and with the best single layers.

    Empty where no task has scores of both.
    """
    first, second = results[:2]
    rows = []
    for name in ("chosen", "best"):
        layers, others = (result.chosen_sets()[name] for result in (first, second))
        what = {"first": first.representation.name, "second": second.representation.name, "set": name}
        what |= {"first_layers": str(layers), "second_layers": str(others)}
        rows += [what | difference for difference in paired_differences(first, layers, second, others)]
    return pd.DataFrame(rows)


def _origin(representation: str, model: Model, layer: int | None) -> dict[str, Any]:
    depth = None if layer is None else layer / model.n_layers
    return {"model": model.name, "representation": representation, "layer": layer, "depth": depth}


def _numbers(task: Task, evaluation: Evaluation, *, index: int) -> dict[str, Any]:
    low, high = evaluation.interval()
    return {
        "task": task.name,
        "task_type": task.task_type,
        "metric": task.metric,
        "score": float(evaluation.score[index]),
        "low": float(low[index]),
        "high": float(high[index]),
        "n": evaluation.n,
    }
