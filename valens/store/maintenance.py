"""Looking after a store: verify, merge, prune, compare. Nothing here knows a model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from valens.errors import StoreError
from valens.files.atomic import write_bytes
from valens.store.shards import intact
from valens.store.store import MANIFEST, ActivationStore, Collection

ASIDE = ".quarantined"
"""The suffix of a shard that is set aside; nothing reads such a file."""


@dataclass(frozen=True)
class Summary:
    """What one collection holds, for a listing."""

    key: str
    model: str
    readings: Mapping[str, int]
    """The number of rows of each reading."""
    rows: int
    shards: int
    bytes: int
    created: str
    used: str
    """When it was last written, or read for a run; UTC."""


def summary(collection: Collection) -> Summary:
    """Summarise what a collection holds. This opens every shard; StoreError for one that cannot be read."""
    return Summary(
        key=collection.key,
        model=str(collection.about.get("model", "unknown")),
        readings=collection.readings(),
        rows=len(collection.rows()),
        shards=len(collection.paths),
        bytes=size(collection),
        created=str(collection.about.get("created", "unknown")),
        used=datetime.fromtimestamp(_last_used(collection), UTC).isoformat(timespec="seconds"),
    )


def size(collection: Collection) -> int:
    """Return the number of bytes of a collection on disk."""
    return sum(map(_size_now, collection.folder.iterdir()))


def verify(store: ActivationStore, *, quarantine: bool = False) -> tuple[int, list[Path]]:
    """Hash every shard of a store, and compare it with its name.

    Args:
        store: the store.
        quarantine: whether broken shards are renamed so that nothing reads them; their rows are then computed again.

    Returns:
        The number of shards, and the paths of those whose bytes are not the ones that their name says.

    Raises:
        StoreError: a broken shard cannot be renamed.

    """
    paths = [path for collection in store.collections() for path in collection.paths]
    broken = [path for path in paths if not intact(path)]
    if quarantine:
        for path in broken:
            _changing(path, lambda path: path.rename(path.with_name(path.name + ASIDE)))
    return len(paths), broken


def merge(source: ActivationStore, target: ActivationStore) -> int:
    """Copy the shards of one store that another does not have; the first stays as it is.

    Args:
        source: where shards are copied from.
        target: where they are copied to.

    Returns:
        The number of shards that were copied.

    Raises:
        StoreError: a shard does not hold the bytes that its name says, before it is copied; or nothing can be written.

    """
    copied = 0
    for collection in source.collections():
        folder = target.path / collection.key
        for path in [
            collection.folder / MANIFEST,
            *collection.paths,
        ]:  # a folder of shards without it would be no store
            if not (folder / path.name).exists():
                if path.name != MANIFEST and not intact(path):
                    raise StoreError(
                        f"{path} does not hold the bytes that its name says. Run: valens store verify {source.path}"
                    )
                _changing(folder / path.name, lambda copy, path=path: _copy(path, copy))
                copied += path.name != MANIFEST
    return copied


def prunable(store: ActivationStore, keep_bytes: int) -> list[Collection]:
    """Return the least recently used collections, without which the store has at most `keep_bytes` bytes."""
    collections = sorted(store.collections(), key=_last_used)
    excess = sum(map(size, collections)) - keep_bytes
    dropped = []
    for collection in collections:
        if excess <= 0:
            break
        dropped.append(collection)
        excess -= size(collection)
    return dropped


def remove(collections: Sequence[Collection]) -> None:
    """Remove collections with all that is in them; StoreError if they cannot be removed."""
    for collection in collections:
        _changing(collection.folder, shutil.rmtree)


def difference(one: Collection, other: Collection) -> dict[str, tuple[Any, Any]]:
    """Return what differs in how two collections were read, by dotted name; None stands for what one does not have."""
    left, right = dict(flat(one.identity)), dict(flat(other.identity))
    names = dict.fromkeys([*left, *right])
    return {name: (left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)}


def flat(identity: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested mapping, each with its dotted name."""
    for name, value in identity.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _size_now(path: Path) -> int:
    """Return the size of a file; 0 for one that has gone meanwhile, as what a writer renames."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _last_used(collection: Collection) -> float:
    return (collection.folder / MANIFEST).stat().st_mtime


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(copy, path.read_bytes())


def _changing(path: Path, change: Any) -> None:
    """Apply a change to the file system; an OSError becomes a StoreError that names the path."""
    try:
        change(path)
    except OSError as error:
        raise StoreError(
            f"{path} could not be changed ({error.strerror or error}). Check its permissions and free space."
        ) from error
