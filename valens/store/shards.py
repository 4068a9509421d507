"""Shards: immutable safetensors files named after the sha256 of their bytes.

A shard holds one tensor a reading, [layer, row, d], so that one layer of one reading is one contiguous slice of the
memory-mapped file, and says what its rows are: `rows` (uint8 [row, 32]), the hash of what the model read; `ids` and
`pooling_mask`, the tokens of all rows one after the other and which of them were pooled; `lengths`, how many each row has.

It is written under a temporary name and renamed: a name never holds half of it, and to verify it is to hash it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from valens.errors import StoreError
from valens.files.atomic import write_bytes
from valens.representations.prompts import Tokens

SUFFIX = ".safetensors"

Row = bytes
"""The sha256 of what the model read for one text: 32 bytes."""


def row_of(tokens: Tokens) -> Row:
    """Return the row under which a text is kept: the hash of its token ids, and of its mask if not all are pooled."""
    sha = hashlib.sha256(np.asarray(tokens.ids, dtype="<u4").tobytes())
    if not all(tokens.pooling_mask):
        sha.update(np.asarray(tokens.pooling_mask, dtype=np.uint8).tobytes())
    return sha.digest()


class Shard:
    """A shard that is open for reading. StoreError if the file is not a shard; with `check`, also if a byte has changed."""

    def __init__(self, path: Path, *, check: bool = False) -> None:
        self.path = path
        if check and not intact(path):
            raise StoreError(
                f"The shard {path} does not hold the bytes that its name says. Run: valens store verify --quarantine"
            )
        with self._explained():
            self._file: Any = safe_open(path, framework="pt")
            self.rows: list[Row] = [row.tobytes() for row in self._file.get_tensor("rows").numpy()]
            self.lengths: list[int] = self._file.get_tensor("lengths").tolist()
            self.readings: tuple[str, ...] = tuple(sorted(filter(_is_reading, self._file.keys())))

    def shape(self, reading: str) -> tuple[int, int, int]:
        """Return the shape of a reading: [layer, row, d]."""
        with self._explained():
            return tuple(self._file.get_slice(reading).get_shape())

    def layer(self, reading: str, layer: int) -> Float[np.ndarray, "row d"]:
        """Read one layer of a reading, in float32: a view of the file where it is stored in float32.

        `layer` is an index, from 0, into the layers of the reading.
        """
        with self._explained():
            return self._file.get_slice(reading)[layer].float().numpy()

    def items(self, name: str, start: int, stop: int) -> Float[np.ndarray, "item d"]:
        """Read the items from `start` up to `stop` of a reading of tokens, [item, d], in float32."""
        with self._explained():
            return self._file.get_slice(name)[start:stop].float().numpy()

    def tokens(self) -> list[Tokens]:
        """Read the tokens of each row."""
        with self._explained():
            ids = self._file.get_tensor("ids").split(self.lengths)
            pooling_mask = self._file.get_tensor("pooling_mask").split(self.lengths)
        return [
            Tokens(tuple(part.tolist()), tuple(map(bool, mark.tolist())), truncated=False)
            for part, mark in zip(ids, pooling_mask, strict=True)
        ]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SafetensorError, OSError, KeyError, IndexError) as error:
            raise StoreError(
                f"The shard {self.path} cannot be read ({error}). Run: valens store verify --quarantine"
            ) from error


def _is_reading(name: str) -> bool:
    return "/" in name


def write_shard(
    folder: Path,
    tokens: Sequence[Tokens],
    vectors: Mapping[str, Float[Tensor, "..."]],
    *,
    made_by: str,
) -> Path:
    """Write a shard, one row a text.

    The same content makes the same bytes, so a shard's metadata has one entry: safetensors writes several in any order.

    Args:
        folder: a folder that exists.
        tokens: the texts, as the model read them.
        vectors: for each reading [layer, text, d], or [item, d] for tokens.
        made_by: what the metadata says of the writer.

    Returns:
        The path, whose name is the sha256 of the content.

    Raises:
        OSError: the file cannot be written.

    """
    rows = np.frombuffer(b"".join(map(row_of, tokens)), dtype=np.uint8).reshape(len(tokens), -1)
    tensors = {
        "rows": torch.from_numpy(rows.copy()),
        "lengths": torch.tensor([len(text) for text in tokens], dtype=torch.int32),
        "ids": torch.tensor([number for text in tokens for number in text.ids], dtype=torch.int32),
        "pooling_mask": torch.tensor([mark for text in tokens for mark in text.pooling_mask], dtype=torch.uint8),
    }
    content = save(tensors | {name: part.contiguous() for name, part in vectors.items()}, metadata={"valens": made_by})
    path = folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"
    write_bytes(path, content)
    return path


def intact(path: Path) -> bool:
    """Tell whether a shard holds the bytes that its name says."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == path.name.removesuffix(SUFFIX)
