"""Files that several processes write into one folder: whole or absent, and removed when their writer was killed."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import uuid
from pathlib import Path

TEMPORARY = ".*.tmp"
"""A pattern for the names of files that are being written."""

_WRITER = re.compile(r"\.(.+)-(\d+)-[0-9a-f]{32}\.tmp")
"""The machine and the process of a file that is being written, in its name."""

_STALE_SECONDS = 24 * 3600


def write_bytes(path: Path, content: bytes) -> None:
    """Write to a temporary name beside the path, then rename: the path holds all of the content or does not exist."""
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep_temporaries(folder: Path) -> None:
    """Remove what killed writers left: temporary files of processes that are gone, or of another machine and a day old."""
    for path in folder.glob(TEMPORARY):
        writer = _WRITER.fullmatch(path.name)
        if writer is None:
            continue  # nothing that `write_bytes` wrote
        host, pid = writer.groups()
        with contextlib.suppress(FileNotFoundError):
            gone = not _alive(int(pid)) if host == socket.gethostname() else _age(path) > _STALE_SECONDS
            if gone:
                path.unlink()


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
