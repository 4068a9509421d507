"""What is kept of a text comes back, whole or not at all, and only to those who would compute the same."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from valens.errors import StoreError
from valens.store.partial_results import PartialResults

ROW = bytes(range(32))
ARRAY = np.arange(12, dtype=np.int32).reshape(3, 4)


def read(kept: PartialResults) -> np.ndarray | None:
    return kept.read(ROW, shape=ARRAY.shape, dtype=np.int32)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = PartialResults.of(tmp_path, {"seed": 0})
    assert read(kept) is None
    kept.begin()
    kept.write(ROW, ARRAY)
    again = PartialResults.of(tmp_path, {"seed": 0})
    assert np.array_equal(read(again), ARRAY)
    assert json.loads((kept.folder / "manifest.json").read_text(encoding="utf-8")) == {"seed": 0}
    assert read(PartialResults.of(tmp_path, {"seed": 1})) is None


def sealed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


DAMAGED = {
    "unsealed": npy(ARRAY),
    "sealed otherwise": npy(ARRAY) + bytes(32),
    "cut": npy(ARRAY)[:-5],
    "empty": b"",
    "no array": b"no array",
    "zip header": b"PK\x03\x04 and no more",
    "another shape": sealed(npy(ARRAY.T)),
    "another dtype": sealed(npy(ARRAY.astype(np.int64))),
    "words": sealed(npy(ARRAY.astype("U3"))),
    "larger than memory": npy(ARRAY).replace(b"(3, 4), }      ", b"(3, 4000000000)"),
}


def test_a_flipped_bit_anywhere_is_found_and_numpy_reads_the_file(tmp_path: Path) -> None:
    kept = PartialResults.of(tmp_path, {})
    kept.begin()
    kept.write(ROW, ARRAY)
    (path,) = kept.folder.glob("*.npy")
    assert np.array_equal(np.load(path), ARRAY)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert read(kept) is None


@pytest.mark.parametrize("kind", [*DAMAGED, "several arrays"])
def test_what_is_damaged_is_not_there_and_is_written_again(tmp_path: Path, kind: str) -> None:
    kept = PartialResults.of(tmp_path, {})
    kept.begin()
    kept.write(ROW, ARRAY)
    (path,) = kept.folder.glob("*.npy")
    if kind == "several arrays":
        with path.open("wb") as file:
            np.savez(file, a=ARRAY)
    else:
        path.write_bytes(DAMAGED[kind])
    assert read(kept) is None
    kept.write(ROW, ARRAY)
    assert np.array_equal(read(kept), ARRAY)


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    kept = PartialResults.of(tmp_path, {})
    (kept.folder / f"{ROW.hex()}.npy").mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"{ROW.hex()}.npy cannot be read \(Is a directory\)"):
        read(kept)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    kept = PartialResults.of(tmp_path, {})
    kept.begin()
    strangers = [kept.folder / name for name in (".x.tmp", ".a-b.tmp", ".host-me-0.tmp")]
    for path in strangers:
        path.touch()
    kept.begin()
    assert all(path.exists() for path in strangers)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = PartialResults.of(tmp_path, {})
    kept.begin()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        kept.write(ROW, ARRAY)
    assert read(kept) is None
    assert [path.name for path in kept.folder.iterdir()] == ["manifest.json"]


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="Choose another --store"):
        PartialResults.of(tmp_path / "file", {}).begin()
