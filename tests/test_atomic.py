"""Files are whole or not there, and what a killed writer leaves is no data and does not stay."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import valens as vl
from probes.report import write_report
from valens.errors import ResultError
from valens.files.atomic import (
    TEMPORARY,
    machine,
    make_folder,
    replace,
    sweep_temporaries,
    writable_folder,
    writable_folder_for,
    write_bytes,
)
from valens.results.result import Result

RESULT = Result("of-mine", pd.DataFrame({"layer": [1, 2], "score": [0.25, 0.5]}), {})

KILLED = """
import os, signal, sys
from pathlib import Path
from valens.files.atomic import replace

def half(temporary):
    temporary.write_bytes(b"PAR1 half of a table")
    os.kill(os.getpid(), signal.SIGKILL)

replace(Path(sys.argv[1]), half)
"""


def kill_a_writer(path: Path) -> Path:
    """Let another process write half of a file and be killed; return what it leaves."""
    command = [sys.executable, "-c", KILLED, str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = path.parent.glob(TEMPORARY)
    assert not path.exists()
    return left


def test_what_a_killed_writer_leaves_beside_a_result_is_not_taken_for_data(tmp_path: Path) -> None:
    RESULT.save(tmp_path)
    kill_a_writer(tmp_path / "ranks.parquet")
    assert list(tmp_path.glob("*.parquet")) == [tmp_path / "scores.parquet"]
    assert vl.read_result(tmp_path).table.equals(RESULT.table)


@pytest.mark.parametrize(
    "write",
    [
        RESULT.save,
        writable_folder,
        lambda folder: replace(folder / "vectors.npy", lambda path: path.write_bytes(b"")),
        lambda folder: (RESULT.save(folder / "below"), write_report(folder)),
    ],
    ids=["a result", "a folder", "a file", "a page"],
)
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path, write: Callable[[Path], object]) -> None:
    left = kill_a_writer(tmp_path / "scores.parquet")
    write(tmp_path)
    assert not left.exists()


def test_what_others_write_now_is_left_alone(tmp_path: Path) -> None:
    def save_meanwhile(temporary: Path) -> None:
        temporary.write_text("first half,")
        RESULT.save(tmp_path)
        temporary.write_text("both halves")

    replace(tmp_path / "notes.txt", save_meanwhile)
    assert (tmp_path / "notes.txt").read_text() == "both halves"


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vectors.npy"
    synced, fsync = [], os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        assert not path.exists()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_bytes(path, b"four")
    path.unlink()
    replace(path, lambda temporary: temporary.write_bytes(b"seven.."))
    assert synced == [4, 7]


def test_each_writer_refuses_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store says of what it could not write more than a result does, so it is given the machine's error."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "shard", b"")
    with pytest.raises(ResultError, match=r"page cannot be written \(No space left on device\)"):
        replace(tmp_path / "page", lambda temporary: temporary.touch())
    assert not list(tmp_path.iterdir())


def test_a_process_of_another_container_is_not_taken_for_a_dead_one_of_this(tmp_path: Path) -> None:
    """Containers share the name of a machine; a pid of one says nothing in another."""
    elsewhere = f"{socket.gethostname()}-0123abcd"
    other, dead = (tmp_path / f".{host}-{2**22 + 1}-{'ab' * 16}.tmp" for host in (elsewhere, machine()))
    other.touch()
    dead.touch()
    (tmp_path / f".{machine()}-{'9' * 30}-{'ab' * 16}.tmp").touch()  # no process: no name of ours
    sweep_temporaries(tmp_path)
    assert other.exists()
    assert not dead.exists()


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        make_folder(tmp_path / "of mine", fail)
    assert not list(tmp_path.iterdir())
    make_folder(tmp_path / "of mine", lambda folder: (folder / "whole").touch())
    assert [path.name for path in tmp_path.rglob("*")] == ["of mine", "whole"]
    left = tmp_path / f".{machine()}-{2**22 + 1}-{'cd' * 16}.tmp"
    left.mkdir()
    (left / "half").touch()
    sweep_temporaries(tmp_path)
    assert not left.exists()


def test_a_folder_of_which_nothing_came_is_not_left(tmp_path: Path) -> None:
    for existed in (False, True):
        folder = tmp_path / f"existed {existed}"
        if existed:
            folder.mkdir()
        with pytest.raises(ResultError, match="Nothing"), writable_folder_for(folder):
            raise ResultError("Nothing can be done.")
        assert folder.exists() is existed
    with writable_folder_for(tmp_path / "new") as folder:
        (folder / "scores").touch()
    assert (tmp_path / "new" / "scores").exists()
