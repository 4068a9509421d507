"""The activation store: immutable, content-addressed shards of pooled vectors, readable by anyone with safetensors.

    STORE/<collection key>/manifest.json                      how the vectors were read, in full
    STORE/<collection key>/<sha256 of content>.safetensors    a shard: `rows`, and one tensor a reading

A collection is one way of reading one model. A shard holds `rows` (uint8 [row, 32], the sha256 of each row's input) and
each reading as [layer, row, d], so that one layer of one reading is one contiguous slice of a memory-mapped file. A shard
is written under a temporary name and renamed to the hash of its bytes: there is no half shard, two writers never meet, and
two stores join by copying files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from valens.errors import StoreError
from valens.fingerprints import digest

FORMAT = 1
"""The version of the layout above; it is part of every collection's identity."""

_SHARD = ".safetensors"
_MANIFEST = "manifest.json"
_KEY_LENGTH = 32

Row = bytes
"""The sha256 of what the model read for one text: 32 bytes."""


def row_of(ids: Sequence[int], speaks: Sequence[bool]) -> Row:
    """The row under which a text is kept: the hash of its token ids, and of which of them speak if not all do."""
    sha = hashlib.sha256(np.asarray(ids, dtype="<u4").tobytes())
    if not all(speaks):
        sha.update(np.asarray(speaks, dtype=np.uint8).tobytes())
    return sha.digest()


@dataclass(frozen=True)
class ActivationStore:
    """A folder of collections. Nothing is written until the first vectors are."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        """Raise StoreError if the path is taken by something that is no store."""
        object.__setattr__(self, "path", Path(path).expanduser())
        _refuse_foreign(self.path)

    def collection(self, identity: Mapping[str, Any], about: Mapping[str, Any]) -> Collection:
        """The collection of what was read in this way; `identity` is all that could change a number, `about` is not."""
        return Collection(self.path / digest(identity)[:_KEY_LENGTH], dict(identity), dict(about))

    def collections(self) -> list[Collection]:
        """Every collection there is, in order of key."""
        manifests = sorted(self.path.glob(f"*/{_MANIFEST}")) if self.path.is_dir() else []
        return [_read_collection(manifest) for manifest in manifests]


@dataclass(frozen=True)
class Collection:
    """The vectors of one way of reading one model."""

    folder: Path
    identity: dict[str, Any] = field(repr=False)
    about: dict[str, Any] = field(repr=False)

    @property
    def key(self) -> str:
        """The hash of the identity, which is the folder's name."""
        return self.folder.name

    def __len__(self) -> int:
        """How many different rows there are."""
        return len({row for rows in self._index.values() for row in rows})

    def lacks(self, reading: str, rows: Sequence[Row]) -> list[Row]:
        """The rows of these that have no vectors of this reading yet, in the order given."""
        there = self._index.get(reading, {})
        return [row for row in rows if row not in there]

    def write(self, rows: Sequence[Row], vectors: Mapping[str, Float[Tensor, "layer row d"]]) -> Path:
        """Keep vectors of these rows as one new shard; the manifest is written first if this is the collection's first.

        Raises StoreError if the folder cannot be written to.
        """
        tensors = {"rows": _row_tensor(rows)} | {name: part.contiguous() for name, part in vectors.items()}
        content = save(tensors, metadata={"format": str(FORMAT), "key": self.key})
        with _writable(self.folder, len(content)):
            self._write_manifest()
            path = self.folder / f"{hashlib.sha256(content).hexdigest()}{_SHARD}"
            _write(path, content)
        self._add(path)
        return path

    def read(self, reading: str, layer: int, rows: Sequence[Row]) -> Float[np.ndarray, "row d"]:
        """The vectors of one layer (as a place in the reading's layers), one a row asked for, in float32.

        Raises StoreError if a row has none.
        """
        missing = self.lacks(reading, rows)
        if missing:
            raise StoreError(
                f"{len(missing)} of {len(rows)} texts have no {reading} in {self.folder}. Extract them first."
            )
        places = [self._index[reading][row] for row in rows]
        vectors: Float[np.ndarray, "row d"] | None = None
        for shard in sorted({shard for shard, _ in places}):
            wanted = [(at, place) for at, (owner, place) in enumerate(places) if owner == shard]
            part = _read_layer(self.folder / shard, reading, layer)
            if vectors is None:
                vectors = np.empty((len(rows), part.shape[1]), dtype=np.float32)
            vectors[[at for at, _ in wanted]] = part[[place for _, place in wanted]]
        return np.empty((0, 0), dtype=np.float32) if vectors is None else vectors

    @cached_property
    def _index(self) -> dict[str, dict[Row, tuple[str, int]]]:
        """For each reading, where each row is: shard and place in it. Read once; `write` keeps it up to date."""
        index: dict[str, dict[Row, tuple[str, int]]] = {}
        for path in sorted(self.folder.glob(f"*{_SHARD}")) if self.folder.is_dir() else []:
            _index_shard(path, index)
        return index

    def _add(self, path: Path) -> None:
        _index_shard(path, self._index)

    def _write_manifest(self) -> None:
        path = self.folder / _MANIFEST
        if not path.exists():
            text = json.dumps({"about": self.about, "identity": self.identity}, indent=2, sort_keys=True, default=str)
            _write(path, text.encode())


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file. A store is a folder: choose another --store.")
    if (path / _MANIFEST).is_file():
        about = _read_collection(path / _MANIFEST).about
        raise StoreError(
            f"{path} is one collection of a store, made by {about.get('model', 'an unknown model')}. "
            f"Give the store's own folder: {path.resolve().parent}"
        )
    if path.is_dir() and any(path.iterdir()) and not any(path.glob(f"*/{_MANIFEST}")):
        raise StoreError(f"{path} has files in it, and none of them is an activation store's. Choose an empty --store.")


def _read_collection(manifest: Path) -> Collection:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        return Collection(manifest.parent, content["identity"], content["about"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{manifest} is no manifest ({error}). Move its folder out of the store.") from error


def _row_tensor(rows: Sequence[Row]) -> UInt8[Tensor, "row 32"]:
    return torch.from_numpy(np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), 32).copy())


def _index_shard(path: Path, index: dict[str, dict[Row, tuple[str, int]]]) -> None:
    """Note where each row of a shard is; a row that another shard has already stays there."""
    with _opened(path) as shard:
        rows = shard.get_tensor("rows").numpy()
        for reading in set(shard.keys()) - {"rows"}:
            there = index.setdefault(reading, {})
            for place, row in enumerate(rows):
                there.setdefault(row.tobytes(), (path.name, place))


def _read_layer(path: Path, reading: str, layer: int) -> Float[np.ndarray, "row d"]:
    with _opened(path) as shard:
        return shard.get_slice(reading)[layer].float().numpy()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as shard:
            yield shard
    except (SafetensorError, OSError, KeyError) as error:
        raise StoreError(f"The shard {path} cannot be read ({error}). Remove it, and run again.") from error


@contextlib.contextmanager
def _writable(folder: Path, n_bytes: int) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} could not be written to ({error.strerror or error}); {n_bytes:,} bytes were to go there. "
            "Free space or choose another --store; what was stored before is still valid."
        ) from error


def _write(path: Path, content: bytes) -> None:
    """Write to a temporary name beside the path, then rename: the path never holds half of it."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
