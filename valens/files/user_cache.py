"""The user's cache: what was worked out once and would be the same again, kept beside no project and lost at no cost.

An entry that is damaged, or that another version wrote, is none; a cache that cannot be written is done without.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from valens.errors import ResultError
from valens.files import atomic
from valens.files.digests import digest
from valens.files.strict_json import to_json

ENVIRONMENT = "VALENS_CACHE"
"""The environment variable that names another folder; `off` is for no cache at all."""

PARTS = {"models", "scores", "sources", "texts"}
"""What is in the folder."""


def cache_folder() -> Path | None:
    """Return the folder, which may not exist yet: `$VALENS_CACHE`, or `valens` in the user's cache folder; None if off."""
    named = os.environ.get(ENVIRONMENT, "")
    if named.lower() == "off":
        return None
    if named:
        return Path(named).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "valens"
    except RuntimeError:  # nobody's home
        return None


def read_entry(path: Path) -> dict[str, Any] | None:
    """Return an entry that `write_entry` wrote, whole and as it was written; else None."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    intact = (
        isinstance(entry, dict) and entry.keys() == {"value", "sha256"} and entry["sha256"] == digest(entry["value"])
    )
    return entry["value"] if intact and isinstance(entry["value"], dict) else None


def write_entry(path: Path, value: dict[str, Any]) -> bool:
    """Keep a JSON-able value with its digest, whole or not at all; False where the machine refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.sweep_temporaries(path.parent)
        atomic.write_bytes(path, (to_json({"value": value, "sha256": digest(value)}) + "\n").encode())
    except OSError:
        return False
    return True


def code_hash(*modules: str) -> str:
    """Return the sha256 of the source files of modules and packages, by their names.

    What other code worked out is worked out anew.
    """
    named = [Path(str(sys.modules[module].__file__)) for module in modules]
    files = [
        file for path in named for file in (sorted(path.parent.glob("*.py")) if path.stem == "__init__" else [path])
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def clear(folder: Path) -> None:
    """Remove the cache; ResultError where the machine refuses, or for a folder with what no cache of ours has."""
    foreign = sorted({path.name for path in folder.iterdir()} - PARTS) if folder.is_dir() else []
    if foreign:
        raise ResultError(
            f"{folder} has {foreign[0]}, which is no part of a cache. Remove by hand what you do not need."
        )
    try:
        shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None
    except OSError as error:
        raise ResultError(f"{folder} cannot be removed ({atomic.reason_of(error)}).") from error
