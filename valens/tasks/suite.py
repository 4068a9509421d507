"""A row of tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from valens.errors import TaskError
from valens.tasks.classification import Classification
from valens.tasks.clustering import Clustering
from valens.tasks.pair_classification import PairClassification
from valens.tasks.reranking import Reranking
from valens.tasks.retrieval import Retrieval
from valens.tasks.sts import Sts

Task = Sts | PairClassification | Retrieval | Reranking | Clustering | Classification


@dataclass(frozen=True)
class LeftOut:
    """A task that a suite would have, and why it has not."""

    name: str
    reason: str


@dataclass(frozen=True)
class Suite:
    """A named row of tasks; their names differ."""

    name: str
    tasks: tuple[Task, ...]
    left_out: tuple[LeftOut, ...] = ()
    """What belongs to the suite and could not be had; whoever shows a score of the suite shows this."""
    notes: tuple[str, ...] = ()
    """What a reader should know of how the tasks were made."""
    data_root: str | None = None
    """The mirror that the data were read from; None where there was none."""
    limit: int | None = None
    """To how many texts at the most each task was cut; None if to no number."""

    def __post_init__(self) -> None:
        """Refuse a suite without tasks, or with two of one name."""
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) < len(names):
            raise TaskError(f"A suite is one or more tasks of different names; {self.name!r} has {names!r}.")

    def facts(self) -> dict[str, Any]:
        """Return what provenance says of a suite."""
        cut = [] if self.limit is None else [f"Each task is cut to at most {self.limit:,} texts (--limit)."]
        return {
            "name": self.name,
            "tasks": {task.name: task.size for task in self.tasks},
            "left_out": {missing.name: missing.reason for missing in self.left_out},
            "notes": [*self.notes, *cut],
            "limit": self.limit,
            "data_root": self.data_root,
        }

    def limited(self, n: int) -> Suite:
        """Cut each task to `n` texts at the most, as its own `limited` does it."""
        return replace(self, tasks=tuple(task.limited(n) for task in self.tasks), limit=n)
