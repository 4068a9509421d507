"""Tasks of mteb's, loaded by mteb itself and made into tasks of ours: the same texts, labels, draws and judgements.

`mteb.get_task` finds the task, and its own `load_data` reads it from the hub. With a mirror, the task is pointed to
the folder of that name instead; nothing else changes. What an encoder would be given as text is what is embedded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from valens.errors import TaskDataError, TaskError, did_you_mean
from valens.mteb import conversion
from valens.mteb.library import preserve_rng_state, reading_afresh
from valens.mteb.reference import Reference
from valens.tasks import Task

_ALSO_CALLED = {"validation": "dev", "dev": "validation"}


@dataclass(frozen=True)
class Loaded:
    """A task, and what a reader should know of how it was made."""

    task: Task
    source: Reference
    """The name in full, with the subset and split that were meant: of two tasks with one source, one is too many."""
    notes: tuple[str, ...] = ()


def load_task(name: str, *, data_root: str | Path | None = None) -> Loaded:
    """Load a task of mteb's, as `STSBenchmark@validation` or `STS17/en-en@test`.

    Args:
        name: NAME, NAME@split, NAME/subset or NAME/subset@split; without a split, the one that mteb scores. A classification
            `@train` learns from one part of the training set and is tested on the rest.
        data_root: a mirror: a folder with one folder for each data set, named as on the hub (`mteb/stsbenchmark-sts`); None
            asks the hub.

    Returns:
        The task, where it comes from, and notes on how it was made.

    Raises:
        TaskError: a name that mteb does not know, a family that valens does not score, or data that are not as mteb expects.
        TaskDataError: data that cannot be had here.
        MissingPackageError: no package mteb.

    """
    wanted = Reference.parse(name)
    with preserve_rng_state() as mteb:
        mteb_task = _mteb_task(mteb, wanted)
        _check_family(mteb_task)
        subset, split = _subset(mteb_task, wanted), wanted.split or _scored_split(mteb_task)
        with _pointed_to(mteb_task, data_root):
            split = _load(mteb_task, subset, split)
        with faults(mteb_task):
            task, notes = conversion.converted(mteb_task, str(wanted), subset, split)
    main, ours = mteb_task.metadata.main_score, conversion.MAIN_SCORES[mteb_task.metadata.type]
    if main != ours:
        notes += (f"{wanted} is scored by {ours}; mteb's main score for it is {main}.",)
    return Loaded(task, Reference(wanted.name, subset, split), notes)


def _mteb_task(mteb: Any, wanted: Reference) -> Any:
    try:
        return mteb.get_task(wanted.name)
    except KeyError as error:
        near = did_you_mean(wanted.name, (task.metadata.name for task in _all_tasks(mteb)), n=3)
        hint = near.strip() or "mteb.get_tasks() lists all there are."
        raise TaskError(f"mteb {version('mteb')} has no task {wanted.name!r}. {hint}") from error


def _all_tasks(mteb: Any) -> Any:
    return mteb.get_tasks(exclude_superseded=False, exclude_private=False)


def _check_family(mteb_task: Any) -> None:
    what = mteb_task.metadata
    if what.type not in conversion.MAIN_SCORES or list(what.modalities) != ["text"]:
        raise TaskError(
            f"{what.name} is {what.type} of {' and '.join(what.modalities)}; valens scores text tasks of the families "
            f"{', '.join(conversion.MAIN_SCORES)}."
        )
    if hasattr(mteb_task, "tasks"):
        parts = [task.metadata.name for task in mteb_task.tasks]
        raise TaskError(f"{what.name} is the mean over {len(parts)} tasks. Name them instead: {','.join(parts)}.")
    conversion.check_scored_as_family(mteb_task)


@contextmanager
def _pointed_to(mteb_task: Any, data_root: str | Path | None) -> Iterator[None]:
    """Let the task read the mirror's folder; its class, and so every other task, goes on reading the hub."""
    if data_root is None:
        yield
        return
    root, where = Path(data_root).expanduser().resolve(), mteb_task.metadata.dataset
    if not root.is_dir():
        raise TaskError(
            f"There is no folder {root}. --data-root names a mirror of the hub, with folders as mteb/emotion."
        )
    folder = root / where["path"]
    if not folder.is_dir():
        raise TaskDataError(f"{mteb_task.metadata.name}: the mirror {root} has no folder {where['path']}.")
    mteb_task.metadata = mteb_task.metadata.model_copy(update={"dataset": where | {"path": str(folder)}})
    with reading_afresh(folder):
        yield


