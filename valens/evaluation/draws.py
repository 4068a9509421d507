"""What each run of a task with several runs learns from or parts: as the task says, or drawn as mteb draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from jaxtyping import Int

from valens import metrics
from valens.errors import TaskError
from valens.tasks import Classification, Clustering, Task


def training_items(task: Classification) -> tuple[list[int], list[list[int]]]:
    """Return the items that some run of a classification learns from, and each run's, as indices among those."""
    drawn: Sequence[Sequence[int]] = task.draws
    if not drawn:
        labels = [task.labels[item] for item in task.train]
        index_draws = metrics.training_draws(labels, task.samples_per_label, task.experiments)
        drawn = [[task.train[index] for index in draw] for draw in index_draws]
    learnt = sorted(set(chain.from_iterable(drawn)))
    index_of = {item: index for index, item in enumerate(learnt)}
    return learnt, [[index_of[item] for item in draw] for draw in drawn]


def shared_part(draws: Sequence[Sequence[int]]) -> float:
    """Return which part of its items a draw has in common with another, on average over all pairs of draws."""
    drawn = np.zeros((len(draws), max(map(max, draws)) + 1))
    for row, draw in zip(drawn, draws, strict=True):
        row[list(draw)] = 1
    common = drawn @ drawn.T
    pairs = len(draws) * (len(draws) - 1)
    return float((common.sum() - common.trace()) / max(pairs, 1) / np.diag(common).mean())


def clustering_items(task: Clustering) -> tuple[list[Int[np.ndarray, " _"]], list[int]]:
    """Return the items that each run clusters, and into how many clusters; TaskError for more clusters than items."""
    n_labels, n_items = len(set(task.labels)), len(task.rows)
    draws: Iterable[Sequence[int]] = task.draws
    if not task.draws:
        draws = metrics.cluster_draws(n_items, task.sample or n_items, task.experiments).tolist()
    drawn = [np.array(draw) for draw in draws]
    n_clusters = list(task.clusters) or [n_labels] * len(drawn)
    for draw, n in zip(drawn, n_clusters, strict=True):
        if len(draw) < n:
            raise TaskError(f"{task.name} draws {len(draw)} texts for {n} clusters. Let `sample` be {n} or more.")
    return drawn, n_clusters


def in_fewer_runs(task: Task, runs: int) -> Task:
    """Return the task with its first `runs` runs, for a quicker and rougher score; any other task as it is."""
    if isinstance(task, Clustering):
        draws, clusters = task.draws[:runs], task.clusters[:runs]
        return replace(task, experiments=min(runs, task.experiments), draws=draws, clusters=clusters)
    if isinstance(task, Classification):
        return replace(task, experiments=min(runs, task.experiments), draws=task.draws[:runs])
    return task
