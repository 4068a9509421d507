"""What is kept of a text comes back, whole or not at all, and only to those who would compute the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from valens.checkpoints import Checkpoints
from valens.errors import StoreError

ROW = bytes(range(32))
ARRAY = np.arange(12, dtype=np.int32).reshape(3, 4)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = Checkpoints.of(tmp_path, {"seed": 0})
    assert ROW not in kept
    kept.begin()
    kept.write(ROW, ARRAY)
    again = Checkpoints.of(tmp_path, {"seed": 0})
    assert ROW in again
    assert np.array_equal(again.read(ROW), ARRAY)
    assert json.loads((kept.folder / "manifest.json").read_text(encoding="utf-8")) == {"seed": 0}
    assert ROW not in Checkpoints.of(tmp_path, {"seed": 1})


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    kept = Checkpoints.of(tmp_path, {})
    kept.begin()
    kept.write(ROW, ARRAY)
    (path,) = kept.folder.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StoreError, match=rf"{path.name} cannot be read .* Delete it; it is then computed again"):
        kept.read(ROW)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Checkpoints.of(tmp_path, {})
    kept.begin()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        kept.write(ROW, ARRAY)
    assert ROW not in kept
    assert [path.name for path in kept.folder.iterdir()] == ["manifest.json"]


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="Choose another --out"):
        Checkpoints.of(tmp_path / "file", {}).begin()
