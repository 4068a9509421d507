"""How a task of mteb's is named on a command line."""

from __future__ import annotations

from dataclasses import dataclass

from valens.errors import TaskError


@dataclass(frozen=True)
class Reference:
    """A task by its name, and which part of it is meant: `NAME`, `NAME@split`, `NAME/subset` or `NAME/subset@split`."""

    name: str
    subset: str | None = None
    """A language, or what else a task is made of; None where there is but one."""
    split: str | None = None
    """None: the split that mteb scores."""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as it is written; TaskError for what is not a valid name."""
        rest, at, split = text.strip().partition("@")
        name, slash, subset = rest.partition("/")
        if not name or (at and not split) or (slash and not subset):
            raise TaskError(f"A task of MTEB is written NAME, NAME@split or NAME/subset@split; got {text!r}.")
        return cls(name, subset or None, split or None)

    def __str__(self) -> str:
        """Write the name as it is read; what was left open stays open."""
        subset = f"/{self.subset}" if self.subset else ""
        return f"{self.name}{subset}@{self.split}" if self.split else f"{self.name}{subset}"