def _subset(mteb_task: Any, wanted: Reference) -> str:
    subsets = list(mteb_task.hf_subsets)
    if wanted.subset is None and len(subsets) == 1:
        return str(subsets[0])
    if wanted.subset is None or wanted.subset not in subsets:
        asked = f"; {wanted.subset!r} was asked for" if wanted.subset else ""
        english = next((subset for subset in subsets if set(subset.split("-")) == {"en"}), subsets[0])
        raise TaskError(
            f"{wanted.name} has {len(subsets)} subsets: {', '.join(subsets)}{asked}. Name one of them, as in "
            f"{Reference(wanted.name, english, wanted.split)}."
        )
    mteb_task.filter_languages(None, hf_subsets=[wanted.subset])
    return wanted.subset


def _scored_split(mteb_task: Any) -> str:
    splits = list(mteb_task.eval_splits)
    return "test" if "test" in splits else splits[0]


def _load(mteb_task: Any, subset: str, split: str) -> str:
    """Load the split, and give the name that the data have for it."""
    names = [split, _ALSO_CALLED[split]] if split in _ALSO_CALLED else [split]
    if mteb_task.metadata.type in {"Retrieval", "Reranking"}:
        return _load_search(mteb_task, names)
    with faults(mteb_task):
        mteb_task.load_data()
    splits = conversion.of_subset(mteb_task, subset)
    for name in names:
        if name in splits:
            return name
    raise TaskDataError(f"{mteb_task.metadata.name} has no split {split!r} here; it has {', '.join(splits)}.")


def _load_search(mteb_task: Any, names: list[str]) -> str:
    """Load a search, which loads only the split that it is asked for, and fails for one that is not there."""
    complaints = []
    for name in names:
        mteb_task.filter_eval_splits([name])
        with faults(mteb_task):
            try:
                mteb_task.load_data()
                mteb_task.convert_v1_dataset_format_to_v2(num_proc=None)
            except ValueError as error:
                if "not found in [" not in str(error):
                    raise
                complaints.append(str(error))
            else:
                return name
    raise TaskDataError(f"{mteb_task.metadata.name} has no split {names[0]!r} here. mteb says: {complaints[0]}")


@contextmanager
def faults(mteb_task: Any) -> Iterator[None]:
    """Say in one line what is wrong with the data, and what to do."""
    from datasets.exceptions import DatasetsError

    wrong = (StopIteration, ValueError, TypeError, LookupError, AttributeError, DatasetsError)
    try:
        yield
    except (OSError, RuntimeError, *wrong) as error:
        raise _fault(mteb_task, error) from error


def _fault(mteb_task: Any, error: Exception) -> TaskError:
    """Name the fault in the data library's error, which wraps what is wrong with a file in a general one."""
    from datasets.table import CastError
    from pyarrow import ArrowInvalid

    name, where = mteb_task.metadata.name, mteb_task.metadata.dataset["path"]
    cause = error.__cause__ or error
    reason = f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
    if isinstance(cause, StopIteration) or "BatchSize must be greater than 0" in reason:
        return TaskDataError(f"{name}: a file in {where} holds no rows. Fetch the data again.")
    if isinstance(cause, ArrowInvalid):
        return TaskDataError(f"{name}: a file in {where} cannot be read ({reason}). Fetch the data again.")
    if isinstance(cause, CastError):
        return TaskError(f"{name}: the files in {where} have different columns ({_unlike(cause)}).")
    if isinstance(error, OSError | RuntimeError):
        hint = "With a mirror of the hub, name its folder with --data-root."
        return TaskDataError(f"{name}: {where} cannot be loaded ({reason}). {hint}")
    return TaskError(f"{name}: the data in {where} are not what mteb expects ({reason}).")


def _unlike(error: Any) -> str:
    """Say which columns a file lacks, or has besides those of the first one."""
    here, expected = set(error.table_column_names), set(error.requested_column_names)
    lacks, more = sorted(expected - here), sorted(here - expected)
    parts = [
        f"{word} {', '.join(map(repr, names))}" for word, names in (("lacks", lacks), ("alone has", more)) if names
    ]
    return "one " + " and ".join(parts) if parts else "of different types"
