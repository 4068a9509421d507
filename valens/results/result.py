"""A result: a tidy table, one row a number, and where the numbers come from, in files that any program reads.

What the numbers were computed from (a rank a document, a score a query) is kept beside them as further tables, so that
another interval or another test needs no model and no store.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pandas as pd

from valens.errors import ResultError
from valens.files.atomic import remove, rename, writable_folder, write_json, written
from valens.results import display, kinds
from valens.results.section import Figures, Section, pictures_of
from valens.results.tables import (
    PROVENANCE,
    REPORT,
    TABLE,
    file_of,
    parquet,
    read_json_object,
    read_table,
    records,
    sha256_of,
)
from valens.results.views import view

Read = TypeVar("Read", bound="Result")

_DETAIL = re.compile(r"[\w-]+")
"""The names of further tables, which are names of files."""

_OPEN, _MOST = 100, 2000
"""Tables with more rows are folded, and left to their files, in the section of a kind that has none of its own."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a probe found. `table` has one row a number; `provenance` says how it was made.

    `details` are further tables by name, as `ranks`: what the numbers were computed from. The result of a probe is a
    subclass that names its kind, `class Spread(Result, kind="spread")`, and knows its figures, its section and how to
    compare; `valens.read_result` gives that class back. A result of another kind has its tables.
    """

    kind: str
    """Which probe made it: `layer-sweep`."""
    table: pd.DataFrame
    provenance: Mapping[str, Any]
    details: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def _check_names(self) -> None:
        """Raise ResultError for a detail or a fact whose name the files need for themselves."""
        taken = [name for name in self.details if not _DETAIL.fullmatch(name) or file_of(name) == TABLE]
        if taken:
            raise ResultError(
                f"A further table cannot be called {taken[0]!r}: it is a file beside {TABLE}. Use letters, digits, - and _."
            )
        reserved = sorted({"kind", "details", "files"} & set(self.provenance))
        if reserved:
            raise ResultError(
                f"Provenance cannot have a fact {reserved[0]!r}: a result's file says that itself. Rename it."
            )

    CLASSES: ClassVar[dict[str, type[Result]]] = {}
    """The subclasses that are known, by the kind that they named."""

    def __init_subclass__(cls, *, kind: str | None = None, **rest: Any) -> None:
        """Register a class as that of its kind. ResultError if a shipped probe or a class of another name has it."""
        super().__init_subclass__(**rest)
        if kind is None:
            return
        holder, module = Result.CLASSES.get(kind, cls), kinds.module_of(kind)
        for claimant in (cls, holder):
            if module not in {None, claimant.__module__}:
                raise ResultError(
                    f"Results of kind {kind!r} are those of a probe of valens. Name another kind for "
                    f"{claimant.__qualname__}."
                )
        if holder.__qualname__ != cls.__qualname__:  # of the same name: a cell of a notebook was run again
            raise ResultError(
                f"Results of kind {kind!r} are read as {holder.__qualname__} already. Name another kind for "
                f"{cls.__qualname__}."
            )
        Result.CLASSES[kind] = cls

    def __repr__(self) -> str:
        """Return the summary in plain text, no line longer than 96 letters."""
        return display.plain(self._title, self.summary())

    def _repr_html_(self) -> str:
        """Return the summary as a table for a notebook."""
        return display.html(self._title, self.summary())

    @property
    def _title(self) -> str:
        name = type(self).__name__
        return f"{name} ({self.kind})" if type(self) is Result else name

    def summary(self) -> dict[str, str]:
        """Return what to know first, by name: model, texts, representations and layers, what was found, and when."""
        rows = f"table ({len(self.table):,} rows)"
        tables = ", ".join([rows, *(f"{name} ({len(self.details[name]):,})" for name in sorted(self.details))])
        headlines = display.basics(self.table, self.provenance) | self.headlines()
        return headlines | {"tables": tables} | display.origin(self.provenance)

    def headlines(self) -> dict[str, str]:
        """Return what was found, in a line or two for each name; nothing where the kind has no summary."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Return what makes the numbers doubtful, a sentence each; empty where all is well, and in older results."""
        return tuple(self.provenance.get("notes", ()))

    def section(self) -> Section:
        """Return what a terminal and a page say of it; of a kind that says nothing of its own, its tables and figures."""
        tables = tuple(
            view(table, name.capitalize(), folded=len(table) > _OPEN, filtered=True)
            for name, table in {"scores": self.table, **self.details}.items()
            if len(table) <= _MOST
        )
        pictures = pictures_of(
            self.figures(), {name: f"The figure {name} of this {self.kind}." for name in self.figures()}
        )
        return Section(self.kind.replace("-", " ").capitalize(), pictures=pictures, tables=tables)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values: scores, what was found, provenance; a kind adds what else it knows."""
        return {"kind": self.kind, "scores": records(self.table), "provenance": dict(self.provenance)}

    def to_pandas(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def detail(self, name: str) -> pd.DataFrame:
        """One of the further tables; ResultError if this result has none of that name."""
        if name not in self.details:
            names = ", ".join(self.details) or "no further tables"
            raise ResultError(
                f"This result of {self.kind} has no table {name!r}; it has {names}. If an earlier valens stored it, run the "
                "probe again: what the store has is not read again."
            )
        return self.details[name]

    def figures(self) -> Figures:
        """Return what draws each figure, by the name that its files have, from the tables alone; the main one first."""
        return {}

    def plot(self) -> Any:
        """Return the main figure, as a matplotlib figure; ResultError for a kind that has none."""
        for draw in self.figures().values():
            return draw()
        raise ResultError(
            f"A result of kind {self.kind!r} has no figure of its own. Draw its .table, or its .details "
            f"({', '.join(self.details) or 'none'}): valens.plotting.by_layer(result.table) draws scores by layer."
        )

    def compare(self, first: str, second: str) -> pd.DataFrame:
        """Return how far the first representation is ahead of the second, paired; ResultError for a kind that cannot say."""
        raise ResultError(
            f"A result of kind {self.kind!r} does not know what pairs {first!r} and {second!r}. Take the scores of the same "
            "units from .table or .details, and give them to valens.statistics.compare_paired."
        )

    def extra_files(self) -> tuple[str, ...]:
        """Return the names of the further files that `save` makes from the tables: figures and documents."""
        return tuple(f"{name}.{suffix}" for name in self.figures() for suffix in ("pdf", "png"))

    def save(self, folder: str | Path) -> Path:
        """Write `scores.parquet`, a file a detail, `provenance.json`, and then each figure as PDF and PNG into a folder.

        The folder is made if need be; ResultError if something cannot be written. Nothing else in it is touched. A result
        that is there already stays whole until all of the new one is written; while the files change places the folder has
        no `provenance.json`. Old figures and documents made from the tables, and a report, are gone by then.
        """
        self._check_names()
        out = writable_folder(folder)
        tables = {TABLE: self.table} | {file_of(name): table for name, table in self.details.items()}
        with contextlib.ExitStack() as files:
            ready = {name: files.enter_context(written(out / name, parquet(table))) for name, table in tables.items()}
            facts = {"kind": self.kind} | dict(self.provenance) | {"details": sorted(self.details)}
            facts["files"] = {name: sha256_of(temporary.read_bytes()) for name, temporary in ready.items()}
            last = files.enter_context(written(out / PROVENANCE, lambda path: write_json(path, facts)))
            for name in (PROVENANCE, REPORT, *self.extra_files()):
                remove(out / name)
            for name, temporary in {**ready, PROVENANCE: last}.items():
                rename(temporary, out / name)
        self._draw(out)
        return out

    def _draw(self, out: Path) -> None:
        from valens.plotting.style import save_figure

        for name, draw in self.figures().items():
            save_figure(draw(), out, name)

    @classmethod
    def read(cls: type[Read], folder: str | Path) -> Read:
        """Read what `save` wrote; ResultError if the folder has no result, or one of another class."""
        result = read_folder(folder)
        if isinstance(result, cls):
            return result
        raise ResultError(f"{folder} holds a result of {result.kind}, not a {cls.__name__}. Use valens.read_result.")


def class_of(kind: str) -> type[Result]:
    """Return the class that a kind of result is read as: the one that named it, or Result."""
    return Result.CLASSES.get(kind, Result)


def read_folder(folder: str | Path, *, class_of: Callable[[str], type[Result]] = class_of) -> Result:
    """Read what `Result.save` wrote, as the class of its kind.

    Neither a model nor what models need is loaded for it. ResultError if the folder has no result, or a table of another
    one.
    """
    path = Path(folder)
    try:
        path = path.expanduser()
        facts = read_json_object(path / PROVENANCE)
        sums, names = facts.pop("files", None), facts.pop("details", [])  # older results have no sums
        if not (isinstance(names, list) and all(isinstance(name, str) and _DETAIL.fullmatch(name) for name in names)):
            raise ValueError(f"the details in {PROVENANCE} are not names of tables")
        if not (sums is None or isinstance(sums, dict)):
            raise ValueError(f"the files in {PROVENANCE} are not names with their sums")
        details = {name: read_table(path / file_of(name), sums) for name in names}
        kind = str(facts.pop("kind"))
        table = read_table(path / TABLE, sums)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ResultError(
            f"{path} has no result that can be read ({error}). A result is a folder with {TABLE} and {PROVENANCE}, "
            "as a probe's --out leaves it."
        ) from error
    return class_of(kind)(kind, table, facts, details)
