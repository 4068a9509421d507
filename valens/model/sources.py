"""The files that a model is loaded from, and the hashes of what is in them.

A file whose size, time of change and inode are as they were is not hashed again, unless that is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valens.errors import MissingPackageError, ModelError
from valens.files.digests import digest
from valens.files.user_cache import cache_folder, read_entry, write_entry
from valens.model.catalog import known, locate
from valens.model.refusals import quiet

_SMALL = {".json", ".model", ".txt", ".jinja", ".tiktoken"}
"""The endings of what may stand beside the weights and change what they compute."""
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth"}


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a folder, a GGUF file in it, or a commit on the hub that is in the hub's own cache."""

    place: str
    """The absolute path, the wheel, or the hub name with the revision that was asked for."""
    folder: Path | None
    """Where the files are; None if they cannot be had now."""
    gguf: str | None = None
    revision: str = "local"
    """The branch, tag or commit that was asked for, or else the commit; `local` for what is not on the hub."""

    @classmethod
    def of(cls, name: str, revision: str | None = None) -> Source:
        """Find the files of a model by an alias, hub name, folder or GGUF file, whether they are there or not.

        ModelError for a revision of a model that is on this machine.
        """
        entry = known(name)
        try:
            where, gguf = locate(name, revision)
        except (ModelError, MissingPackageError):
            if revision is not None:
                raise
            if entry is not None:
                return cls(entry.source, None, entry.source.rpartition("/")[2])
            path = Path(os.path.expanduser(name)).resolve()  # noqa: PTH111 - leaves an unknown user as it is
            return cls(str(path.parent), None, path.name) if path.suffix == ".gguf" else cls(str(path), None)
        if entry is not None and entry.source.startswith("wheel:"):
            return cls(entry.source, Path(where), gguf)
        if Path(where).is_dir():
            return cls(str(Path(where).resolve()), Path(where), gguf)
        folder = _in_cache_of_hub(where, revision)
        return cls(f"{where}@{revision or 'main'}", folder, None, revision or (folder.name if folder else "main"))

    def files(self) -> list[Path]:
        """Return the files that the model may be loaded from, in order of name."""
        if self.folder is None:
            return []
        weights = set() if self.gguf else _WEIGHTS
        return [
            path for path in sorted(_entries(self.folder)) if path.suffix in _SMALL | weights or path.name == self.gguf
        ]

    def digest(self, *, check: bool = False) -> str | None:
        """Return the digest of all names and contents; None if a file cannot be read.

        `check` hashes what seems unchanged too.
        """
        memo = self._memo()
        known = {} if check or memo is None else (read_entry(memo) or {}).get("files", {})
        try:
            found = {path.name: _looked_at(path, known.get(path.name)) for path in self.files()}
        except OSError:
            return None
        if not found:
            return None
        whole = digest({name: file["sha256"] for name, file in found.items()})
        if memo is not None and found != known:
            write_entry(memo, {"place": self.place, "files": found, "digest": whole})
        return whole

    def last_digest(self) -> str | None:
        """Return the digest that the files had when they were last seen; None if they never were."""
        memo = self._memo()
        return None if memo is None else (read_entry(memo) or {}).get("digest")

    def _memo(self) -> Path | None:
        cache = cache_folder()
        return None if cache is None else cache / "sources" / f"{digest([self.place, self.gguf])[:32]}.json"


def _in_cache_of_hub(name: str, revision: str | None) -> Path | None:
    """Return the folder of a commit, after asking the hub which it is now; None if none is here."""
    from transformers.utils import cached_file

    try:
        with quiet():
            path = cached_file(name, "config.json", revision=revision or "main")
    except (OSError, ValueError):
        return None
    return Path(path).parent if path else None


def _entries(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())


def _looked_at(path: Path, known: dict[str, Any] | None) -> dict[str, Any]:
    """Return what is remembered of a file; its hash is the remembered one if all else is as it was."""
    status = path.stat()
    seen = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
    if known is not None and {key: known.get(key) for key in seen} == seen:
        return known
    with path.open("rb") as file:
        return seen | {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
