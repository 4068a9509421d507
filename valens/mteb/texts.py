"""What the converters share: different texts collected once, and columns that must be there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from valens.errors import TaskDataError, TaskError


class Texts:
    """Different texts in the order in which they first came."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._places: dict[str, int] = {}

    def places(self, texts: Iterable[str]) -> tuple[int, ...]:
        """Where each of these is among the different texts; TaskDataError for an empty one, which no model can read."""
        asked = list(texts)
        if not all(map(str.strip, asked)):
            raise TaskDataError(f"{self._task} has an empty text, and a decoder has nothing to read in it.")
        return tuple(self._places.setdefault(text, len(self._places)) for text in asked)

    @property
    def all(self) -> tuple[str, ...]:
        """The different texts."""
        return tuple(self._places)


def require(task: str, part: str, table: Any, *columns: str) -> None:
    """Refuse a table of the data library's that lacks a column."""
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise TaskError(
            f"{task}: its {part} has no column {' and no column '.join(map(repr, missing))}; the columns are "
            f"{', '.join(map(repr, table.column_names))}. mteb needs {', '.join(map(repr, columns))}."
        )
