"""What a pooling, a selector, a task and a user-defined result promise: a check each, to be called in a test.

A check says nothing where all holds, and otherwise raises the error of its kind with the promise that is broken. valens'
own are held to the same (tests/test_testing.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from probes.contract import Probe
from valens.errors import ProbeError, RepresentationError, ResultError, SelectionError, TaskError
from valens.evaluation.evaluate import evaluate
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import Representation
from valens.representations.poolings import CustomPooling, Pooling, pooling_weights
from valens.results.result import Result
from valens.selectors import Choice, LayerCurves, Selector, TaskCurve, check_tasks
from valens.tasks import Task

_ROUNDING = 1e-6
_TRIALS = 20


def check_pooling(pooling: Pooling | CustomPooling, *, seed: int = 0) -> None:
    """Weights sum to one, only what pooling_mask has any, and neither padding nor the other texts change them.

    RepresentationError for a pooling that breaks one of these on some of 20 random batches.
    """
    draw = np.random.default_rng(seed)
    for _ in range(_TRIALS):
        pooling_mask = torch.from_numpy(draw.choice([True, False], size=(5, 9)))
        pooling_mask[:, 4] = True  # a text has one token or more
        weights = pooling_weights(pooling, pooling_mask)
        if _apart(weights.sum(dim=1), torch.ones(5)) or bool(weights[~pooling_mask].any()):
            raise RepresentationError(f"{pooling}: weights must sum to 1, and be 0 outside the mask.")
        alone = torch.cat([pooling_weights(pooling, row[None]) for row in pooling_mask])
        if _apart(alone, weights):
            raise RepresentationError(
                f"{pooling}: the other texts of a batch change a text's weights. Use its own row."
            )
        padded = pooling_weights(pooling, _padded(pooling_mask))[:, 2:-3]
        if _apart(padded, weights):
            raise RepresentationError(f"{pooling}: padding changes the weights. Count the pooled tokens, not columns.")


def check_selector(rule: Selector, *, seed: int = 0) -> None:
    """A choice is some of the candidates with a reason for each of them, the same every time, and changes no curve.

    SelectionError for a rule that breaks one of these on some of 20 random sets of curves, with the task types it needs.
    """
    draw = np.random.default_rng(seed)
    types = tuple(dict.fromkeys((*rule.needs, "STS", "Clustering")))
    check_tasks(rule, types)
    for _ in range(_TRIALS):
        curves = _curves(draw, types)
        before = [(task.score.copy(), task.replicates.copy()) for task in curves.tasks]
        choice = rule.select(curves)
        _check_choice(rule, curves, choice)
        if rule.select(curves) != choice:
            raise SelectionError(f"{rule.name}: the same curves gave two choices. What is left to chance takes a seed.")
        for task, (score, replicates) in zip(curves.tasks, before, strict=True):
            if not (np.array_equal(task.score, score) and np.array_equal(task.replicates, replicates)):
                raise SelectionError(f"{rule.name}: it changes the curves that it is given. Copy them first.")


def check_task(task: Task, *, seed: int = 0) -> None:
    """It can be scored, layers do not touch each other, and it can be cut down to half of its texts.

    TaskError for a task that breaks one of these on random vectors.
    """
    vectors = np.random.default_rng(seed).normal(size=(2, len(task.texts), 8)).astype(np.float32)
    both, second = evaluate(task, vectors, resamples=5), evaluate(task, vectors[1:], resamples=5)
    if not np.isfinite(both.score).all():
        raise TaskError(f"{task.name}: random vectors score {both.score.tolist()}. Give more texts or judgements.")
    if not np.allclose(both.score[1:], second.score):
        raise TaskError(f"{task.name}: a layer scores {both.score[1]} beside another and {second.score[0]} alone.")
    half = max(len(task.texts) // 2, 4)
    cut = task.limited(half)
    if len(cut.texts) > half or not set(cut.texts) <= set(task.texts):
        raise TaskError(f"{task.name}: cut to {half} texts it has {len(cut.texts)}, or others than before.")


def check_result(result: Result) -> None:
    """It has rows, and comes back from a folder as it was: kind, table, details and provenance.

    ResultError for a result that does not.
    """
    if result.table.empty:
        raise ResultError(f"The result of kind {result.kind!r} has no rows. Give it one row a number.")
    with tempfile.TemporaryDirectory(prefix="valens-") as folder:
        again = type(result).read(result.save(folder))
    tables = {"": (result.table, again.table)} | {
        name: (table, again.details.get(name)) for name, table in result.details.items()
    }
    changed = [name or "table" for name, (ours, theirs) in tables.items() if theirs is None or not ours.equals(theirs)]
    if again.kind != result.kind or changed:
        raise ResultError(
            f"Read again, a result of kind {result.kind!r} differs in {', '.join(changed) or 'its kind'}."
        )
    lost = [name for name, value in result.provenance.items() if again.provenance.get(name) != value]
    if lost:
        raise ResultError(
            f"Read again, the provenance differs in {', '.join(lost)}. Give plain values that JSON can hold."
        )


def check_probe(probe: Probe[Any], model: Model, data: Any, representations: Sequence[Representation]) -> Result:
    """Hold a probe to what every probe promises, on a model and data of your choice, and give the result.

    Planning and estimating make no result and keep nothing; running gives a result of the probe's class and kind, whose
    section asks the probe's question; a second run reads nothing and finds the same. ProbeError for what does not hold.
    """
    with tempfile.TemporaryDirectory(prefix="valens-") as folder:
        cost = probe.plan(model, data, representations, store=folder).estimate()
        stored = [path for path in Path(folder).rglob("*") if path.suffix not in {"", ".json"}]
        first = probe.plan(model, data, representations, store=folder).run()
        second = probe.plan(model, data, representations, store=folder).run()
    broken = {
        "its estimate counts no forward pass before anything was read": cost.passes == 0,
        "its estimate keeps what it reads": bool(stored),
        f"its result is a {type(first).__name__}, not a {probe.result.__name__}": type(first) is not probe.result,
        f"its result is of kind {first.kind!r}, not {probe.kind!r}": first.kind != probe.kind,
        "its result's section does not ask its question": first.section().question != probe.question,
        "a second run makes forward passes": second.provenance.get("forward_passes") != 0,
        "a second run finds something else": not all(
            table.equals(second.details.get(name, second.table))
            for name, table in {"": first.table, **first.details}.items()
        ),
    }
    for what, holds in broken.items():
        if holds:
            raise ProbeError(f"{type(probe).__name__}: {what}.")
    return first


def _apart(one: Float[torch.Tensor, "..."], other: Float[torch.Tensor, "..."]) -> bool:
    return bool((one - other).abs().max() > _ROUNDING)


def _padded(pooling_mask: Bool[torch.Tensor, "text token"]) -> Bool[torch.Tensor, "text wider"]:
    silent = torch.zeros(len(pooling_mask), 3, dtype=torch.bool)
    return torch.cat([silent[:, :2], pooling_mask, silent], dim=1)


def _curves(draw: np.random.Generator, types: Sequence[str]) -> LayerCurves:
    """Scores in steps of a fifth, so that layers tie, with replicates about them."""
    layers = tuple(sorted({int(layer) for layer in draw.integers(1, 13, size=6)}))
    tasks = []
    for task_type in types:
        score = draw.integers(0, 4, size=len(layers)) / 5
        tasks.append(TaskCurve(task_type, task_type, score, score[:, None] + draw.normal(0, 0.1, (len(layers), 50))))
    bare = LayerCurves(12, layers, tuple(tasks))
    average = dict(zip(layers, bare.average().score, strict=True))

    def score_sets(sets: Sequence[LayerSet]) -> Float[np.ndarray, " set"]:
        return np.array([np.mean([average[layer] for layer in chosen]) for chosen in sets])

    return LayerCurves(12, layers, tuple(tasks), dimension=1 / np.array(layers), score_sets=score_sets)


def _check_choice(rule: Selector, curves: LayerCurves, choice: Choice) -> None:
    candidates = set(curves.layers)
    if choice.selector != rule.name:
        raise SelectionError(f"{rule.name}: its choice names the selector {choice.selector!r}. Give its own name.")
    if not set(choice.layers) <= candidates:
        raise SelectionError(f"{rule.name}: it chose {choice.layers} of the candidates {LayerSet.of(candidates)}.")
    silent = sorted(layer for layer in candidates if not choice.reasons.get(layer, "").strip())
    if silent:
        raise SelectionError(f"{rule.name}: it gives no reason for layer {silent[0]}. Say of every candidate why.")
