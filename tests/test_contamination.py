"""What two suites share: by hand, and on a mirror through the command."""

from __future__ import annotations

import datasets
import pytest
from mirrors import splits
from shell import shell  # noqa: F401

from valens.suites.contamination import common, warning
from valens.tasks import Classification, Sts, Suite

CHOOSING = Sts(
    "Choosing",
    ("A dog runs.", "A cat sleeps.", "It rains.", "Snow falls"),
    first=(0, 2, 0),
    second=(1, 3, 2),
    gold=(1.0, 2.0, 3.0),
)
JUDGING = Sts(
    "Judging", ("a cat sleeps", "A DOG RUNS!", "it rains", "sun"), first=(0, 2), second=(1, 3), gold=(0.0, 5.0)
)
LABELLED = Classification("Labelled", ("Sun.", "moon", "snow-falls", "..."), ("a", "b", "a", "b"), (0, 1), (2, 3))


def suite(name, *tasks):
    return Suite(name, tasks)


def test_texts_and_pairs_are_counted_whatever_their_signs_case_and_order():
    rows = common(suite("one", CHOOSING), suite("two", JUDGING, LABELLED))
    assert [(row.task, row.other, row.unit, row.shared, row.of) for row in rows] == [
        ("Choosing", "Judging", "text", 3, 4),
        ("Choosing", "Judging", "pair", 1, 3),
        ("Choosing", "Labelled", "text", 1, 4),
    ]
    assert rows[1].examples == ((("A dog runs.", "A cat sleeps."), ("a cat sleeps", "A DOG RUNS!")),)
    assert rows[2].examples == (("Snow falls", "snow-falls"),)
    assert rows[0].share == 0.75


def test_a_pair_that_a_task_holds_twice_counts_twice():
    twice = Sts("Twice", ("x", "y", "z"), (0, 1, 0), (1, 0, 2), (1.0, 2.0, 3.0))
    found = common(suite("a", twice), suite("b", Sts("Once", ("x", "y", "w"), (0, 1), (1, 2), (1.0, 2.0))))
    assert [(row.unit, row.shared) for row in found] == [("text", 2), ("pair", 2)]


def test_a_suite_shares_everything_with_itself():
    assert all(row.share == 1 for row in common(suite("one", LABELLED), suite("one", LABELLED)))


def test_the_warning_names_both_and_counts():
    text = warning(suite("paper", CHOOSING), suite("later", JUDGING))
    assert "paper and later have texts in common (3 of 4 texts and 1 of 3 pairs of Choosing are in Judging)" in text
    assert "flatter" in text
    assert warning(suite("a", JUDGING), suite("b", Classification("L", ("p", "q"), ("a", "b"), (0, 1), (1,)))) is None


@pytest.fixture
def overlap(shell, tmp_path, monkeypatch):  # noqa: F811
    """The command on a mirror of two small sets."""
    rows = [
        {"sentence1": "A dog.", "sentence2": "A cat.", "score": 1.0},
        {"sentence1": "x", "sentence2": "y", "score": 2.0},
    ]
    splits(tmp_path / "mteb/sts15-sts", test=rows)
    other = [
        {"sentence1": "a cat", "sentence2": "a dog", "score": 1.0},
        {"sentence1": "[u]", "sentence2": "v", "score": 2.0},
    ]
    splits(tmp_path / "mteb/stsbenchmark-sts", test=other)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    return lambda *words: shell("overlap", *words, "--data-root", tmp_path)


def test_the_command_counts_and_shows(overlap):
    ended = overlap("mteb:STS15", "mteb:STSBenchmark,NFCorpus")
    out = ended.out
    assert ended.code == 0
    assert "Left out: NFCorpus: the mirror" in out
    assert [line.split() for line in out.splitlines() if "50.0%" in line] == [
        ["STS15", "STSBenchmark", "text", "2", "4", "50.0%"],
        ["STS15", "STSBenchmark", "pair", "1", "2", "50.0%"],
    ]
    assert "A dog. | A cat." in out
    assert "= a cat | a dog" in out


def test_the_command_as_json(overlap):
    ended = overlap("mteb:STS15", "mteb:STSBenchmark", "--json", "--examples", 1)
    found = ended.json
    assert ended.code == 0
    assert found["left_out"] == []
    assert found["shared"][1]["examples"] == [[["A dog.", "A cat."], ["a cat", "a dog"]]]
    assert found["shared"][1]["share"] == 0.5


def test_the_command_says_that_there_is_nothing(overlap):
    assert "mteb:STS15 and LeeSTS have no text in common." in overlap("mteb:STS15", "LeeSTS").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mteb:STS155", "builtin"), "Did you mean STS15"),
        (("mteb:STS15,NFCorpus", "builtin", "--strict"), "has no folder mteb/nfcorpus"),
        (("LeeSTT", "builtin"), "Did you mean LeeSTS"),
        (("builtin", "LeeSTS"), "builtin is not read from the hub, nor from a mirror of it. Leave --data-root out."),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(overlap, words, message):
    ended = overlap(*words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
