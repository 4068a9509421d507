"""Arrays kept one file a text as they are computed, so that a run that was stopped goes on where it was.

    FOLDER/<key>/manifest.json            all that could change a number
    FOLDER/<key>/<row of the text>.npy    what was computed of one text, readable with numpy.load

For what is no vector, and hence in no activation store. A file is written whole or not at all.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from valens.errors import StoreError
from valens.fingerprints import digest
from valens.shards import Row, sweep_temporaries, write_bytes
from valens.strict_json import to_json

_KEY_LENGTH = 32


@dataclass(frozen=True)
class Checkpoints:
    """What is kept of texts that were computed in one way."""

    folder: Path
    identity: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, folder: str | Path, identity: Mapping[str, Any]) -> Checkpoints:
        """Those of this identity in a folder; nothing is made or written yet."""
        return cls(Path(folder).expanduser() / digest(identity)[:_KEY_LENGTH], dict(identity))

    def begin(self) -> None:
        """Make the folder, say in it what it holds, and clear what killed writers left; StoreError if it cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_temporaries(self.folder)
            write_bytes(self.folder / "manifest.json", (to_json(self.identity) + "\n").encode())
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be written to ({error.strerror}). Choose another --out.") from error

    def __contains__(self, row: Row) -> bool:
        """Whether a text has been computed."""
        return self._path(row).exists()

    def read(self, row: Row) -> Shaped[np.ndarray, "..."]:
        """What was computed of a text; StoreError if that cannot be read."""
        path = self._path(row)
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{path} cannot be read ({error}). Delete it; it is then computed again.") from error

    def write(self, row: Row, array: Shaped[np.ndarray, "..."]) -> None:
        """Keep what was computed of a text; StoreError if it cannot be written."""
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        try:
            write_bytes(self._path(row), content.getvalue())
        except OSError as error:
            raise StoreError(
                f"{self._path(row)} cannot be written ({error.strerror}). Free space; what was written stays valid."
            ) from error

    def _path(self, row: Row) -> Path:
        return self.folder / f"{row.hex()}.npy"
