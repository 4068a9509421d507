"""Arrays kept one file a text as they are computed, so that a run that was stopped goes on where it was.

    FOLDER/<key>/manifest.json            all that could change a number
    FOLDER/<key>/<row of the text>.npy    what was computed of one text, readable with numpy.load; then its sha256

For numbers that are not vectors, in a folder beside a store's collections. A file is written whole or not at all; a file
that was damaged later does not have its sha256, counts as absent, and is written again.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from valens.errors import StoreError
from valens.files.atomic import sweep_temporaries, write_bytes
from valens.files.digests import key_of
from valens.files.strict_json import to_json
from valens.store.shards import Row


@dataclass(frozen=True)
class PartialResults:
    """Arrays that were computed in one way, one for each text."""

    folder: Path
    identity: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, folder: str | Path, identity: Mapping[str, Any]) -> PartialResults:
        """Return those of one identity (all that could change a number) in a folder; nothing is written yet."""
        return cls(Path(folder).expanduser() / key_of(identity), dict(identity))

    def begin(self) -> None:
        """Make the folder and its manifest, and remove the temporary files of killed writers.

        StoreError if the folder cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_temporaries(self.folder)
            write_bytes(self.folder / "manifest.json", (to_json(self.identity) + "\n").encode())
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot be written to ({error.strerror}). Choose another --store."
            ) from error

    def read(self, row: Row, *, shape: tuple[int, ...], dtype: type[np.generic]) -> Shaped[np.ndarray, "..."] | None:
        """Read what was computed of a text.

        Args:
            row: the text, as `row_of` names it.
            shape: the shape that the array must have.
            dtype: the dtype that it must have.

        Returns:
            The array, read-only; None if there is no file, or one that is damaged or of another shape or dtype.

        Raises:
            StoreError: there is a file that cannot be read.

        """
        path, header = self._path(row), _header(shape, np.dtype(dtype))
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read ({error.strerror}). Choose another --store.") from error
        n = math.prod(shape)
        size = len(header) + n * np.dtype(dtype).itemsize
        whole = content.startswith(header) and content[size:] == hashlib.sha256(content[:size]).digest()
        return np.frombuffer(content, dtype, n, offset=len(header)).reshape(shape) if whole else None

    def write(self, row: Row, array: Shaped[np.ndarray, "..."]) -> None:
        """Write what was computed of a text; StoreError if it cannot be written."""
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(array), allow_pickle=False)
        whole = content.getvalue()
        try:
            write_bytes(self._path(row), whole + hashlib.sha256(whole).digest())
        except OSError as error:
            raise StoreError(
                f"{self._path(row)} cannot be written ({error.strerror}). Free space; what was written stays valid."
            ) from error

    def _path(self, row: Row) -> Path:
        return self.folder / f"{row.hex()}.npy"


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return what `numpy.save` writes before the numbers of such an array."""
    content = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, facts)
    return content.getvalue()
