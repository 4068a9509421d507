"""A result: a tidy table, one row a number, and where the numbers come from, in files that any program reads.

What the numbers were computed from (a rank a document, a score a query) is kept beside them as further tables, so that
another interval or another test needs no model and no store.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
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

        ResultError if that cannot be done. Nothing else in the folder is touched. A result that is there already stays
        whole until all of the new one is written; while the files change places the folder has no `provenance.json`.
        """
        out = writable_folder(folder)
        tables = {TABLE: self.table} | {_file_of(name): table for name, table in self.details.items()}
        with contextlib.ExitStack() as written:
            ready = {
                name: written.enter_context(_written(out / name, _parquet(table))) for name, table in tables.items()
            }
            facts = {"kind": self.kind} | dict(self.provenance) | {"details": sorted(self.details)}
            facts["files"] = {name: _sha256(temporary.read_bytes()) for name, temporary in ready.items()}
            last = written.enter_context(_written(out / PROVENANCE, lambda path: write_json(path, facts)))
            with _naming(out / PROVENANCE):
                (out / PROVENANCE).unlink(missing_ok=True)
            for name, temporary in {**ready, PROVENANCE: last}.items():
                _rename(temporary, out / name)
        return out


def read_result(folder: str | Path) -> Result:
    """Read what `Result.save` wrote; ResultError if the folder has no result, or a table of another one."""
    where = Path(folder)
    try:
        where = where.expanduser()
        facts = _json_object(where / PROVENANCE)
        sums = facts.pop("files", None)  # older results have none
        details = {name: _table(where / _file_of(name), sums) for name in facts.pop("details", ())}
        return Result(facts.pop("kind"), _table(where / TABLE, sums), facts, details)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ResultError(
            f"{where} has no result that can be read ({error}). A result is a folder with {TABLE} and {PROVENANCE}, "
            "as a probe's --out leaves it."
        ) from error


def _json_object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict):
        return value
    raise ValueError(f"{path.name} is no JSON object")


def _table(path: Path, sums: Mapping[str, str] | None) -> pd.DataFrame:
    """The table in a file whose bytes have the sum that the provenance notes, if it notes any."""
    content = path.read_bytes()
    if sums is not None and sums.get(path.name) != _sha256(content):
        raise ResultError(
            f"{path} was changed or belongs to another result: its SHA-256 is not the one in {PROVENANCE}. Fetch the "
            "folder again, or run the probe again."
        )
    return pd.read_parquet(io.BytesIO(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file_of(detail: str) -> str:
    return f"{detail}.parquet"


def _parquet(table: pd.DataFrame) -> Callable[[Path], None]:
    return lambda path: table.to_parquet(path, index=False)


def writable_folder(folder: str | Path) -> Path:
    """Make a folder if need be, and see that it can be written to, before anything costly is done for it."""
    path = Path(folder)
    try:
        path = path.expanduser()
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{uuid.uuid4().hex}.tmp"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody has no home
        raise ResultError(f"{path} cannot be written to ({_reason(error)}). Choose another --out.") from error
    return path


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file, then rename it to `path`, so that no reader meets half of it."""
    with _written(path, write) as temporary:
        _rename(temporary, path)


@contextlib.contextmanager
def _written(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """What `write` makes, beside `path` and on its disk, to be renamed; what is not is removed."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        with _naming(path):
            write(temporary)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _rename(temporary: Path, path: Path) -> None:
    with _naming(path):
        temporary.replace(path)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of what the machine refuses which file it was to be."""
    try:
        yield
    except OSError as error:
        raise ResultError(
            f"{path} cannot be written ({_reason(error)}). Free space or choose another --out."
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, in UTF-8."""
    path.write_text(to_json(value) + "\n", encoding="utf-8")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values; None for what is missing or NaN."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in table.astype(object).to_dict(orient="records")
    ]
