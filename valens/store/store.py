"""The activation store: pooled vectors on disk, content-addressed, resumable, readable by anyone with safetensors.

    STORE/<collection key>/manifest.json                      how the vectors were read, in full
    STORE/<collection key>/<sha256 of content>.safetensors    an immutable shard

A collection is one way of reading one model; its key is the hash of all that could change a number. No lock is taken:
shards are never changed, two writers never meet in one name, and two stores join by copying files.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from valens.errors import StoreError
from valens.files.atomic import TEMPORARY, sweep_temporaries, write_bytes
from valens.files.digests import key_of
from valens.representations.prompts import Tokens
from valens.store.shards import SUFFIX, Row, Shard, write_shard

FORMAT = 2
"""The version of the layout above; it is part of every collection's identity."""

MANIFEST = "manifest.json"

Part = tuple[Shard, slice | list[int], slice | list[int]]
"""A shard, the indices of the answer that it fills, and the indices of its rows that fill them."""


RANKS = "ranks"
"""The folder of a store in which ranks are kept, which are no vectors; see `valens.store.partial_results`."""


@dataclass(frozen=True)
class ActivationStore:
    """A folder of collections of vectors, one for each way of reading a model. Nothing is written before the first vectors.

    Args:
        path: the folder; `~` is the home folder. It need not exist.
        check: whether every shard is hashed before it is first read, which finds damaged files.

    Raises:
        StoreError: the path is a file, a folder with other files, one collection of a store, or a store of another format.

    """

    path: Path
    check: bool = False

    def __init__(self, path: str | Path, *, check: bool = False) -> None:
        object.__setattr__(self, "path", Path(path).expanduser())
        object.__setattr__(self, "check", check)
        _check_folder(self.path)
        _check_format(self.path)

    @classmethod
    def of(cls, store: ActivationStore | str | Path) -> ActivationStore:
        """Return the store itself, or open the one at a path; StoreError if the path cannot be a store."""
        return store if isinstance(store, ActivationStore) else cls(store)

    def collection(self, identity: Mapping[str, Any], about: Mapping[str, Any]) -> Collection:
        """Return the collection of what was read in one way; it need not exist yet.

        Args:
            identity: all that could change a number: weights, prompt, dtype, libraries.
            about: what a reader wants to know besides, such as the model's name.

        """
        return Collection(self.path / key_of(identity), dict(identity), dict(about), check=self.check)

    def collections(self) -> list[Collection]:
        """Return every collection of the store, in order of key; StoreError for a manifest that cannot be read."""
        manifests = sorted(self.path.glob(f"*/{MANIFEST}")) if self.path.is_dir() else []
        return [_open_collection(manifest, check=self.check) for manifest in manifests]

    def find(self, key: str) -> Collection:
        """Return the collection whose key begins with `key`; StoreError if there is none, or more than one."""
        matches = [collection for collection in self.collections() if collection.key.startswith(key)]
        if len(matches) != 1 or not key:
            raise StoreError(
                f"{len(matches) or 'No'} collections of {self.path} have a key that begins with {key!r}. "
                "`valens store ls` lists the keys; give as much of one as is unique."
            )
        return matches[0]


