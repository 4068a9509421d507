"""LongBench v2 from a mirror of the hub's files, and what is said when there is neither mirror nor hub."""

from __future__ import annotations

import json
import time
from pathlib import Path

import datasets
import pytest

from valens.corpora import corpus
from valens.corpora.longbench import FORMER_HUB_ID, HUB_ID
from valens.errors import CorpusError

QUESTIONS = [
    {"_id": "q1", "question": "Who?", "choice_A": "A", "answer": "A", "length": "short", "context": "A long text."},
    {"_id": "q2", "question": "Why?", "choice_A": "B", "answer": "B", "length": "short", "context": "Another one."},
    {"_id": "q3", "question": "When?", "choice_A": "C", "answer": "C", "length": "long", "context": "A long text."},
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def mirror(root: Path, hub_id: str = HUB_ID) -> Path:
    """The file that the hub has, in a folder named as there."""
    folder = root / hub_id
    folder.mkdir(parents=True)
    (folder / "data.json").write_text(json.dumps(QUESTIONS))
    return folder


@pytest.mark.parametrize("hub_id", [HUB_ID, FORMER_HUB_ID])
def test_the_different_contexts_of_a_mirror(tmp_path: Path, hub_id: str) -> None:
    folder = mirror(tmp_path, hub_id)
    read = corpus("longbench-v2", data_root=tmp_path)
    assert (read.texts, read.ids) == (("A long text.", "Another one."), ("q1", "q2"))
    assert read.source == f"{folder}, field `context`, ids from `_id`"
    assert read.notes == ("left out: 1 that repeat an earlier one",)


def test_a_mirror_reads_as_its_file_does(tmp_path: Path) -> None:
    folder = mirror(tmp_path)
    mirrored, alone = corpus("longbench-v2", data_root=tmp_path, limit=1), corpus(folder / "data.json", limit=1)
    assert (mirrored.texts, mirrored.ids) == (alone.texts, alone.ids)


def test_another_field_may_be_asked_for(tmp_path: Path) -> None:
    mirror(tmp_path)
    assert corpus("longbench-v2", data_root=tmp_path, field="question").texts == ("Who?", "Why?", "When?")
    with pytest.raises(CorpusError, match=r"no field `text`.*`context`"):
        corpus("longbench-v2", data_root=tmp_path, field="text")


def test_without_a_hub_the_way_out_is_told_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(CorpusError, match=rf"from {HUB_ID} .*--data-root DIR") as error:
        corpus("longbench-v2")
    assert time.monotonic() - started < 10, "offline, nothing is to be tried again and again"
    assert "\n" not in str(error.value)


def test_a_mirror_without_it_is_told_by_the_folders_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no mirror of longbench-v2") as error:
        corpus("longbench-v2", data_root=tmp_path)
    assert str(tmp_path / HUB_ID) in str(error.value)


@pytest.mark.parametrize("data", [None, "", '[{"context": "a"', '{"context": [1'])
def test_a_mirror_that_cannot_be_read_is_named(tmp_path: Path, data: str | None) -> None:
    folder = tmp_path / HUB_ID
    folder.mkdir(parents=True)
    if data is not None:
        (folder / "data.json").write_text(data)
    with pytest.raises(CorpusError, match=r"LongBench-v2") as error:
        corpus("longbench-v2", data_root=tmp_path)
    assert "\n" not in str(error.value)


def test_bars_are_as_they_were(tmp_path: Path) -> None:
    mirror(tmp_path)
    before = datasets.are_progress_bars_disabled()
    corpus("longbench-v2", data_root=tmp_path)
    assert datasets.are_progress_bars_disabled() == before
