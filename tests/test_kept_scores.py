"""Scores are kept by all that they depend on, come back to the bit, and a damaged file is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_suite import STS, SUITE

from valens.evaluation import kept_scores
from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.evaluate import evaluate
from valens.evaluation.kept_scores import kept_evaluation
from valens.files import user_cache
from valens.tasks import Task

SETTINGS = {"resamples": 20, "seed": 0, "resamples_of_splits": 10, "exact": False}


@pytest.fixture(autouse=True)
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(user_cache.ENVIRONMENT, str(tmp_path))
    monkeypatch.setattr(kept_scores, "cache_folder", user_cache.cache_folder)
    return tmp_path / "scores"


def vectors_of(task: Task = STS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, len(task.texts), 4)).astype(np.float32)


def kept(task: Task = STS, vectors: np.ndarray | None = None, **settings: object) -> Evaluation:
    return kept_evaluation(task, vectors_of(task) if vectors is None else vectors, **(SETTINGS | settings))


@contextlib.contextmanager
def nothing_computed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_scores, "evaluate", lambda *_, **__: pytest.fail("it was computed again"))
        yield


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
    first = kept(task)
    assert same(first, evaluate(task, vectors_of(task), **SETTINGS))
    with nothing_computed():
        assert same(kept(task), first)
    assert len(first.splits) == 2


def test_an_undefined_score_comes_back_as_nan():
    level = np.ones_like(vectors_of())
    first = kept(vectors=level)
    assert np.isnan(first.score).all()
    with nothing_computed():
        assert same(kept(vectors=level), first)


def flipped(vectors: np.ndarray) -> np.ndarray:
    vectors.view(np.uint8).reshape(-1)[-1] ^= 1
    return vectors


OTHERS = {
    "vectors": (STS, flipped(vectors_of()), {}),
    "layers": (STS, vectors_of()[:1], {}),
    "dtype": (STS, vectors_of().astype(np.float64), {}),
    "gold": (replace(STS, gold=tuple(5 - score for score in STS.gold)), vectors_of(), {}),
    "texts": (replace(STS, texts=tuple(f"{text}." for text in STS.texts)), vectors_of(), {}),
    **{name: (STS, vectors_of(), {name: 7}) for name in ("resamples", "seed", "resamples_of_splits")},
}


@pytest.mark.parametrize("other", OTHERS)
def test_whatever_it_depends_on_is_another_score(scores, other):
    kept()
    task, vectors, settings = OTHERS[other]
    kept(task, vectors, **settings)
    assert len(list(scores.iterdir())) == 2


def test_other_code_or_another_library_is_another_score(scores, monkeypatch):
    kept()
    monkeypatch.setattr(kept_scores, "_code", lambda: {"code": "other"})
    kept()
    assert len(list(scores.iterdir())) == 2


def test_a_flipped_bit_anywhere_is_found(scores):
    first = kept()
    (path,) = scores.iterdir()
    whole = path.read_bytes()
    for position in [*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert same(kept(), first)
        assert path.read_bytes() == whole  # written anew


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 500])
def test_a_file_that_was_cut_is_none(scores, length):
    first = kept()
    (path,) = scores.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    assert same(kept(), first)


@pytest.mark.parametrize("place", ["off", "a file", "/proc/1/nowhere", "/dev/null"])
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch, place):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv(user_cache.ENVIRONMENT, str(tmp_path / place) if place == "a file" else place)
    for _ in range(2):
        assert same(kept(), evaluate(STS, vectors_of(), **SETTINGS))
