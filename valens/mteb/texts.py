"""What the converters share: different texts collected once, and tables that must have rows, columns and texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from valens.errors import TaskDataError, TaskError


class Texts:
    """Different texts in the order in which they first came."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._indices: dict[str, int] = {}

    def indices(self, texts: Iterable[object], part: str, *, ids: Iterable[object] | None = None) -> tuple[int, ...]:
        """Return the index of each text among the different ones; TaskDataError as of `readable`."""
        asked = readable(self._task, list(texts), part, ids=ids)
        return tuple(self._indices.setdefault(text, len(self._indices)) for text in asked)

    @property
    def all(self) -> tuple[str, ...]:
        """The different texts."""
        return tuple(self._indices)


def readable(task: str, texts: Sequence[object], part: str, *, ids: Iterable[object] | None = None) -> list[str]:
    """Return the texts; TaskDataError if one is not text, or is empty, so that a model has nothing to read.

    `part` says where they stand, as `'sentence1'`, or what they are, as `document`, where each is known by one of `ids`.
    """
    strings = are_texts(task, texts, part, ids=ids)
    empty = [row for row, text in enumerate(strings) if not text.strip()]
    if empty:
        raise TaskDataError(
            f"{task}: {_named(empty[0], part, ids)} is an empty text, and a decoder has nothing to read in it. In all "
            f"{len(empty):,} of {len(strings):,}."
        )
    return strings


def are_texts(task: str, texts: Sequence[object], part: str, *, ids: Iterable[object] | None = None) -> list[str]:
    """Return the texts as strings; TaskDataError if one is not text."""
    others = [row for row, text in enumerate(texts) if not isinstance(text, str)]
    if others:
        raise TaskDataError(
            f"{task}: {_named(others[0], part, ids)} is not text ({texts[others[0]]!r:.40}). In all "
            f"{len(others):,} of {len(texts):,}."
        )
    return [str(text) for text in texts]


def _named(row: int, part: str, ids: Iterable[object] | None) -> str:
    return f"row {row} (from 0) of {part}" if ids is None else f"{part} {list(ids)[row]!r}"


def with_labels(task: str, labels: Sequence[Any], column: str) -> list[Any]:
    """Return the labels; TaskError if one is missing."""
    missing = [row for row, label in enumerate(labels) if label is None]
    if missing:
        raise TaskError(
            f"{task}: row {missing[0]} (from 0) has no {column!r}. In all {len(missing):,} of {len(labels):,}. "
            "Leave them out of the data."
        )
    return list(labels)


def require(task: str, part: str, table: Any, *columns: str) -> None:
    """Refuse a table of the data library's that lacks a column (TaskError) or has no rows (TaskDataError)."""
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise TaskError(
            f"{task}: its {part} has no column {' and no column '.join(map(repr, missing))}; the columns are "
            f"{', '.join(map(repr, table.column_names))}. mteb needs {', '.join(map(repr, columns))}."
        )
    if not len(table):
        raise TaskDataError(f"{task}: its {part} holds no rows.")
