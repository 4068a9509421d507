"""The files that a model is loaded from, and the hashes of what is in them.

A file whose size, times and inode are as they were is not hashed again, unless that is asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valens.errors import MissingPackageError, ModelError
from valens.files.digests import digest
from valens.files.user_cache import place, read_entry, write_entry
from valens.model.catalog import known, locate
from valens.model.refusals import quiet

_SMALL = {".json", ".model", ".txt", ".jinja", ".tiktoken"}
"""The endings of what may stand beside the weights and change what they compute."""
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth"}

_ADAPTER = "adapter_config.json"
"""In a folder with this, the weights of another are loaded too: nothing of it is remembered."""


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
            return cls._absent(name)
        if entry is not None and entry.source.startswith("wheel:"):
            return cls(entry.source, Path(where), gguf)
        if Path(where).is_dir():
            return cls(str(Path(where).resolve()), Path(where), gguf)
        return cls._on_hub(where, revision)

    @classmethod
    def _absent(cls, name: str) -> Source:
        path = Path(os.path.expanduser(name)).resolve()  # noqa: PTH111 - leaves an unknown user as it is
        return cls(str(path.parent), None, path.name) if path.suffix == ".gguf" else cls(str(path), None)

    @classmethod
    def _on_hub(cls, name: str, revision: str | None) -> Source:
        asked = f"{name}@{revision or 'main'}"
        folder = _in_cache_of_hub(name, revision)
        if folder is not None:
            return cls(asked, folder, None, revision or folder.name)
        absent = cls._absent(name)  # a folder two deep, as `models/mine`, was one and is no more
        if revision is None and absent.last() is not None:
            return absent
        gone = cls(asked, None)
        last = gone.last()
        return cls(asked, None, None, revision or (last[1] if last else "main"))

    def files(self) -> list[Path]:
        """Return the files that the model may be loaded from, in order; OSError or ValueError if they cannot be told."""
        if self.folder is None:
            return []
        endings = _SMALL if self.gguf else _SMALL | _WEIGHTS
        direct = [path for path in self.folder.iterdir() if path.suffix in endings or path.name == self.gguf]
        elsewhere = {
            self.folder / part for path in direct if path.name.endswith(".index.json") for part in _parts(path)
        }
        return sorted({path for path in direct if path.is_file()} | elsewhere)

    def digest(self, *, check: bool = False) -> str | None:
        """Return the digest of all names and contents; None if they cannot be read, or others count that are elsewhere.

        `check` hashes what seems unchanged too.
        """
        memo = place("sources", f"{self._key}.json")
        before = {} if check else (read_entry(memo) or {})
        try:
            files = self.files()
            if not files or any(path.name == _ADAPTER for path in files):
                return None
            found = {str(path.relative_to(str(self.folder))): _looked_at(path, before) for path in files}
        except (OSError, ValueError):
            return None
        if found != before:
            write_entry(memo, found)
        return digest({name: file["sha256"] for name, file in found.items()})

    def loaded(self, files: str) -> None:
        """Remember that a model of these files, by their digest, was loaded from here."""
        if self.last() != (files, self.revision):
            write_entry(self._last, {"place": self.place, "files": files, "revision": self.revision})

    def last(self) -> tuple[str, str] | None:
        """Return the digest of the files that were last loaded from here, and their revision; None if none ever were."""
        entry = read_entry(self._last)
        return (entry["files"], entry["revision"]) if entry else None

    @property
    def _last(self) -> Path | None:
        return place("sources", f"{self._key}.last.json")

    @property
    def _key(self) -> str:
        return digest([self.place, self.gguf])[:32]


def _parts(index: Path) -> set[str]:
    """Return the files that an index of weights names, which may be in folders below."""
    content = json.loads(index.read_text(encoding="utf-8"))
    weights = content.get("weight_map") if isinstance(content, dict) else None
    return set(map(str, weights.values())) if isinstance(weights, dict) else set()


def _in_cache_of_hub(name: str, revision: str | None) -> Path | None:
    """Return the folder of a commit, after asking the hub which it is now; None if none is here."""
    from transformers.utils import cached_file

    try:
        with quiet():
            path = cached_file(name, "config.json", revision=revision or "main")
    except (OSError, ValueError):
        return None
    return Path(path).parent if path else None


def _looked_at(path: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Return what is remembered of a file; its hash is the remembered one if all else is as it was."""
    status = path.stat()
    seen = {
        "size": status.st_size,
        "modified": status.st_mtime_ns,
        "changed": status.st_ctime_ns,
        "inode": status.st_ino,
    }
    for file in before.values():
        if {name: file.get(name) for name in seen} == seen:
            return dict(file)
    with path.open("rb") as opened:
        return seen | {"sha256": hashlib.file_digest(opened, "sha256").hexdigest()}
