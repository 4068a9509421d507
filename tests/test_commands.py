"""`valens extract`, `valens audit` and `valens store drift`, on a tiny model in a folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny
from tiny import one_thread  # noqa: F401

from valens import cli
from valens.layers.sites import Stream
from valens.store.store import ActivationStore

LINES = ["w5 w6 w7 w8", "w9 w10", "", "w5 w6 w7 w8", "w11 w12 w13"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny-llama")
    tiny.network("llama").save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path
) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(LINES), encoding="utf-8")

    def called(*arguments: object) -> Ended:
        words = [str(argument) for argument in arguments]
        needs_model = words[0] in {"extract", "extract-tokens", "audit"} or "drift" in words
        monkeypatch.setattr(sys, "argv", ["valens", *words, *(["--model", str(folder)] if needs_model else [])])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        found = capsys.readouterr()
        return Ended(int(ended.value.code or 0), found.out, found.err)

    return called


class TestExtract:
    def test_every_different_line_is_read_once_and_then_never_again(self, run: Callable[..., Ended]) -> None:
        first = run("extract", "texts.txt", "--json").json
        assert (first["texts"], first["passes"], first["truncated"]) == (4, 3, 0)
        (collection,) = ActivationStore("activations").collections()
        assert collection.key == first["collection"]
        assert collection.readings() == {"hidden/mean": 3, "hidden/shares": 3, "values/mean": 3}
        again = run("extract", "texts.txt", "--check")
        assert again.out.startswith("0 of 4 texts read")

    def test_readings_limits_and_dtype_on_disk(self, run: Callable[..., Ended]) -> None:
        options = ("--read", "heads/last", "--limit", 1, "--stored", "bfloat16", "--max-tokens", 3, "--batch-tokens", 8)
        found = run("extract", "texts.txt", *options, "--json").json
        assert (found["texts"], found["passes"], found["truncated"]) == (1, 1, 1)
        (collection,) = ActivationStore("activations").collections()
        assert collection.identity["stored"] == "bfloat16"
        assert list(collection.readings()) == ["heads/last"]

    def test_what_it_would_cost(self, run: Callable[..., Ended]) -> None:
        found = run("extract", "texts.txt", "--dry-run", "--json").json
        assert (found["texts"], found["different_texts"], found["passes"]) == (4, 3, 3)
        assert not Path("activations").exists()

    def test_tokens_are_counted_and_refused_above_what_is_allowed(self, run: Callable[..., Ended]) -> None:
        wanted = ("values@2/tokens", "pattern@1/last")
        planned = run("extract-tokens", "texts.txt", *wanted, "--dry-run", "--json").json
        assert planned["bytes"] == 4 * (16 + 4) * (5 + 3 + 4)
        assert not Path("activations").exists()
        refused = run("extract-tokens", "texts.txt", *wanted, "--max-bytes", 100)
        assert refused.code == 2
        assert "raise --max-bytes" in refused.err
        assert run("extract-tokens", "texts.txt", *wanted, "--json").json["passes"] == 3
        assert run("extract-tokens", "texts.txt", *wanted, "--json").json["passes"] == 0

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, "cannot be read"), (b"", "has no text in it"), (b"caf\xe9\n", "is not UTF-8 .byte 3.")],
    )
    def test_files_that_are_no_texts(self, run: Callable[..., Ended], content: bytes | None, message: str) -> None:
        if content is not None:
            Path("other.txt").write_bytes(content)
        ended = run("extract", "other.txt")
        assert (ended.code, ended.out) == (2, "")
        assert len(ended.err.splitlines()) == 1
        assert re.search(message, ended.err)

    @pytest.mark.parametrize(
        "words",
        ["extract texts.txt --read values", "extract-tokens texts.txt values/mean", "extract texts.txt --stored int8"],
    )
    def test_readings_that_are_none(self, run: Callable[..., Ended], words: str) -> None:
        ended = run(*words.split())
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("Error: ")
        assert not Path("activations").exists()


class TestAudit:
    def test_a_table_and_json(self, run: Callable[..., Ended]) -> None:
        table = run("audit")
        assert table.code == 0
        assert "alone and batched" in table.out
        assert "cosine gap" in table.out
        found = run("audit", "--json", "--out", "kept").json
        streams = {row["reading"] for row in found["differences"]}
        assert streams == {f"{stream}/mean" for stream in Stream if stream is not Stream.PATTERN}
        assert max(row["relative"] for row in found["differences"] if "bfloat16" not in row["comparison"]) < 2e-5
        assert Path("kept/scores.parquet").exists()


class TestDrift:
    def test_what_is_stored_is_what_comes_now(self, run: Callable[..., Ended]) -> None:
        key = run("extract", "texts.txt", "--json").json["collection"]
        found = run("store", "drift", key[:8], "--sample", 2, "--json").json
        assert found["rows"] == 2
        assert {row["reading"] for row in found["differences"]} == {"hidden/mean", "values/mean"}
        assert max(row["relative"] for row in found["differences"]) < 2e-5
        assert "stored and read again" in run("store", "drift", key[:8]).out

    def test_a_store_made_by_another_model(self, run: Callable[..., Ended], tmp_path: Path) -> None:
        key = run("extract", "texts.txt", "--json").json["collection"]
        other = tmp_path / "other-llama"
        tiny.network("llama", seed=3).save_pretrained(other)
        tiny.tokenizer().save_pretrained(other)
        sys.argv = ["valens", "store", "drift", key[:8], "--model", str(other)]
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2


def test_a_damaged_shard_is_refused_with_check(run: Callable[..., Ended]) -> None:
    run("extract", "texts.txt")
    (path,) = Path("activations").glob("*/*.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    ended = run("extract", "texts.txt", "--check")
    assert ended.code == 2
    assert "does not hold the bytes that its name says" in ended.err
    verified = run("store", "verify", "--quarantine")
    assert verified.code == 1
    assert run("extract", "texts.txt", "--check", "--json").json["passes"] == 3
