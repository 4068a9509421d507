"""Scores are kept by all that they depend on, come back to the bit, and a damaged file is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_suite import RETRIEVAL, STS, SUITE

from valens.evaluation import kept_scores
from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.evaluate import evaluate
from valens.evaluation.kept_scores import kept_evaluation
from valens.tasks import Task

SETTINGS = {"resamples": 20, "seed": 0, "resamples_of_splits": 10, "exact": False}
VECTORS = {"collection": "c", "texts": "t", "reading": "values/mean", "layers": ["1", "2"]}


@pytest.fixture(autouse=True)
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept_scores, "cache_folder", lambda: tmp_path)
    return tmp_path / "scores"


def evaluated(task: Task = STS, seed: int = 0) -> Evaluation:
    vectors = np.random.default_rng(seed).normal(size=(2, len(task.texts), 4)).astype(np.float32)
    return evaluate(task, vectors, **SETTINGS)


def never() -> Evaluation:
    pytest.fail("it was computed again")


def same(one: Evaluation, other: Evaluation) -> bool:
    arrays = zip(arrays_of(one), arrays_of(other), strict=True)
    words = [(part.n, part.unit, part.sample) for part in (one, *one.splits)]
    return all(a.tobytes() == b.tobytes() and a.shape == b.shape for a, b in arrays) and words == [
        (part.n, part.unit, part.sample) for part in (other, *other.splits)
    ]


def arrays_of(evaluation: Evaluation) -> list[np.ndarray]:
    parts = (evaluation, *evaluation.splits)
    return [array for part in parts for array in (part.score, part.replicates, part.samples) if array is not None]


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.task_type)
def test_an_evaluation_comes_back_to_the_bit(task):
    first = kept_evaluation(VECTORS, task, lambda: evaluated(task), **SETTINGS)
    assert same(kept_evaluation(VECTORS, task, never, **SETTINGS), first)
    assert same(first, evaluated(task))
    assert len(first.splits) == 2


def test_an_undefined_score_comes_back_as_nan():
    undefined = replace(evaluated(), score=np.array([np.nan, 1.0]))
    kept_evaluation(VECTORS, STS, lambda: undefined, **SETTINGS)
    assert same(kept_evaluation(VECTORS, STS, never, **SETTINGS), undefined)


OTHERS = {
    "vectors": (VECTORS | {"collection": "d"}, STS, SETTINGS),
    "texts": (VECTORS | {"texts": "u"}, STS, SETTINGS),
    "layers": (VECTORS | {"layers": ["1", "3"]}, STS, SETTINGS),
    "gold": (VECTORS, replace(STS, gold=tuple(5 - score for score in STS.gold)), SETTINGS),
    "task": (VECTORS, RETRIEVAL, SETTINGS),
    **{name: (VECTORS, STS, SETTINGS | {name: 7}) for name in ("resamples", "seed", "resamples_of_splits")},
    "exact": (VECTORS, STS, SETTINGS | {"exact": True}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_whatever_it_depends_on_is_another_score(other):
    kept_evaluation(VECTORS, STS, evaluated, **SETTINGS)
    vectors, task, settings = OTHERS[other]
    mark = evaluated(seed=1)
    assert kept_evaluation(vectors, task, lambda: mark, **settings) is mark


def test_other_code_or_another_library_is_another_score(monkeypatch):
    kept_evaluation(VECTORS, STS, evaluated, **SETTINGS)
    monkeypatch.setattr(kept_scores, "_code", lambda: {"code": "other"})
    mark = evaluated(seed=1)
    assert kept_evaluation(VECTORS, STS, lambda: mark, **SETTINGS) is mark


def test_a_flipped_bit_anywhere_is_found(scores):
    first = kept_evaluation(VECTORS, STS, evaluated, **SETTINGS)
    (path,) = scores.iterdir()
    whole = path.read_bytes()
    for position in [*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert same(kept_evaluation(VECTORS, STS, evaluated, **SETTINGS), first)
        assert path.read_bytes() == whole  # written anew


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 500])
def test_a_file_that_was_cut_is_none(scores, length):
    first = kept_evaluation(VECTORS, STS, evaluated, **SETTINGS)
    (path,) = scores.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    assert same(kept_evaluation(VECTORS, STS, evaluated, **SETTINGS), first)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("")
    for folder in (None, tmp_path / "a file"):
        monkeypatch.setattr(kept_scores, "cache_folder", lambda folder=folder: folder)
        for _ in range(2):
            assert same(kept_evaluation(VECTORS, STS, evaluated, **SETTINGS), evaluated())
