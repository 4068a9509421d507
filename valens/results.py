"""A result: a tidy table, one row a number, and where the numbers come from, in files that any program reads.

What the numbers were computed from (a rank a document, a score a query) is kept beside them as further tables, so that
another interval or another test needs no model and no store.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from valens.errors import ResultError
from valens.strict_json import to_json

TABLE = "scores.parquet"
PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Result:
    """What a probe found. `table` has one row a number; `provenance` says how it was made.

    `details` are further tables by name, as `ranks`: what the numbers were computed from.
    """

    kind: str
    """Which probe made it: `layer-sweep`."""
    table: pd.DataFrame = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)
    details: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    def to_pandas(self) -> pd.DataFrame:
        """A copy of the table."""
        return self.table.copy()

    def save(self, folder: str | Path) -> Path:
        """Write `scores.parquet`, a file a detail, and last `provenance.json` into a folder, made if need be.

        ResultError if that cannot be done. Nothing else in the folder is touched.
        """
        out = writable_folder(folder)
        facts = {"kind": self.kind} | dict(self.provenance) | {"details": sorted(self.details)}
        for name, table in {
            TABLE: self.table,
            **{_file_of(name): table for name, table in self.details.items()},
        }.items():
            replace(out / name, _parquet(table))
        replace(out / PROVENANCE, lambda path: write_json(path, facts))
        return out


def read_result(folder: str | Path) -> Result:
    """Read what `Result.save` wrote; ResultError if the folder has no result."""
    where = Path(folder).expanduser()
    try:
        facts = json.loads((where / PROVENANCE).read_text(encoding="utf-8"))
        details = {name: pd.read_parquet(where / _file_of(name)) for name in facts.pop("details", ())}
        return Result(facts.pop("kind"), pd.read_parquet(where / TABLE), facts, details)
    except (OSError, ValueError, KeyError) as error:
        raise ResultError(
            f"{where} has no result that can be read ({error}). A result is a folder with {TABLE} and {PROVENANCE}, "
            "as a probe's --out leaves it."
        ) from error


def _file_of(detail: str) -> str:
    return f"{detail}.parquet"


def _parquet(table: pd.DataFrame) -> Callable[[Path], None]:
    return lambda path: table.to_parquet(path, index=False)


def writable_folder(folder: str | Path) -> Path:
    """Make a folder if need be, and see that it can be written to, before anything costly is done for it."""
    path = Path(folder).expanduser()
    probe = path / f".{uuid.uuid4().hex}.tmp"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResultError(f"{path} cannot be written to ({error.strerror}). Choose another --out.") from error
    return path


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file, then rename it to `path`, so that no reader meets half of it."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise ResultError(
            f"{path} cannot be written ({error.strerror}). Free space or choose another --out."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, in UTF-8."""
    path.write_text(to_json(value) + "\n", encoding="utf-8")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values; None for what is missing or NaN."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in table.astype(object).to_dict(orient="records")
    ]
