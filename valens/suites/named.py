"""Suites by their names."""

from __future__ import annotations

from pathlib import Path

from valens.errors import TaskError, did_you_mean
from valens.suites.builtin import BUILDERS
from valens.tasks import Suite, Task


def builtin() -> Suite:
    """Return the five built-in tasks: about 36,000 words of different texts, 32,000 of them of the Wikipedia tasks."""
    return suite("builtin")


def suite(name: str, *, data_root: str | Path | None = None, strict: bool = False) -> Suite:
    """Return a suite of tasks by its name.

    Args:
        name: `builtin`, the five built-in tasks; `paper`, the ten data sets of section 4.2 of arXiv 2602.01572;
            built-in tasks with commas between, as in `LeeSTS,WikiRetrieval`; or tasks of mteb, as in
            `mteb:STS15,SciFact@train`.
        data_root: a local mirror of the hub, with folders named as there; None asks the hub. For tasks of mteb alone.
        strict: raise an error for a task of mteb whose data cannot be had; by default it is left out and named in
            `Suite.left_out`.

    Returns:
        The suite, its tasks in the order of the name.

    Raises:
        TaskError: a name that is not a suite, data that cannot be used, or a mirror where nothing is read from the hub.
        MissingPackageError: tasks of mteb without the package mteb, or built-in ones without gensim's wheel.

    """
    asked = name.strip()
    if from_mteb(asked):
        from valens.mteb.suites import PAPER, mteb_suite

        parts = PAPER if asked == "paper" else asked.removeprefix("mteb:").split(",")
        return mteb_suite(asked, parts, data_root=data_root, strict=strict)
    names = list(BUILDERS) if asked == "builtin" else [part.strip() for part in asked.split(",")]
    tasks = tuple(map(task_named, names))
    if data_root is not None:
        raise TaskError(f"{asked} is not read from the hub, nor from a mirror of it. Leave --data-root out.")
    return Suite(asked, tasks)


def from_mteb(name: str) -> bool:
    """Return whether a suite of this name is of mteb's tasks, which come from the hub or from a mirror of it."""
    return name.strip() == "paper" or name.strip().startswith("mteb:")


def task_named(name: str) -> Task:
    """Build the built-in task of this name; TaskError with the nearest names, and with all there are."""
    if name not in BUILDERS:
        raise TaskError(
            f"There is no built-in task {name!r}. {did_you_mean(name, BUILDERS, n=3)}"
            f"The tasks are {', '.join(BUILDERS)}; the suite `builtin` is all of them. The paper's suite is `paper`, and "
            "tasks of MTEB are named as in `mteb:STS15,SciFact@train`."
        )
    return BUILDERS[name]()
