"""Files that are whole or not there: written beside their place under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from valens.errors import ResultError
from valens.files.strict_json import to_json


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
        raise ResultError(f"{path} cannot be written to ({reason_of(error)}). Choose another --out.") from error
    return path


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file, then rename it to `path`, so that no reader meets half of it."""
    with written(path, write) as temporary:
        rename(temporary, path)


@contextlib.contextmanager
def written(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """Write a temporary file beside `path`, on its disk, to be renamed; it is removed if it is not."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        with naming_file(path):
            write(temporary)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file if it is there; ResultError where the machine refuses."""
    with naming_file(path):
        path.unlink(missing_ok=True)


def rename(temporary: Path, path: Path) -> None:
    """Move a written file to its name; ResultError where the machine refuses."""
    with naming_file(path):
        temporary.replace(path)


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Turn the machine's refusal into a ResultError that names the file."""
    try:
        yield
    except OSError as error:
        raise ResultError(
            f"{path} cannot be written ({reason_of(error)}). Free space or choose another --out."
        ) from error


def reason_of(error: Exception) -> str:
    """Return the first line of the reason that the machine gave."""
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, in UTF-8."""
    path.write_text(to_json(value) + "\n", encoding="utf-8")
