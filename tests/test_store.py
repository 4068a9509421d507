"""The store: what is written is read back, nothing is ever half there, and what is broken is said to be."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from valens.errors import StoreError
from valens.files.atomic import machine
from valens.representations.prompts import Tokens
from valens.store import shards
from valens.store.shards import Shard, row_of
from valens.store.store import MANIFEST, ActivationStore, Collection

IDENTITY = {"weights": "abc", "dtype": "float32"}


def texts(*numbers: int) -> list[Tokens]:
    return [Tokens((number,), (True,), truncated=False) for number in numbers]


def rows(*numbers: int) -> list[bytes]:
    return [row_of(text) for text in texts(*numbers)]


def vectors(*numbers: int, layers: int = 3, d: int = 4) -> torch.Tensor:
    """[layer, row, d], each number telling its layer and row."""
    place = torch.arange(layers)[:, None, None] * 100.0 + torch.tensor(numbers)[None, :, None]
    return place + torch.arange(d) / 10


@pytest.fixture
def collection(tmp_path: pathlib.Path) -> Collection:
    return ActivationStore(tmp_path / "store").collection(IDENTITY, {"model": "tiny"})


def reopened(collection: Collection) -> Collection:
    return ActivationStore(collection.folder.parent).find(collection.key)


def test_what_is_written_is_read_back_in_any_order_and_with_repeats(collection: Collection) -> None:
    collection.write(texts(1, 2, 3), {"values/mean": vectors(1, 2, 3)})
    collection.write(texts(4, 5), {"values/mean": vectors(4, 5)})
    for place in (collection, reopened(collection)):
        for layer in range(3):
            read = place.read("values/mean", layer, rows(5, 2, 2, 1))
            np.testing.assert_array_equal(read, vectors(5, 2, 2, 1)[layer].numpy())
            assert read.dtype == np.float32


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True), min_size=1, max_size=5), st.data())
def test_any_shards_answer_any_question(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], data: st.DataObject
) -> None:
    store = ActivationStore(tmp_path_factory.mktemp("store"))
    collection = store.collection(IDENTITY, {})
    for part in parts:
        collection.write(texts(*part), {"hidden/last": vectors(*part)})
    there = sorted({number for part in parts for number in part})
    asked = data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=10))
    np.testing.assert_array_equal(collection.read("hidden/last", 1, rows(*asked)), vectors(*asked)[1].numpy())


def test_a_shard_is_plain_safetensors_named_after_its_bytes(collection: Collection) -> None:
    path = collection.write(texts(7, 8), {"values/mean": vectors(7, 8)})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    tensors = load_file(path)
    assert tensors["rows"].dtype == torch.uint8
    assert tensors["rows"].shape == (2, 32)
    assert tensors["rows"][0].numpy().tobytes() == hashlib.sha256(np.array([7], dtype="<u4").tobytes()).digest()
    torch.testing.assert_close(tensors["values/mean"], vectors(7, 8), rtol=0, atol=0)
    manifest = json.loads((collection.folder / MANIFEST).read_text())
    assert manifest["identity"] == IDENTITY
    assert manifest["about"]["model"] == "tiny"


def test_the_same_content_makes_the_same_file(tmp_path: pathlib.Path) -> None:
    names = set()
    for place in range(5):
        collection = ActivationStore(tmp_path / str(place)).collection(IDENTITY, {})
        names.add(collection.write(texts(1, 2), {"values/mean": vectors(1, 2), "hidden/mean": vectors(1, 2)}).name)
    assert len(names) == 1


def test_one_layer_is_one_contiguous_slice_of_the_file(collection: Collection) -> None:
    path = collection.write(texts(1, 2), {"values/mean": vectors(1, 2)})
    raw = path.read_bytes()
    assert vectors(1, 2)[1].numpy().tobytes() in raw


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_kept_as_it_is_and_read_as_float32(collection: Collection, dtype: torch.dtype) -> None:
    kept = vectors(1, 2).to(dtype)
    path = collection.write(texts(1, 2), {"values/mean": kept})
    assert load_file(path)["values/mean"].dtype == dtype
    np.testing.assert_array_equal(collection.read("values/mean", 2, rows(1, 2)), kept[2].float().numpy())


def test_readings_of_one_row_may_lie_in_different_shards(collection: Collection) -> None:
    collection.write(texts(1), {"values/mean": vectors(1)})
    collection.write(texts(1, 2), {"hidden/mean": vectors(1, 2, d=6)})
    assert collection.lacks("values/mean", rows(1, 2)) == rows(2)
    assert collection.lacks("hidden/mean", rows(1, 2)) == []
    assert collection.readings() == {"hidden/mean": 2, "values/mean": 1}
    assert collection.rows() == set(rows(1, 2))


def test_a_row_that_is_not_there_is_an_error(collection: Collection) -> None:
    collection.write(texts(1), {"values/mean": vectors(1)})
    with pytest.raises(StoreError, match=r"1 of 2 texts have no values/mean.*Extract them first"):
        collection.read("values/mean", 0, rows(1, 2))


@pytest.mark.parametrize("version", [1, 3])
def test_a_store_of_another_format_is_refused_in_one_line(tmp_path: pathlib.Path, version: int) -> None:
    ActivationStore(tmp_path).collection(IDENTITY | {"format": version}, {}).write(
        texts(1), {"values/mean": vectors(1)}
    )
    with pytest.raises(
        StoreError, match=rf"format {version}; .* format 2\. Read the texts again into a new --store, or use"
    ):
        ActivationStore(tmp_path)


def test_the_key_is_the_content_of_the_identity_alone(tmp_path: pathlib.Path) -> None:
    store, other = ActivationStore(tmp_path / "a"), ActivationStore(tmp_path / "b")
    key = store.collection({"a": 1, "b": {"c": 2}}, {"model": "x"}).key
    assert key == other.collection({"b": {"c": 2}, "a": 1}, {"model": "y"}).key
    assert key != store.collection({"a": 1, "b": {"c": 3}}, {"model": "x"}).key


def test_rows_tell_apart_what_the_model_reads_and_pools() -> None:
    def row(ids: tuple[int, ...], pooling_mask: tuple[bool, ...] = (True, True), *, truncated: bool = False) -> bytes:
        return row_of(Tokens(ids, pooling_mask, truncated))

    assert row((1, 2)) != row((2, 1))
    assert row((1, 2)) != row((1, 2), (False, True))
    assert row((1, 256)) != row((1, 0))
    assert row((1, 2)) == row((1, 2), truncated=True)


def test_a_sample_tells_what_the_model_read(collection: Collection) -> None:
    odd = Tokens((5, 6, 7), (False, True, True), truncated=False)
    collection.write([*texts(1, 2), odd], {"values/mean": vectors(1, 2, 3)})
    collection.write(texts(9), {"values/mean": vectors(9)})
    found = dict(reopened(collection).sample(10, seed=0))
    assert found == {row_of(text): text for text in [*texts(1, 2, 9), odd]}
    assert len(collection.sample(2, seed=0)) == 2
    assert collection.sample(2, seed=0) == reopened(collection).sample(2, seed=0)


def test_nothing_is_made_until_something_is_written(tmp_path: pathlib.Path) -> None:
    ActivationStore(tmp_path / "store").collection(IDENTITY, {}).begin()
    assert not (tmp_path / "store").exists()


class TestPathsThatAreNoStore:
    def test_a_file(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="is a file"):
            ActivationStore(tmp_path / "file")

    def test_a_folder_of_other_things(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(StoreError, match="none of them is an activation store's"):
            ActivationStore(tmp_path)

    def test_what_a_writer_leaves_who_was_killed_at_his_first_file_is_no_obstacle(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "3f2a").mkdir()
        (tmp_path / "3f2a" / ".host-1-ab.tmp").write_text("half a man")
        assert ActivationStore(tmp_path).collections() == []

    def test_a_collection_of_some_model(self, collection: Collection) -> None:
        collection.write(texts(1), {"values/mean": vectors(1)})
        with pytest.raises(StoreError, match=r"one collection of a store, made by tiny. Give the store's own folder"):
            ActivationStore(collection.folder)

    def test_a_manifest_that_is_none(self, collection: Collection) -> None:
        collection.write(texts(1), {"values/mean": vectors(1)})
        (collection.folder / MANIFEST).write_text("{")
        with pytest.raises(StoreError, match="is not a valid manifest"):
            ActivationStore(collection.folder.parent).collections()

    def test_a_key_that_is_not_there(self, collection: Collection) -> None:
        collection.write(texts(1), {"values/mean": vectors(1)})
        with pytest.raises(StoreError, match="No collections"):
            ActivationStore(collection.folder.parent).find("zz")


class TestWhenWritingFails:
    """Whatever call fails, the error names the path and the bytes, no temporary file stays, and old rows are there."""

    FAILING = ("open", "write", "fsync", "replace", "mkdir")

    @pytest.mark.parametrize("call", FAILING)
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
    def test_the_store_stays_valid(
        self, collection: Collection, monkeypatch: pytest.MonkeyPatch, call: str, code: int
    ) -> None:
        collection.write(texts(1), {"values/mean": vectors(1)})
        with monkeypatch.context() as patch:
            self.fail(patch, call, code)
            with pytest.raises(StoreError, match=r"could not be written to .*; 48 bytes were to go there") as failure:
                collection.write(texts(2), {"values/mean": vectors(2)})
        assert str(collection.folder) in str(failure.value)
        assert not list(collection.folder.glob(".*"))
        again = reopened(collection)
        assert again.lacks("values/mean", rows(1, 2)) == rows(2)
        np.testing.assert_array_equal(again.read("values/mean", 0, rows(1)), vectors(1)[0].numpy())
        collection.write(texts(2), {"values/mean": vectors(2)})
        assert reopened(collection).lacks("values/mean", rows(1, 2)) == []

    @pytest.mark.parametrize("call", FAILING)
    def test_a_first_write_leaves_no_half_collection(
        self, collection: Collection, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        with monkeypatch.context() as patch:
            self.fail(patch, call, errno.ENOSPC)
            with pytest.raises(StoreError):
                collection.write(texts(2), {"values/mean": vectors(2)})
        assert not list(collection.folder.glob("*.tmp"))
        collection.write(texts(2), {"values/mean": vectors(2)})
        assert reopened(collection).lacks("values/mean", rows(2)) == []

    @staticmethod
    def fail(patch: pytest.MonkeyPatch, call: str, code: int) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        if call == "write":
            real = pathlib.Path.open

            def opened(self, *args, **kwargs):
                file = real(self, *args, **kwargs)
                return _Unwritable(file, code) if "b" in str(args) and "x" in str(args) else file

            patch.setattr(pathlib.Path, "open", opened)
        elif call == "fsync":
            patch.setattr(os, "fsync", refuse)
        else:
            patch.setattr(pathlib.Path, call, refuse)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
    def test_a_disk_that_is_really_full(self, tmp_path: pathlib.Path) -> None:
        small = tmp_path / "small"
        small.mkdir()
        if os.system(f"mount -t tmpfs -o size=256k tmpfs '{small}' 2>/dev/null") != 0:
            pytest.skip("this machine lets nobody mount")
        try:
            collection = ActivationStore(small / "store").collection(IDENTITY, {})
            written: list[int] = []

            def fill() -> None:
                for number in range(100):
                    collection.write(texts(number), {"values/mean": vectors(number, d=1000)})
                    written.append(number)

            with pytest.raises(StoreError, match=r"No space left on device"):
                fill()
            assert written
            again = ActivationStore(small / "store", check=True).find(collection.key)
            np.testing.assert_array_equal(
                again.read("values/mean", 1, rows(*written)), vectors(*written, d=1000)[1].numpy()
            )
            assert not list(collection.folder.glob(".*"))
        finally:
            os.system(f"umount -l '{small}'")


class _Unwritable:
    """A file whose write fails when half is written."""

    def __init__(self, file, code: int) -> None:
        self.file, self.code = file, code

    def __enter__(self) -> _Unwritable:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[: len(content) // 2])
        raise OSError(self.code, os.strerror(self.code))


class TestBrokenShards:
    @pytest.fixture
    def path(self, collection: Collection) -> pathlib.Path:
        return collection.write(texts(1, 2), {"values/mean": vectors(1, 2)})

    @pytest.mark.parametrize("damage", ["flipped", "missing", "extra"])
    def test_a_damaged_byte_is_found(self, path: pathlib.Path, damage: str) -> None:
        raw = bytearray(path.read_bytes())
        if damage == "flipped":
            raw[-3] ^= 1
        elif damage == "missing":
            del raw[-3]
        else:
            raw.append(0)
        assert shards.intact(path)
        path.write_bytes(raw)
        assert not shards.intact(path)
        with pytest.raises(StoreError, match="does not hold the bytes that its name says"):
            Shard(path, check=True)

    def test_reading_with_a_check_trusts_no_name(self, path: pathlib.Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[-3] ^= 1
        path.write_bytes(raw)
        store = path.parent.parent
        unchecked = ActivationStore(store).find(path.parent.name)
        assert unchecked.read("values/mean", 0, rows(1)).shape == (1, 4)
        with pytest.raises(StoreError, match="verify --quarantine"):
            ActivationStore(store, check=True).find(path.parent.name).read("values/mean", 0, rows(1))

    @pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
    def test_rubbish_is_named(self, path: pathlib.Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(StoreError, match="cannot be read") as failure:
            reopened(Collection(path.parent, IDENTITY, {})).read("values/mean", 0, rows(1))
        assert str(path) in str(failure.value)


class TestTemporaries:
    def test_what_a_killed_writer_left_is_cleared_and_a_living_one_is_not_touched(self, collection: Collection) -> None:
        collection.write(texts(1), {"values/mean": vectors(1)})
        dead = collection.folder / f".{machine()}-{2**22 + 1}-{'ab' * 16}.tmp"
        living = collection.folder / f".{machine()}-{os.getpid()}-{'cd' * 16}.tmp"
        strange = collection.folder / f".other-host-17-{'ef' * 16}.tmp"
        old = collection.folder / f".other-host-17-{'aa' * 16}.tmp"
        for path in (dead, living, strange, old):
            path.touch()
        os.utime(old, (0, 0))
        reopened(collection).begin()
        assert [path.exists() for path in (dead, living, strange, old)] == [False, True, True, False]

    def test_a_store_that_cannot_be_written_to_can_be_read(
        self, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        collection.write(texts(1), {"values/mean": vectors(1)})

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(os, "utime", refuse)
        monkeypatch.setattr(pathlib.Path, "unlink", refuse)
        (collection.folder / f".{machine()}-{2**22 + 1}-{'ab' * 16}.tmp").touch()
        again = reopened(collection)
        again.begin()
        assert again.read("values/mean", 0, rows(1)).shape == (1, 4)


def test_two_stores_join_by_copying_files(tmp_path: pathlib.Path) -> None:
    for name, numbers in (("a", (1, 2)), ("b", (2, 3))):
        ActivationStore(tmp_path / name).collection(IDENTITY, {}).write(
            texts(*numbers), {"values/mean": vectors(*numbers)}
        )
    shutil.copytree(tmp_path / "b", tmp_path / "a", dirs_exist_ok=True)
    (joined,) = ActivationStore(tmp_path / "a").collections()
    np.testing.assert_array_equal(joined.read("values/mean", 0, rows(1, 2, 3)), vectors(1, 2, 3)[0].numpy())


def test_what_another_process_wrote_is_noticed_when_a_run_begins(collection: Collection) -> None:
    other = Collection(collection.folder, IDENTITY, {})
    assert collection.rows() == set()
    other.write(texts(9), {"values/mean": vectors(9)})
    collection.begin()
    assert collection.lacks("values/mean", rows(9)) == []
