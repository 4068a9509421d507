"""What every task promises, whatever its family: each different text once, and positions that name texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from valens.errors import TaskError

T = TypeVar("T")


@runtime_checkable
class Named(Protocol):
    """What a check needs to know of a task."""

    @property
    def name(self) -> str:
        """What the task is called in results and errors."""
        ...

    @property
    def texts(self) -> tuple[str, ...]:
        """Its different texts."""
        ...


@runtime_checkable
class Sized(Named, Protocol):
    """What a task shows of itself."""

    @property
    def size(self) -> str:
        """How much it holds, in words."""
        ...


def described(task: Sized) -> str:
    """Describe a task in a line, without its texts: its `repr`."""
    return f"<{type(task).__name__} {task.name}: {task.size}>"


# --- what is refused --------------------------------------------------------------------------------------------------


def check_texts(task: Named) -> None:
    """Refuse no texts, and texts that are held twice."""
    if not task.texts or len(set(task.texts)) < len(task.texts):
        raise TaskError(
            f"{task.name} must hold each different text once; it holds {len(task.texts)} texts, "
            f"{len(set(task.texts))} of them different. Drop the repeats and let several positions name one text."
        )


def check_positions(task: Named, positions: Iterable[int]) -> None:
    """Refuse a position that names no text."""
    check_indices(task, positions, len(task.texts), "texts")


def check_indices(task: Named, indices: Iterable[int], n: int, items: str) -> None:
    """Refuse an index outside the `n` there are; `items` names them, as in `labelled items`."""
    outside = [index for index in indices if not 0 <= index < n]
    if outside:
        raise TaskError(f"{task.name} has {n} {items}, with the indices 0..{n - 1}; {outside[0]} is out of range.")


def check_lengths(task: Named, fields: Mapping[str, Collection[object]]) -> None:
    """Refuse fields of different lengths, and empty ones."""
    lengths = {field: len(values) for field, values in fields.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise TaskError(f"{task.name} needs these fields to be of one length above 0; found {lengths!r}.")


def check_labels(task: Named, labels: Collection[str | int]) -> None:
    """Refuse fewer than two labels."""
    if len(set(labels)) < 2:  # noqa: PLR2004
        raise TaskError(f"{task.name} needs two labels or more; found {sorted(set(labels))!r}.")


def check_limit(task: Named, n: int, least: int) -> None:
    """Refuse to cut a task below what makes it one."""
    if n < least:
        raise TaskError(f"{task.name} cannot be cut to {n} texts and stay a task. Ask for {least} or more.")


# --- cutting down -----------------------------------------------------------------------------------------------------


def renumbered(texts: tuple[str, ...], positions: Iterable[int]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return the kept texts in their old order, and the new position of each old one, in the same order."""
    order = sorted(positions)
    return tuple(texts[position] for position in order), {old: new for new, old in enumerate(order)}


def pairs_within(
    task: Named, n: int, first: Sequence[int], second: Sequence[int], marks: Sequence[object]
) -> tuple[list[int], set[int]]:
    """Return the first pairs that fit into `n` texts, and those texts; TaskError if not even two fit.

    The two are the first pair and the first that is marked differently: without them there is nothing to tell apart.
    """
    other = next(index for index, mark in enumerate(marks) if mark != marks[0])
    positions = {first[0], second[0], first[other], second[other]}
    check_limit(task, n, len(positions))
    for a, b in zip(first, second, strict=True):
        if len(positions | {a, b}) <= n:
            positions |= {a, b}
    pairs = enumerate(zip(first, second, strict=True))
    return [index for index, pair in pairs if positions.issuperset(pair)], positions


def by_label(items: Iterable[int], labels: Sequence[str | int]) -> dict[str | int, list[int]]:
    """Group the items by label; labels come in the order in which they first appear."""
    groups: dict[str | int, list[int]] = {}
    for item in items:
        groups.setdefault(labels[item], []).append(item)
    return groups


def in_turn(rows: Sequence[Sequence[T]]) -> list[T]:
    """Take one of each row, then another of each, until every row has run out."""
    longest = max(map(len, rows), default=0)
    return [row[turn] for turn in range(longest) for row in rows if turn < len(row)]


def first_fitting(items: Iterable[int], texts: Sequence[int], n: int) -> list[int]:
    """Return the first items whose texts are together `n` at most; an item of a text that is in already fits."""
    positions: set[int] = set()
    fitting = []
    for item in items:
        if len(positions | {texts[item]}) <= n:
            positions.add(texts[item])
            fitting.append(item)
    return fitting
