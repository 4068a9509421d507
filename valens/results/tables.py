"""The files of a result: its tables as Parquet, each with the sum of its bytes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from valens.errors import ResultError

TABLE = "scores.parquet"
PROVENANCE = "provenance.json"
REPORT = "report.html"
"""The page about a folder's result that `valens report` writes: about this result, and gone when another takes its place."""


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object; ValueError if it holds another value."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict):
        return value
    raise ValueError(f"{path.name} is no JSON object")


def read_table(path: Path, sums: Mapping[str, str] | None) -> pd.DataFrame:
    """Return the table in a file whose bytes have the sum that the provenance notes, if it notes any."""
    content = path.read_bytes()
    if sums is not None and sums.get(path.name) != sha256_of(content):
        raise ResultError(
            f"{path} was changed or belongs to another result: its SHA-256 is not the one in {PROVENANCE}. Fetch the "
            "folder again, or run the probe again."
        )
    return pd.read_parquet(io.BytesIO(content))


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_of(detail: str) -> str:
    """Return the name of the file that holds a table of details."""
    return f"{detail}.parquet"


def parquet(table: pd.DataFrame) -> Callable[[Path], None]:
    """Return what writes a table to a path."""
    return lambda path: table.to_parquet(path, index=False)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows as plain values; None for what is missing or NaN."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in table.astype(object).to_dict(orient="records")
    ]
