"""Rows of mteb's tasks, with what could not be had and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from valens.errors import TaskDataError, TaskError
from valens.mteb.reference import Reference
from valens.mteb.tasks import Loaded, load_task
from valens.progress import steps
from valens.tasks import LeftOut, Suite

PAPER = (
    "BiorxivClusteringP2P.v2@test",
    "MedrxivClusteringP2P.v2@test",
    "SciDocsRR@validation",
    "AskUbuntuDupQuestions@test",
    "STS15@test",
    "STSBenchmark@validation",
    "EmotionClassification@train",
    "Banking77Classification@train",
    "SciFact@train",
    "NFCorpus@validation",
)
"""The ten sets on which the layers are chosen in section 4.2 of arXiv 2602.01572."""


def mteb_suite(name: str, tasks: Sequence[str], *, data_root: str | Path | None = None, strict: bool = False) -> Suite:
    """Load the tasks of these names as a suite; those whose data cannot be had are left out, with the reason.

    Args:
        name: what the suite is called.
        tasks: the tasks, each written as for `load_task`.
        data_root: a local mirror of the hub; None asks the hub.
        strict: raise an error for data that cannot be had.

    Returns:
        The suite; `left_out` names the tasks that it lacks.

    Raises:
        TaskError: a name that is not valid, data that are named twice and would count twice, or no task at all.

    """
    _check_repeats(name, [str(Reference.parse(task)) for task in tasks])
    loaded: list[Loaded] = []
    left_out: list[LeftOut] = []
    with steps("Loading tasks", len(tasks)) as step:
        for task in tasks:
            try:
                task_loaded = load_task(task, data_root=data_root)
            except TaskDataError as error:
                if strict:
                    raise
                left_out.append(LeftOut(task.strip(), str(error)))
            else:
                _check_distinct(task_loaded, loaded)
                loaded.append(task_loaded)
            step()
    if not loaded:
        raise TaskError(f"Of {name}, no task can be had ({len(tasks)} asked for). The first: {left_out[0].reason}")
    notes = tuple(note for one in loaded for note in one.notes)
    root = None if data_root is None else str(data_root)
    return Suite(name, tuple(one.task for one in loaded), tuple(left_out), notes, data_root=root)


def _check_repeats(suite: str, names: Sequence[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise TaskError(f"{suite} names {twice[0]} {names.count(twice[0])} times. Name each task once.")


def _check_distinct(new: Loaded, others: Sequence[Loaded]) -> None:
    same = next((other for other in others if other.source == new.source), None)
    if same:
        raise TaskError(
            f"{same.task.name} and {new.task.name} are the same data ({new.source}), which would count twice. "
            "Name them once."
        )
