"""What two suites have in common: texts, and pairs of texts, that are the same but for case, spaces and signs.

Layers that were chosen on texts on which they are then judged are judged too well. So the sets that choose and the sets
that judge are compared first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product

from valens.corpora.duplicates import Unit, identity
from valens.tasks import PairClassification, Sts, Suite, Task


@dataclass(frozen=True)
class Common:
    """How many units of one task are in another."""

    task: str
    other: str
    unit: str
    """`text` or `pair`; a pair is the same in either order."""
    shared: int
    of: int
    """How many units the task has."""
    examples: tuple[tuple[Unit, Unit], ...]
    """Some that are shared, as they stand in the task and in the other."""

    @property
    def share(self) -> float:
        """The part of the task's units that the other has."""
        return self.shared / self.of


@dataclass(frozen=True)
class _Content:
    """The units of a task and what tells them apart, worked out once however many tasks it is compared with."""

    task: Task

    @cached_property
    def units(self) -> dict[str, list[Unit]]:
        texts = self.task.texts
        if not isinstance(self.task, Sts | PairClassification):
            return {"text": list(texts)}
        pairs = zip(self.task.first, self.task.second, strict=True)
        return {"text": list(texts), "pair": [(texts[a], texts[b]) for a, b in pairs]}

    @cached_property
    def identities(self) -> dict[str, list[bytes]]:
        return {unit: list(map(identity, units)) for unit, units in self.units.items()}

    def in_other(self, other: _Content, unit: str) -> Iterator[tuple[Unit, Unit]]:
        """Yield the units that the other has too, as they stand here and there."""
        originals = dict(zip(reversed(other.identities[unit]), reversed(other.units[unit]), strict=True))
        for one, same in zip(self.units[unit], self.identities[unit], strict=True):
            if same in originals:
                yield one, originals[same]


def common(suite: Suite, other: Suite, *, examples: int = 3) -> list[Common]:
    """Count what each task of a suite shares with each of the other; pairs of tasks without overlap are left out.

    Pairs are compared where both tasks are of pairs. Each unit of the suite's task counts, also one that it holds twice.
    """
    rows = []
    others = list(map(_Content, other.tasks))
    for content, against in product(map(_Content, suite.tasks), others):
        for unit in [unit for unit in content.units if unit in against.units]:
            shared = list(content.in_other(against, unit))
            if shared:
                n, first = len(content.units[unit]), tuple(islice(shared, examples))
                rows.append(Common(content.task.name, against.task.name, unit, len(shared), n, first))
    return rows


def warning(suite: Suite, other: Suite) -> str | None:
    """Say in one line what the suite that chooses layers shares with the one that judges them; None if nothing."""
    overlaps = common(suite, other, examples=0)
    if not overlaps:
        return None
    counts = _in_words(overlaps)
    return (
        f"{suite.name} and {other.name} have texts in common ({counts}), so scores on {other.name} flatter what was chosen "
        f"on {suite.name}. `valens overlap` shows which."
    )


def _in_words(overlaps: Sequence[Common]) -> str:
    return "; ".join(_of_tasks(*tasks, overlaps) for tasks in dict.fromkeys((row.task, row.other) for row in overlaps))


def _of_tasks(task: str, other: str, overlaps: Iterable[Common]) -> str:
    rows = [row for row in overlaps if (row.task, row.other) == (task, other)]
    counts = " and ".join(f"{row.shared:,} of {row.of:,} {row.unit}s" for row in rows)
    return f"{counts} of {task} are in {other}"
