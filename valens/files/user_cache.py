"""The user's cache: what was worked out once and would be the same again, kept beside no project and lost at no cost.

An entry that is damaged, or of another format, is none; a cache that cannot be read or written is done without.
"""

from __future__ import annotations

import contextlib
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

FORMAT = 1
"""Goes up when what is in an entry changes its meaning."""

PARTS = ("models", "scores", "sources", "texts")
"""What is in the folder, beside its tag."""

_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/: backups pass over the folder
_TAGGED = f"{_SIGNATURE}\n# The cache of valens. `valens models --clear-cache` removes it.\n"


def cache_folder() -> Path | None:
    """Return the folder, which may not exist yet: `$VALENS_CACHE`, or `valens` in the user's cache folder; None if off."""
    named = os.environ.get(ENVIRONMENT, "")
    if named.lower() == "off":
        return None
    place = named or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "valens")  # noqa: PTH118
    path = Path(os.path.expanduser(place))  # noqa: PTH111 - leaves an unknown user as it is, and does not raise
    return None if str(path).startswith("~") else path


def place(part: str, name: str) -> Path | None:
    """Return where something is kept; None where there is no cache."""
    folder = cache_folder()
    return None if folder is None else folder / part / name


def read_entry(path: Path | None) -> dict[str, Any] | None:
    """Return an entry that `write_entry` wrote in this format, whole and as it was written; else None."""
    try:
        entry = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        value = entry["value"]
        whole = entry["format"] == FORMAT and entry["sha256"] == digest(value) and isinstance(value, dict)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return value if whole else None


def write_entry(path: Path | None, value: dict[str, Any]) -> None:
    """Keep a JSON-able value with its digest; where the machine refuses, nothing is kept."""
    write_content(path, (to_json({"format": FORMAT, "value": value, "sha256": digest(value)}) + "\n").encode())


def write_content(path: Path | None, content: bytes) -> None:
    """Keep a file whole; where the machine refuses, nothing is kept."""
    if path is not None:
        with contextlib.suppress(OSError):
            begin()
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.sweep_temporaries(path.parent)
            atomic.write_bytes(path, content)


def begin() -> None:
    """Make the folder and tag it as a cache of ours; OSError where the machine refuses."""
    folder = cache_folder()
    if folder is not None and not (folder / _TAG).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(folder / _TAG, _TAGGED.encode())


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
    """Return the bytes of all files below a folder that can be looked at; 0 if there is none."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def clear(folder: Path) -> None:
    """Remove the cache; ResultError for a folder that is not tagged as one of ours, or where the machine refuses."""
    try:
        if not folder.exists():
            return
        tag = folder / _TAG
        if not (tag.is_file() and tag.read_text(encoding="utf-8") == _TAGGED):
            raise ResultError(f"{folder} has no {_TAG} of valens, so it is not taken for its cache. Remove it by hand.")
        for part in PARTS:
            shutil.rmtree(folder / part, ignore_errors=not (folder / part).exists())
        tag.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{folder} cannot be removed ({atomic.reason_of(error)}).") from error