@dataclass(frozen=True)
class Collection:
    """The vectors of one way of reading one model; made by `ActivationStore.collection`, `collections` and `find`."""

    folder: Path
    identity: dict[str, Any] = field(repr=False)
    about: dict[str, Any] = field(repr=False)
    check: bool = False

    @property
    def key(self) -> str:
        """The hash of the identity, which is the folder's name."""
        return self.folder.name

    @property
    def paths(self) -> list[Path]:
        """The shards that exist now, in order of name."""
        return sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []

    def readings(self) -> dict[str, int]:
        """Return the number of rows of each reading."""
        return {reading: len(rows) for reading, rows in sorted(self._index.items())}

    def rows(self) -> set[Row]:
        """Return every row that has vectors of some reading."""
        return {row for rows in self._index.values() for row in rows}

    def lacks(self, reading: str, rows: Sequence[Row]) -> list[Row]:
        """Return those of `rows` that have no vectors of a reading yet, in the order given."""
        stored = self._index.get(reading, {})
        return [row for row in rows if row not in stored]

    def write(self, tokens: Sequence[Tokens], vectors: Mapping[str, Float[Tensor, "..."]]) -> Path:
        """Write the vectors of texts as one new shard. The first write makes the collection's folder and manifest.

        Args:
            tokens: the texts, as the model read them.
            vectors: for each reading [layer, text, d]; for a reading of tokens [item, d], the items of each text after those
                of the text before it.

        Returns:
            The path of the shard.

        Raises:
            StoreError: the folder cannot be written to; what was stored before stays valid.

        """
        n_bytes = sum(part.numel() * part.element_size() for part in vectors.values())
        with _writable(self.folder, n_bytes):
            self._prepare()
            path = write_shard(self.folder, tokens, vectors, made_by=f"valens format {FORMAT}, collection {self.key}")
        self._add(path)
        return path

    def read(self, reading: str, layer: int, rows: Sequence[Row]) -> Float[np.ndarray, "row d"]:
        """Read the vectors of one layer.

        Args:
            reading: the name of the reading, as `values/mean`.
            layer: an index, from 0, into the layers of the reading.
            rows: the texts, as `row_of` names them; one or more, in any order.

        Returns:
            One vector for each of `rows` [row, d], in float32.

        Raises:
            StoreError: a row has no vectors of this reading, or a shard cannot be read.

        """
        parts = self._parts(reading, tuple(rows))
        shard, _, _ = parts[0]
        vectors = np.empty((len(rows), shard.shape(reading)[2]), dtype=np.float32)
        for shard, targets, sources in parts:
            vectors[targets] = shard.layer(reading, layer)[sources]
        return vectors

    def read_items(self, name: str, row: Row, items: Callable[[int], int]) -> Float[np.ndarray, "item d"]:
        """Read the vectors of one text's tokens.

        Args:
            name: the name of the reading, as `values@26/tokens`.
            row: the text, as `row_of` names it.
            items: returns how many items a text has, from its number of tokens.

        Returns:
            [item, d] in float32.

        Raises:
            StoreError: the text has no vectors of this reading.

        """
        if self.lacks(name, [row]):
            raise StoreError(f"The text has no {name} in {self.folder}. Extract it first.")
        owner, index = self._index[name][row]
        shard = self._shards[owner]
        start = sum(map(items, shard.lengths[:index]))
        return shard.items(name, start, start + items(shard.lengths[index]))

    def sample(self, n: int, seed: int) -> list[tuple[Row, Tokens]]:
        """Draw `n` rows, or all if there are fewer; return each with the tokens that the model read."""
        owners = {row: (path.name, index) for path in self.paths for index, row in enumerate(self._open(path).rows)}
        drawn = random.Random(seed).sample(sorted(owners), min(n, len(owners)))
        tokens = {name: self._shards[name].tokens() for name in {owners[row][0] for row in drawn}}
        return [(row, tokens[owners[row][0]][owners[row][1]]) for row in drawn]

    def begin(self) -> None:
        """Begin a run: notice what others have written, remove what killed writers left, and record the use.

        Only the first matters in a store that cannot be written to, so the others are tried and no more.
        """
        for path in self.paths:
            if path.name not in self._shards:
                self._add(path)
        with contextlib.suppress(OSError):
            sweep_temporaries(self.folder)
            os.utime(self.folder / MANIFEST)

    def _parts(self, reading: str, rows: tuple[Row, ...]) -> list[Part]:
        """Return which rows come from where in which shard; cached, as layer after layer asks for the same rows."""
        if self._asked.get(reading, ((), []))[0] != rows:
            self._asked[reading] = rows, self._find_parts(reading, rows)
        return self._asked[reading][1]

    def _find_parts(self, reading: str, rows: tuple[Row, ...]) -> list[Part]:
        missing = self.lacks(reading, rows)
        if missing or not rows:
            raise StoreError(
                f"{len(missing)} of {len(rows)} texts have no {reading} in {self.folder}. Extract them first."
            )
        by_shard: dict[str, tuple[list[int], list[int]]] = {}
        for target, row in enumerate(rows):
            owner, source = self._index[reading][row]
            targets, sources = by_shard.setdefault(owner, ([], []))
            targets.append(target)
            sources.append(source)
        return [(self._shards[owner], _run(targets), _run(sources)) for owner, (targets, sources) in by_shard.items()]

    @cached_property
    def _asked(self) -> dict[str, tuple[tuple[Row, ...], list[Part]]]:
        return {}

    @cached_property
    def _shards(self) -> dict[str, Shard]:
        return {}

    @cached_property
    def _index(self) -> dict[str, dict[Row, tuple[str, int]]]:
        """For each reading, where each row is: shard and index in it. `write` and `begin` keep it up to date."""
        index: dict[str, dict[Row, tuple[str, int]]] = {}
        for path in self.paths:
            self._note(path, index)
        return index

    def _open(self, path: Path) -> Shard:
        if path.name not in self._shards:
            self._shards[path.name] = Shard(path, check=self.check)
        return self._shards[path.name]

    def _add(self, path: Path) -> None:
        self._note(path, self._index)

    def _note(self, path: Path, index: dict[str, dict[Row, tuple[str, int]]]) -> None:
        """Open a shard and note its rows; a row that another shard has already stays there."""
        shard = self._open(path)
        for reading in shard.readings:
            stored = index.setdefault(reading, {})
            for row_index, row in enumerate(shard.rows):
                stored.setdefault(row, (path.name, row_index))

    def _prepare(self) -> None:
        """Make the folder and the manifest, if this is the first write."""
        manifest = self.folder / MANIFEST
        self.folder.mkdir(parents=True, exist_ok=True)
        if not manifest.exists():
            about = self.about | {"created": datetime.now(UTC).isoformat(timespec="seconds")}
            text = json.dumps({"about": about, "identity": self.identity}, indent=2, sort_keys=True, default=str)
            write_bytes(manifest, text.encode())


