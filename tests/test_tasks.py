from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valens.errors import TaskError
from valens.tasks import Classification, Clustering, Reranking, Retrieval, Sts, Suite, Task

TEXTS = tuple(f"text {position}" for position in range(24))

STS = Sts("sts", TEXTS, tuple(range(0, 24, 2)), tuple(range(1, 24, 2)), (1.0,) * 6 + (2.0,) * 6)
RETRIEVAL = Retrieval("retrieval", TEXTS, (20, 21, 22, 23), tuple(range(20)), ({3: 1}, {4: 1, 9: 2}, {3: 1}, {19: 1}))
RERANKING = Reranking(
    "reranking",
    TEXTS,
    queries=(0, 6, 12),
    candidates=(tuple(range(1, 6)), tuple(range(7, 12)), tuple(range(13, 24))),
    relevant=((False, False, False, False, True), (True, False, True, False, False), (True,) * 5 + (False,) * 6),
)
CLUSTERING = Clustering("clustering", TEXTS, tuple("abcd" * 6), sample=20)
CLASSIFICATION = Classification("classification", TEXTS, tuple("abc" * 8), tuple(range(12)), tuple(range(12, 24)), 3)

LEAST = {"sts": 4, "retrieval": 3, "reranking": 3, "clustering": 4, "classification": 4}
TASKS = [STS, RETRIEVAL, RERANKING, CLUSTERING, CLASSIFICATION]

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def facts(task: Task) -> Counter[tuple[object, ...]]:
    """What a task says about its texts, in words rather than positions."""
    texts = task.texts
    match task:
        case Sts():
            rows = [(texts[a], texts[b], gold) for a, b, gold in zip(task.first, task.second, task.gold, strict=True)]
        case Retrieval():
            judged = zip(task.queries, task.relevant, strict=True)
            rows = [(texts[q], texts[d], grades.get(d, 0)) for q, grades in judged for d in task.documents]
        case Reranking():
            rows = [
                (texts[query], texts[candidate], right)
                for query, candidates, relevant in zip(task.queries, task.candidates, task.relevant, strict=True)
                for candidate, right in zip(candidates, relevant, strict=True)
            ]
        case Clustering():
            rows = list(zip(texts, task.labels, strict=True))
        case Classification():
            parts = [("train", position) for position in task.train] + [("test", position) for position in task.test]
            rows = [(part, texts[position], task.labels[position]) for part, position in parts]
    return Counter(rows)


@each_task
@given(n=st.integers(4, 30))
def test_a_limited_task_says_less_and_nothing_else(task: Task, n: int) -> None:
    limited = task.limited(n)
    assert 0 < len(limited.texts) <= n
    assert facts(limited)
    assert facts(limited) <= facts(task)
    assert limited == task.limited(n)


@each_task
def test_a_limit_that_does_not_bind_changes_nothing(task: Task) -> None:
    assert task.limited(len(task.texts)) == task


@each_task
def test_too_low_a_limit_names_the_lowest(task: Task) -> None:
    least = LEAST[task.name]
    with pytest.raises(TaskError, match=f"{task.name} cannot be cut to {least - 1} texts .* {least} or more"):
        task.limited(least - 1)
    assert len(task.limited(least).texts) <= least


def test_limited_pairs_are_still_judged_differently() -> None:
    assert len(set(STS.limited(4).gold)) == 2


def test_limited_queries_still_have_something_to_find_and_something_to_pass_over() -> None:
    retrieval = RETRIEVAL.limited(5)
    assert all(0 < len(grades) < len(retrieval.documents) for grades in retrieval.relevant)
    reranking = RERANKING.limited(3)
    assert [sorted(relevant) for relevant in reranking.relevant] == [[False, True]]


def test_limited_labels_keep_company() -> None:
    assert min(Counter(CLUSTERING.limited(9).labels).values()) >= 4
    assert CLUSTERING.limited(9).sample == 9


def test_a_limited_classification_draws_no_more_than_each_label_has() -> None:
    limited = CLASSIFICATION.limited(4)
    assert limited.samples_per_label == 1
    assert {limited.labels[position] for position in limited.train} == {
        limited.labels[position] for position in limited.test
    }
    assert CLASSIFICATION.limited(20).samples_per_label == 3


@each_task
def test_a_task_has_its_type_metric_and_size(task: Task) -> None:
    assert task.task_type == type(task).__name__ or task.task_type == "STS"
    assert task.metric in {"spearman", "ndcg_at_10", "map", "v_measure", "accuracy"}
    assert any(character.isdigit() for character in task.size)


def test_size_in_words() -> None:
    assert STS.size == "12 pairs of 24 texts"
    assert RERANKING.size == "3 queries, 21 candidates"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Sts("x", ("a", "a"), (0,), (1,), (1.0,)), "2 texts, 1 of them different"),
        (lambda: Sts("x", (), (), (), ()), "0 texts"),
        (lambda: Sts("x", ("a", "b"), (0, 0), (1, 2), (0.0, 1.0)), "indices 0..1; 2 is out of range"),
        (lambda: Sts("x", ("a", "b"), (0, 0), (1, -1), (0.0, 1.0)), "-1 is out of range"),
        (lambda: Sts("x", ("a", "b"), (0, 1), (1, 1), (0.0,)), "'gold': 1"),
        (lambda: Sts("x", ("a", "b"), (0, 1), (1, 1), (0.5, 0.5)), "all judged alike"),
        (
            lambda: Sts("x", ("a", "b"), (0, 1), (1, 1), (0.5, float("nan"))),
            r"pair 1 \(from 0\) has no judgement \(nan\)",
        ),
        (lambda: Sts("x", ("a", "b"), (0, 1), (1, 1), (float("inf"), 0.5)), "pair 0 .*1 of 2 have none"),
        (lambda: Retrieval("x", ("a", "b"), (0,), (1,), ({},)), "nothing to find"),
        (lambda: Retrieval("x", ("a", "b"), (0,), (1,), ({1: 1},)), r"indices 0\.\.0 of the documents"),
        (lambda: Retrieval("x", ("a", "b"), (0,), (1,), ({0: -1},)), "a grade from 0"),
        (lambda: Retrieval("x", ("a", "b"), (), (1,), ()), "one length above 0"),
        (lambda: Reranking("x", ("a", "b"), (0,), ((1,),), ((False,),)), "one of them True"),
        (lambda: Reranking("x", ("a", "b"), (0,), ((1,),), ((True, False),)), "a judgement for each candidate"),
        (lambda: Clustering("x", ("a", "b"), ("one", "one")), r"two labels or more; found \['one'\]"),
        (lambda: Clustering("x", ("a", "b"), ("one",)), "'labels': 1"),
        (lambda: Classification("x", ("a", "b"), ("one", "two"), (0, 1), ()), "no text to test on"),
        (lambda: Classification("x", ("a", "b"), ("one", "two"), (0,), (1,)), "two labels or more"),
        (lambda: Suite("x", ()), "different names"),
        (lambda: Suite("x", (STS, STS)), "different names"),
    ],
)
def test_what_is_no_task_is_refused(build, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build()
