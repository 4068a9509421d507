"""Files that are whole or not there: written beside their place under a temporary name, synced, then renamed.

A temporary name begins with a dot and ends in `.tmp`, so that no pattern for data matches it, and it says which process of
which machine writes there, so that what a killed writer left can be told from what is being written, and removed. Containers
may share the name of a machine and not its processes, so a machine is known by its start and its space of processes too.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from valens.errors import ResultError
from valens.files.strict_json import to_json

TEMPORARY = ".*.tmp"
"""A pattern for the names of files that are being written."""

_WRITER = re.compile(r"\.(.+)-(\d{1,9})-[0-9a-f]{32}\.tmp")
"""The machine and the process of a file that is being written, in its name."""

_STALE_SECONDS = 24 * 3600


@cache
def machine() -> str:
    """Return the name of this machine, with a hash of its start and of the space of processes that a pid is of."""
    known = [Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")]  # on Linux; elsewhere the name alone
    try:
        here = known[0].read_text(encoding="ascii") + str(known[1].readlink())
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}-{sha256(here.encode()).hexdigest()[:8]}"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; OSError where the machine refuses."""
    with _temporary(path) as temporary:
        with temporary.open("xb") as file:
            file.write(content)
        _sync(temporary)
        temporary.replace(path)


def make_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` make what is in a folder that is whole or not there, and remove what killed writers left beside it.

    OSError where the machine refuses, and where the folder is there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_temporaries(folder.parent)
    with _temporary(folder) as temporary:
        temporary.mkdir()
        fill(temporary)
        temporary.rename(folder)


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file whole or not at all, and remove what killed writers left beside it.

    `write` is given a temporary name without the file's suffix. ResultError where the machine refuses.
    """
    sweep_temporaries(path.parent)
    with written(path, write) as temporary:
        rename(temporary, path)


@contextlib.contextmanager
def written(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """Write a temporary file beside `path`, on its disk, to be renamed; it is removed if it is not."""
    with _temporary(path) as temporary:
        with naming_file(path):
            write(temporary)
            _sync(temporary)
        yield temporary


def rename(temporary: Path, path: Path) -> None:
    """Move a written file to its name; ResultError where the machine refuses."""
    with naming_file(path):
        temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file if it is there; ResultError where the machine refuses."""
    with naming_file(path):
        path.unlink(missing_ok=True)


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


def writable_folder(folder: str | Path) -> Path:
    """Make a folder if need be, and see that it can be written to, before anything costly is done for it.

    What killed writers left in it is removed.
    """
    path = Path(folder)
    try:
        path = path.expanduser()
        path.mkdir(parents=True, exist_ok=True)
        with _temporary(path / "any") as temporary:
            temporary.touch()
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody has no home
        raise ResultError(f"{path} cannot be written to ({reason_of(error)}). Choose another --out.") from error
    sweep_temporaries(path)
    return path


@contextlib.contextmanager
def writable_folder_for(folder: Path) -> Iterator[Path]:
    """Make a folder as `writable_folder` does, and remove it if it was new and nothing came of it."""
    new = not folder.exists()
    path = writable_folder(folder)
    try:
        yield path
    finally:
        if new:
            with contextlib.suppress(OSError):
                path.rmdir()  # which a folder with something in it is not


def sweep_temporaries(folder: Path) -> None:
    """Remove what killed writers left: temporary files of processes that are gone, or of another machine and a day old.

    What may not be removed stays.
    """
    for path in folder.glob(TEMPORARY):
        writer = _WRITER.fullmatch(path.name)
        if writer is None:
            continue  # no name of ours
        host, pid = writer.groups()
        with contextlib.suppress(OSError):
            gone = not _alive(int(pid)) if host == machine() else _age(path) > _STALE_SECONDS
            if gone:
                _remove(path)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, in UTF-8."""
    path.write_text(to_json(value) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Return a name beside `path` under which to write; what has it on leaving is removed."""
    temporary = path.with_name(f".{machine()}-{os.getpid()}-{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have a file's content on the disk, so that its new name never stands for less."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