def _run(indices: list[int]) -> slice | list[int]:
    """Return indices as a slice where they are a run, which numpy copies much faster."""
    first, last = indices[0], indices[-1] + 1
    return slice(first, last) if indices == list(range(first, last)) else indices


def _check_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file. A store is a folder: choose another --store.")
    if (path / MANIFEST).is_file():
        about = _open_collection(path / MANIFEST, check=False).about
        raise StoreError(
            f"{path} is one collection of a store, made by {about.get('model', 'an unknown model')}. "
            f"Give the store's own folder: {path.resolve().parent}"
        )
    if path.is_dir() and not any(path.glob(f"*/{MANIFEST}")) and not all(map(_hardly_begun, path.iterdir())):
        raise StoreError(f"{path} has files in it, and none of them is an activation store's. Choose an empty --store.")


def _check_format(path: Path) -> None:
    """Refuse a store of another layout, as all its vectors would be read a second time."""
    for manifest in sorted(path.glob(f"*/{MANIFEST}")) if path.is_dir() else ():
        try:
            its_format = json.loads(manifest.read_text(encoding="utf-8"))["identity"].get("format", FORMAT)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # named as broken where it is opened
        if its_format != FORMAT:
            raise StoreError(
                f"{path} is a store of format {its_format}; this version of valens has format {FORMAT}. Read the texts "
                "again into a new --store, or use the version that wrote it."
            )


def _hardly_begun(folder: Path) -> bool:
    """Tell whether this is all that a writer leaves who was killed before the manifest was written, or ranks alone."""
    return folder.is_dir() and (folder.name == RANKS or all(path.match(TEMPORARY) for path in folder.iterdir()))


def _open_collection(manifest: Path, *, check: bool) -> Collection:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        return Collection(manifest.parent, content["identity"], content["about"], check=check)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{manifest} is not a valid manifest ({error}). Move its folder out of the store.") from error


@contextlib.contextmanager
def _writable(folder: Path, n_bytes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} could not be written to ({error.strerror or error}); {n_bytes:,} bytes were to go there. "
            "Free space or choose another --store; what was stored before is still valid."
        ) from error
