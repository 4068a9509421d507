from __future__ import annotations

import pytest

from valens.evaluation.draws import clustering_items, in_fewer_runs, training_items
from valens.tasks import Classification, Clustering, Sts, Task

TEXTS = tuple(f"text {n}" for n in range(12))
LABELS = tuple("abc"[n % 3] for n in range(12))
DRAWS = tuple((n, n + 1, n + 2, n + 3) for n in range(5))


@pytest.mark.parametrize("draws", [(), DRAWS])
def test_fewer_runs_are_the_first_of_all(draws: tuple[tuple[int, ...], ...]) -> None:
    clusters = tuple(range(2, 2 + len(draws)))
    parted = Clustering(
        "c", TEXTS, LABELS, experiments=5, sample=6, draws=draws, clusters=tuple(min(4, n) for n in clusters)
    )
    learnt = Classification("l", TEXTS, LABELS, tuple(range(9)), (9, 10, 11), 2, experiments=5, draws=draws)
    whole, some = clustering_items(parted), clustering_items(in_fewer_runs(parted, 2))
    assert [list(draw) for draw in some[0]] == [list(draw) for draw in whole[0][:2]]
    assert some[1] == whole[1][:2]
    assert texts_learnt(in_fewer_runs(learnt, 2)) == texts_learnt(learnt)[:2]


def texts_learnt(task: Classification) -> list[list[int]]:
    learnt, draws = training_items(task)
    return [[learnt[place] for place in draw] for draw in draws]


@pytest.mark.parametrize(
    "task",
    [Sts("s", TEXTS, (0, 1), (2, 3), (1.0, 2.0)), Clustering("c", TEXTS, LABELS, experiments=2)],
)
def test_what_has_no_more_runs_stays_as_it_is(task: Task) -> None:
    assert in_fewer_runs(task, 2) == task
