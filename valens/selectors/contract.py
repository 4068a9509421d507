"""What a selector is given, what it answers, and the interface between: one recipe, one `select`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from valens.errors import SelectionError
from valens.layers.layer_set import LayerSet

AVERAGE = "average"
"""The task type of what is a mean over task types."""


@dataclass(frozen=True)
class TaskCurve:
    """One task's score at every candidate layer, with bootstrap replicates that share their resamples over layers."""

    task: str
    task_type: str
    score: Float[np.ndarray, " layer"]
    replicates: Float[np.ndarray, "layer resample"]

    def at(self, rows: slice | Sequence[int]) -> TaskCurve:
        """Return the curve at some of its layers, by their positions."""
        return replace(self, score=self.score[rows], replicates=self.replicates[rows])


@dataclass(frozen=True)
class LayerCurves:
    """The single-layer scores of one representation, from which a layer set is chosen."""

    n_layers: int
    """L of the model, which `half` and `all` need."""
    layers: tuple[int, ...]
    """The candidates, in increasing order: the layer axis of every curve."""
    tasks: tuple[TaskCurve, ...]
    dimension: Float[np.ndarray, " layer"] | None = None
    """The intrinsic dimension of each candidate's vectors, nan where it has none; None if it was not estimated."""
    score_sets: Callable[[Sequence[LayerSet]], Float[np.ndarray, " set"]] | None = None
    """What embeddings averaged over sets of the candidates score, as a mean over task types; None without vectors.

    It may be a rougher score than those of `tasks`: compare sets with each other by it, and with nothing else."""

    def __post_init__(self) -> None:
        """Refuse curves without tasks or candidates."""
        if not self.tasks or not self.layers:
            raise SelectionError("There is nothing to select from: no task or no layer was scored.")

    @property
    def task_types(self) -> tuple[str, ...]:
        """The different task types, in order of first appearance."""
        return tuple(dict.fromkeys(curve.task_type for curve in self.tasks))

    def of_type(self, task_type: str) -> TaskCurve:
        """Average over the tasks of one type."""
        return mean_of_type(self.tasks, task_type)

    def average(self) -> TaskCurve:
        """Average over task types."""
        return mean_over_types(self.tasks)


def mean_of_type(tasks: Sequence[TaskCurve], task_type: str) -> TaskCurve:
    """Average over the tasks of one type."""
    return _mean([curve for curve in tasks if curve.task_type == task_type], task_type)


def mean_over_types(tasks: Sequence[TaskCurve]) -> TaskCurve:
    """Average over task types, each the mean of its tasks, so that many tasks of a type do not outweigh another."""
    types = dict.fromkeys(curve.task_type for curve in tasks)
    return _mean([mean_of_type(tasks, task_type) for task_type in types], AVERAGE)


def means_by_type(tasks: Sequence[TaskCurve]) -> tuple[TaskCurve, ...]:
    """Return the mean of every task type, in order of first appearance, and the mean over types last; of no tasks, none."""
    if not tasks:
        return ()
    types = dict.fromkeys(curve.task_type for curve in tasks)
    return (*(mean_of_type(tasks, task_type) for task_type in types), mean_over_types(tasks))


def _mean(curves: Sequence[TaskCurve], name: str) -> TaskCurve:
    score = np.mean([curve.score for curve in curves], axis=0)
    return TaskCurve(name, name, score, np.mean([curve.replicates for curve in curves], axis=0))


@dataclass(frozen=True)
class Choice:
    """A layer set, and for every candidate layer why it is in or out."""

    selector: str
    layers: LayerSet
    reasons: Mapping[int, str] = field(repr=False)


@runtime_checkable
class Selector(Protocol):
    """A rule that turns single-layer scores into a layer set."""

    @property
    def name(self) -> str:
        """The name under which the command line knows it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The task types without which it cannot choose."""

    @property
    def fewest_tasks(self) -> int:
        """How many tasks there must be for the rule to mean anything."""

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; SelectionError if the rule needs what the curves do not have."""


def check_tasks(selector: Selector, task_types: Sequence[str]) -> None:
    """Raise SelectionError if tasks of these types, one a task, are not enough; worth asking before anything is read."""
    check_task_types(selector, task_types)
    if len(task_types) < selector.fewest_tasks:
        raise SelectionError(
            f"The selector `{selector.name}` chooses by what tasks agree on; one task was given, of type "
            f"{', '.join(task_types)}. Add tasks, or use --select top-k to choose for that task alone."
        )


def check_task_types(selector: Selector, task_types: Sequence[str]) -> None:
    """Raise SelectionError if a type of task without which a selector cannot choose is not among these."""
    lacking = [task_type for task_type in selector.needs if task_type not in task_types]
    if lacking:
        raise SelectionError(
            f"The selector `{selector.name}` needs a task of type {lacking[0]}; the tasks given are of type "
            f"{', '.join(dict.fromkeys(task_types))}. Add one, or use --select top-k."
        )
