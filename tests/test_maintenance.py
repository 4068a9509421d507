"""Looking after a store: what is broken is found and set aside, stores join, and the least used goes first."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from valens.commands.store import app
from valens.errors import StoreError
from valens.files.atomic import machine, write_bytes
from valens.representations.prompts import Tokens
from valens.store.maintenance import ASIDE, difference, merge, prunable, remove, size, summary, verify
from valens.store.shards import row_of
from valens.store.store import ActivationStore, Collection


def texts(*numbers: int) -> list[Tokens]:
    return [Tokens((number,), (True,), truncated=False) for number in numbers]


def filled(store: Path, *numbers: int, model: str = "tiny", dtype: str = "float32") -> Collection:
    collection = ActivationStore(store).collection({"dtype": dtype, "prompt": {"bos": "never"}}, {"model": model})
    for number in numbers:
        collection.write(texts(number), {"values/mean": torch.full((2, 1, 3), float(number))})
    return collection


def damage(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class TestVerify:
    def test_a_sound_store(self, tmp_path: Path) -> None:
        filled(tmp_path, 1, 2)
        assert verify(ActivationStore(tmp_path)) == (2, [])
        assert run("verify", "--store", tmp_path).exit_code == 0

    def test_a_broken_shard_is_named_and_set_aside_and_its_rows_are_lacking(self, tmp_path: Path) -> None:
        collection = filled(tmp_path, 1, 2, 3)
        broken = collection.paths[1]
        damage(broken)
        assert verify(ActivationStore(tmp_path)) == (3, [broken])
        told = run("verify", "--store", tmp_path)
        assert told.exit_code == 1
        assert str(broken) in told.stdout
        assert broken.exists()
        found = json.loads(run("verify", "--store", tmp_path, "--quarantine", "--json").stdout)
        assert found == {"store": str(tmp_path), "shards": 3, "broken": [str(broken)], "set_aside": True}
        assert broken.with_name(broken.name + ASIDE).exists()
        assert run("verify", "--store", tmp_path).exit_code == 0
        (again,) = ActivationStore(tmp_path, check=True).collections()
        lacking = again.lacks("values/mean", [row_of(text) for text in texts(1, 2, 3)])
        assert len(lacking) == 1
        number = next(number for number in (1, 2, 3) if row_of(texts(number)[0]) in lacking)
        again.write(texts(number), {"values/mean": torch.full((2, 1, 3), float(number))})
        assert again.lacks("values/mean", [row_of(text) for text in texts(1, 2, 3)]) == []


class TestMerge:
    def test_the_target_gets_what_it_lacks(self, tmp_path: Path) -> None:
        filled(tmp_path / "a", 1, 2)
        filled(tmp_path / "a", 7, dtype="bfloat16")
        filled(tmp_path / "b", 2, 3)
        assert merge(ActivationStore(tmp_path / "a"), ActivationStore(tmp_path / "b")) == 2
        assert merge(ActivationStore(tmp_path / "a"), ActivationStore(tmp_path / "b")) == 0
        joined = filled(tmp_path / "b")
        rows = [row_of(text) for text in texts(1, 2, 3)]
        np.testing.assert_array_equal(joined.read("values/mean", 1, rows)[:, 0], [1, 2, 3])
        assert len(ActivationStore(tmp_path / "b").collections()) == 2

    def test_into_a_store_that_is_not_there_yet(self, tmp_path: Path) -> None:
        filled(tmp_path / "a", 1)
        assert json.loads(run("merge", tmp_path / "a", tmp_path / "new", "--json").stdout)["copied"] == 1
        assert summary(ActivationStore(tmp_path / "new").collections()[0]).rows == 1

    def test_a_broken_shard_is_not_copied(self, tmp_path: Path) -> None:
        damage(filled(tmp_path / "a", 1).paths[0])
        with pytest.raises(StoreError, match="does not hold the bytes"):
            merge(ActivationStore(tmp_path / "a"), ActivationStore(tmp_path / "b"))
        assert not list((tmp_path / "b").rglob("*.safetensors"))


class TestRemoving:
    @pytest.fixture
    def three(self, tmp_path: Path) -> list[Collection]:
        """Three collections, the least recently used first."""
        made = [filled(tmp_path, 1, dtype=dtype) for dtype in ("float32", "bfloat16", "float16")]
        for age, collection in enumerate(made):
            os.utime(collection.folder / "manifest.json", (1000 + age, 1000 + age))
        return made

    def test_the_least_recently_used_goes_first(self, tmp_path: Path, three: list[Collection]) -> None:
        store, total = ActivationStore(tmp_path), sum(map(size, three))
        assert prunable(store, total) == []
        assert [one.key for one in prunable(store, total - 1)] == [three[0].key]
        assert [one.key for one in prunable(store, size(three[2]))] == [three[0].key, three[1].key]
        three[0].begin()
        assert [one.key for one in prunable(store, total - 1)] == [three[1].key]

    def test_nothing_is_removed_without_a_yes(self, tmp_path: Path, three: list[Collection]) -> None:
        for arguments in (
            ("prune", "--keep-bytes", "1", "--store", tmp_path),
            ("rm", three[0].key, "--store", tmp_path),
        ):
            refused = CliRunner().invoke(app, [str(argument) for argument in arguments], input="n\n")
            assert refused.exit_code == 1
            assert len(ActivationStore(tmp_path).collections()) == 3
        agreed = CliRunner().invoke(app, ["rm", three[0].key[:8], "--store", str(tmp_path)], input="y\n")
        assert agreed.exit_code == 0
        found = json.loads(run("prune", "--keep-bytes", "0KB", "--store", tmp_path, "--yes", "--json").stdout)
        assert sorted(found["removed"]) == sorted(one.key for one in three[1:])
        assert found["bytes"] > 0
        assert ActivationStore(tmp_path).collections() == []

    def test_what_cannot_be_removed_is_named(self, three: list[Collection], monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("valens.store.maintenance.shutil.rmtree", refuse)
        with pytest.raises(StoreError, match=f"{three[0].folder} could not be changed .Permission denied"):
            remove(three[:1])

    @pytest.mark.parametrize(
        ("text", "number"), [("20GB", 20_000_000_000), ("1.5 MB", 1_500_000), ("77", 77), ("3k", 3000)]
    )
    def test_sizes(self, text: str, number: int) -> None:
        from valens.commands.store import _parse_bytes

        assert _parse_bytes(text) == number
        with pytest.raises(StoreError, match="is not a valid size"):
            _parse_bytes(text + " apples")


class TestLooking:
    def test_what_differs(self, tmp_path: Path) -> None:
        one, other = filled(tmp_path, 1), filled(tmp_path, 1, dtype="bfloat16")
        assert difference(one, other) == {"dtype": ("float32", "bfloat16")}
        assert difference(one, one) == {}
        found = json.loads(run("diff", one.key, other.key, "--store", tmp_path, "--json").stdout)
        assert found == {"dtype": ["float32", "bfloat16"]}
        assert "same way" in run("diff", one.key, one.key, "--store", tmp_path).stdout

    def test_ls_and_info(self, tmp_path: Path) -> None:
        collection = filled(tmp_path, 1, 2)
        (listed,) = json.loads(run("ls", "--store", tmp_path, "--json").stdout)["collections"]
        assert listed["key"] == collection.key
        assert (listed["model"], listed["rows"], listed["shards"]) == ("tiny", 2, 2)
        assert listed["readings"] == {"values/mean": 2}
        assert listed["bytes"] == sum(path.stat().st_size for path in collection.folder.iterdir())
        assert listed["created"].startswith("20")
        table = run("ls", "--store", tmp_path).stdout
        assert collection.key[:12] in table
        assert "values/mean" in table
        told = json.loads(run("info", collection.key[:6], "--store", tmp_path, "--json").stdout)
        assert told["identity"] == collection.identity
        assert "prompt.bos" in run("info", collection.key[:6], "--store", tmp_path).stdout

    def test_no_store_is_an_error_and_nothing_is_made(self, tmp_path: Path) -> None:
        for arguments in (("ls",), ("verify",), ("info", "ab"), ("rm", "ab"), ("prune", "--keep-bytes", "1")):
            result = run(*arguments, "--store", tmp_path / "nowhere")
            assert isinstance(result.exception, StoreError)
        assert not (tmp_path / "nowhere").exists()


class TestBesideWriters:
    def test_a_merge_that_was_killed_leaves_a_store_and_is_gone_on_with(self, tmp_path, monkeypatch):
        """After each of its files in turn: what is there is a store of fewer shards, and the next merge copies the rest."""
        source = filled(tmp_path / "a", 1, 2, 3)
        whole = [path.name for path in source.paths]
        for killed_after in range(4):
            target, copied = tmp_path / f"target {killed_after}", []

            def write(path: Path, content: bytes, copied: list[Path] = copied, last: int = killed_after) -> None:
                if len(copied) == last:
                    raise KeyboardInterrupt
                copied.append(path)
                write_bytes(path, content)

            with monkeypatch.context() as patch:
                patch.setattr("valens.store.maintenance.write_bytes", write)
                with pytest.raises(KeyboardInterrupt):
                    merge(ActivationStore(tmp_path / "a"), ActivationStore(target))
            found = ActivationStore(target).collections()
            assert [len(collection.paths) for collection in found] == ([killed_after - 1] if killed_after else [])
            merge(ActivationStore(tmp_path / "a"), ActivationStore(target))
            (done,) = ActivationStore(target).collections()
            assert [path.name for path in done.paths] == whole

    def test_what_a_writer_renames_meanwhile_is_of_no_size(self, tmp_path, monkeypatch):
        collection = filled(tmp_path, 1)
        gone = collection.folder / f".{machine()}-1-{'ab' * 16}.tmp"
        before, listed = size(collection), Path.iterdir
        monkeypatch.setattr(Path, "iterdir", lambda self: [*listed(self), gone])
        assert size(collection) == before
        assert run("ls", "--store", tmp_path).exit_code == 0
