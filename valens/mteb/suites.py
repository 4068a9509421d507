"""Rows of mteb's tasks, with what could not be had and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from valens.errors import TaskDataError, TaskError
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
    """The tasks of these names, as `load_task` reads them; those whose data cannot be had are left out, with the reason.

    `strict` makes that an error, as it is if nothing is left. Raises TaskError and what else `load_task` does.
    """
    loaded: list[Loaded] = []
    left_out: list[LeftOut] = []
    with steps("Loading tasks", len(tasks)) as step:
        for task in tasks:
            try:
                loaded.append(load_task(task, data_root=data_root))
            except TaskDataError as error:
                if strict:
                    raise
                left_out.append(LeftOut(task.strip(), str(error)))
            step()
    if not loaded:
        raise TaskError(f"Of {name}, no task can be had ({len(tasks)} asked for). The first: {left_out[0].reason}")
    notes = tuple(note for one in loaded for note in one.notes)
    return Suite(name, tuple(one.task for one in loaded), tuple(left_out), notes)
