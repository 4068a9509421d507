"""A result: a tidy table, one row a number, and where the numbers come from, in files that any program reads.

What the numbers were computed from (a rank a document, a score a query) is kept beside them as further tables, so that
another interval or another test needs no model and no store.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from valens.errors import ResultError
from valens.files.atomic import remove, rename, writable_folder, write_json, written
from valens.results import display
from valens.results.tables import PROVENANCE, REPORT, TABLE, file_of, parquet, read_json_object, read_table, sha256_of

CLASSES = {
    "layer-sweep": "LayerSweepResult",
    "segment-matching": "SegmentMatchingResult",
    "next-token": "NextTokenResult",
    "logit-lens": "LogitLensResult",
}
"""Which class of `valens.probes` a kind of result is read as; any other kind is a plain Result."""

Found = TypeVar("Found", bound="Result")


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a probe found. `table` has one row a number; `provenance` says how it was made.

    `details` are further tables by name, as `ranks`: what the numbers were computed from. A probe's own result is a class
    of its own, which knows its figures and how to compare; one of another kind has its tables.
    """

    kind: str
    """Which probe made it: `layer-sweep`."""
    table: pd.DataFrame
    provenance: Mapping[str, Any]
    details: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The summary in plain text, no line longer than 96 letters."""
        return display.plain(self._title, self.summary())

    def _repr_html_(self) -> str:
        """The summary as a table for a notebook."""
        return display.html(self._title, self.summary())

    @property
    def _title(self) -> str:
        name = type(self).__name__
        return f"{name} ({self.kind})" if type(self) is Result else name

    def summary(self) -> dict[str, str]:
        """What to know first, by name: model, texts, representations and layers, what was found, and when."""
        rows = f"table ({len(self.table):,} rows)"
        tables = ", ".join([rows, *(f"{name} ({len(self.details[name]):,})" for name in sorted(self.details))])
        found = display.basics(self.table, self.provenance) | self.findings()
        return found | {"tables": tables} | display.origin(self.provenance)

    def findings(self) -> dict[str, str]:
        """What was found, in a line or two for each name; nothing where the kind has no summary."""
        return {}

    def to_pandas(self) -> pd.DataFrame:
        """A copy of the table."""
        return self.table.copy()

    def detail(self, name: str) -> pd.DataFrame:
        """One of the further tables; ResultError if this result has none of that name."""
        if name not in self.details:
            there = ", ".join(self.details) or "no further tables"
            raise ResultError(
                f"This result of {self.kind} has no table {name!r}; it has {there}. If an earlier valens stored it, run the "
                "probe again: what the store has is not read again."
            )
        return self.details[name]

    def plot(self) -> Any:
        """The main figure, as a matplotlib figure; ResultError for a kind that has none."""
        raise ResultError(
            f"A result of kind {self.kind!r} has no figure of its own. Draw its .table, or its .details: "
            f"{', '.join(self.details) or 'none'}."
        )

    def compare(self, first: str, second: str) -> pd.DataFrame:
        """How far the first representation is ahead of the second, paired; ResultError for a kind that cannot say."""
        raise ResultError(
            f"A result of kind {self.kind!r} does not know what pairs {first!r} and {second!r}. Take the scores of the same "
            "units from .table or .details, and give them to valens.statistics.compare_paired."
        )

    def extra_files(self) -> tuple[str, ...]:
        """The names of further files that `save` makes from the tables: figures and documents."""
        return ()

    def save(self, folder: str | Path) -> Path:
        """Write `scores.parquet`, a file a detail, and last `provenance.json` into a folder, made if need be.

        ResultError if that cannot be done. Nothing else in the folder is touched. A result that is there already stays
        whole until all of the new one is written; while the files change places the folder has no `provenance.json`.
        Figures and documents made from the tables come after that; old ones of their names, and a report, are gone by then.
        """
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
        return out

    @classmethod
    def read(cls: type[Found], folder: str | Path) -> Found:
        """What `save` wrote; ResultError if the folder has no result, or one of another class."""
        found = read_result(folder)
        if isinstance(found, cls):
            return found
        raise ResultError(f"{folder} holds a result of {found.kind}, not a {cls.__name__}. Use valens.read_result.")


def read_result(folder: str | Path) -> Result:
    """Read what `Result.save` wrote, as the class of its kind.

    Neither a model nor what models need is loaded for it. ResultError if the folder has no result, or a table of another
    one.
    """
    where = Path(folder)
    try:
        where = where.expanduser()
        facts = read_json_object(where / PROVENANCE)
        sums = facts.pop("files", None)  # older results have none
        details = {name: read_table(where / file_of(name), sums) for name in facts.pop("details", ())}
        kind = str(facts.pop("kind"))
        table = read_table(where / TABLE, sums)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ResultError(
            f"{where} has no result that can be read ({error}). A result is a folder with {TABLE} and {PROVENANCE}, "
            "as a probe's --out leaves it."
        ) from error
    return _class_of(kind)(kind, table, facts, details)


def _class_of(kind: str) -> type[Result]:
    if kind not in CLASSES:
        return Result
    found: type[Result] = getattr(importlib.import_module("valens.probes"), CLASSES[kind])
    return found
