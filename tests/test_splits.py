"""Halves of a task: each is scored as the task that holds its units alone, and together they are the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import v_measure_score

from valens import metrics
from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.evaluate import evaluate
from valens.statistics import split_units
from valens.tasks import Classification, Clustering, Reranking, Retrieval, Sts, Task

N, SEED = 90, 3
TEXTS = tuple(f"text {i}" for i in range(N))
LABELS = tuple("abcde"[i % 5] for i in range(N))
SETTINGS = {"resamples": 25, "seed": SEED}


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 16))[[("abcde").index(label) for label in LABELS]]
    return centres + rng.normal(size=(2, N, 16)) * np.array([0.9, 2.0])[:, None, None]


RETRIEVAL = Retrieval(
    "retrieval",
    TEXTS,
    tuple(range(21)),
    tuple(range(21, N)),
    tuple({d - 21: 1 for d in range(21, N) if LABELS[d] == LABELS[q]} for q in range(21)),
)
RERANKING = Reranking(
    "reranking",
    TEXTS,
    tuple(range(11)),
    (tuple(range(20, 50)),) * 11,
    tuple(tuple(LABELS[c] == LABELS[q] for c in range(20, 50)) for q in range(11)),
)
CLASSIFICATION = Classification("classification", TEXTS, LABELS, tuple(range(30)), tuple(range(30, N)), 3, 4)
APART = Sts("apart", TEXTS, tuple(range(0, N, 2)), tuple(range(1, N, 2)), tuple(float(i % 7) for i in range(N // 2)))
SHARED = Sts(
    "shared",
    TEXTS,
    *(tuple(side.tolist()) for side in np.triu_indices(20, 1)),
    tuple(float(i % 7) for i in range(190)),
)
CLUSTERING = Clustering("clustering", TEXTS, LABELS, experiments=4, batch_size=32, sample=70)


def alone(task: Task, units: np.ndarray) -> Task:
    """The task that holds these of its units and no other."""
    kept = [int(unit) for unit in units]

    def some(rows: tuple) -> tuple:
        return tuple(rows[unit] for unit in kept)

    if isinstance(task, Retrieval):
        return replace(task, queries=some(task.queries), relevant=some(task.relevant))
    if isinstance(task, Reranking):
        return replace(task, queries=some(task.queries), candidates=some(task.candidates), relevant=some(task.relevant))
    if isinstance(task, Classification):
        return replace(task, test=some(task.test))
    if task is APART:
        return replace(task, first=some(task.first), second=some(task.second), gold=some(task.gold))
    inside = set(kept)
    pairs = zip(task.first, task.second, task.gold, strict=True)
    return Sts(task.name, TEXTS, *zip(*(pair for pair in pairs if inside.issuperset(pair[:2])), strict=True))


def same(found: Evaluation, expected: Evaluation) -> bool:
    """To rounding: a mean over half of the queries is summed in another order."""
    return (
        np.allclose(found.score, expected.score, atol=1e-12, rtol=0)
        and np.allclose(found.replicates, expected.replicates, atol=1e-12, rtol=0)
        and (found.n, found.unit) == (expected.n, expected.unit)
    )


@pytest.mark.parametrize("task", [RETRIEVAL, RERANKING, CLASSIFICATION, APART, SHARED], ids=lambda task: task.name)
def test_a_split_is_scored_as_the_task_that_holds_its_units_alone(task: Task, vectors: np.ndarray) -> None:
    whole = evaluate(task, vectors, resamples_of_splits=25, **SETTINGS)
    for place, (split, units) in enumerate(zip(whole.splits, split_units(whole.n, SEED), strict=True)):
        settings = SETTINGS | {"seed": SEED + place}  # with one seed, the resamples of both would move together
        of_it = evaluate(alone(task, units), vectors, **settings)
        if task is CLASSIFICATION and place:  # whose runs are resampled as those of the first split are
            assert split.score == pytest.approx(of_it.score, abs=1e-12)
        else:
            assert same(split, of_it)
    assert sum(split.n for split in whole.splits) == whole.n


def test_a_split_of_a_clustering_is_scored_in_the_clusters_of_the_whole(vectors: np.ndarray) -> None:
    whole = evaluate(CLUSTERING, vectors, resamples_of_splits=25, **SETTINGS)
    draws = metrics.cluster_draws(N, CLUSTERING.sample, CLUSTERING.experiments)
    clusters = metrics.clustered(vectors, list(draws), n_clusters=[5] * len(draws), batch_size=32)
    labels = np.array(LABELS)
    for split, units in zip(whole.splits, split_units(N, SEED), strict=True):
        inside = np.isin(draws, units)
        for layer, given_clusters in enumerate(clusters):
            expected = [
                v_measure_score(labels[draw[keep]], cluster[keep])
                for draw, cluster, keep in zip(draws, given_clusters, inside, strict=True)
            ]
            assert split.score[layer] == pytest.approx(np.mean(expected), abs=1e-12)
        assert split.replicates.mean(axis=1) == pytest.approx(split.score)


@pytest.mark.parametrize("task", [RETRIEVAL, CLASSIFICATION, APART, SHARED, CLUSTERING], ids=lambda task: task.name)
def test_asking_for_splits_changes_nothing_of_the_whole(task: Task, vectors: np.ndarray) -> None:
    bare = evaluate(task, vectors, **SETTINGS)
    assert same(evaluate(task, vectors, resamples_of_splits=7, **SETTINGS), bare)
    assert bare.splits == ()


def test_a_split_without_units_scores_nan(vectors: np.ndarray) -> None:
    one = replace(RETRIEVAL, queries=RETRIEVAL.queries[:1], relevant=RETRIEVAL.relevant[:1])
    empty, full = evaluate(one, vectors, resamples_of_splits=25, **SETTINGS).splits
    assert np.isnan(empty.score).all()
    assert np.isnan(empty.replicates).all()
    assert (full.score == evaluate(one, vectors, **SETTINGS).score).all()


@given(st.integers(0, 50), st.integers(0, 9))
def test_every_unit_is_in_one_half_of_equal_halves(n: int, seed: int) -> None:
    first, second = split_units(n, seed)
    assert sorted([*first, *second]) == list(range(n))
    assert 0 <= len(second) - len(first) <= 1
