"""The scores of many rows of vectors (layers, layer sets) on every task of a suite, with their replicates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from jaxtyping import Float

from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.evaluate import evaluate
from valens.evaluation.tfidf import tfidf
from valens.selectors import TaskCurve
from valens.tasks import Suite, Task

WHOLE, FIRST, SECOND = 0, 1, 2
"""All units of the tasks, and either split of them."""


@dataclass(frozen=True)
class Scores:
    """An evaluation a task, in each of which the rows are the same layers, or the same layer sets."""

    tasks: tuple[tuple[Task, Evaluation], ...]

    def curves(self, view: int = WHOLE) -> tuple[TaskCurve, ...]:
        """Return the scores on all units or on either split; nan where a score is undefined."""
        parts = [(task, (evaluation, *evaluation.splits)[view]) for task, evaluation in self.tasks]
        return tuple(TaskCurve(task.name, task.task_type, part.score, part.replicates) for task, part in parts)

    def comparable(self, view: int = WHOLE) -> tuple[TaskCurve, ...]:
        """Return the same with 0 for nan: a layer that cannot tell texts apart is worth nothing to whoever chooses."""
        return tuple(
            replace(curve, score=np.nan_to_num(curve.score), replicates=np.nan_to_num(curve.replicates))
            for curve in self.curves(view)
        )

    def undefined(self) -> list[str]:
        """Return the tasks that have a score in no row, as a correlation with cosines that are all equal has none."""
        return [task.name for task, evaluation in self.tasks if np.isnan(evaluation.score).all()]

    def without(self, tasks: Collection[str]) -> Scores:
        """Return the scores on all tasks but those of these names."""
        return Scores(tuple((task, evaluation) for task, evaluation in self.tasks if task.name not in tasks))

    def row(self, index: int) -> Scores:
        """One row of each evaluation."""
        return Scores(tuple((task, _of_rows(evaluation, slice(index, index + 1))) for task, evaluation in self.tasks))


def suite_scores(
    suite: Suite,
    vectors: Float[np.ndarray, "row text d"],
    indices: Mapping[str, int],
    *,
    resamples: int,
    resamples_of_splits: int,
    seed: int,
    by_span: bool = False,
) -> Scores:
    """Score rows of vectors on every task of a suite.

    Args:
        suite: the tasks.
        vectors: in each row one vector for each different text of the suite.
        indices: where each text is among the vectors, as `text_indices` has it.
        resamples: how many bootstrap replicates a score gets.
        resamples_of_splits: how many the scores on either split of a task's units get; 0 makes no splits.
        seed: draws resamples and splits.
        by_span: for scores that are compared with each other only; see `evaluate`.

    Returns:
        The scores, a row for each row of vectors; without the numbers that they are made of.

    """
    evaluations = []
    for task in suite.tasks:
        of_task = vectors[:, [indices[text] for text in task.texts]]
        scored = evaluate(
            task, of_task, resamples=resamples, resamples_of_splits=resamples_of_splits, seed=seed, by_span=by_span
        )
        evaluations.append((task, replace(scored, samples=None)))
    return Scores(tuple(evaluations))


def lexical_scores(suite: Suite, *, resamples: int, seed: int, exact: bool = False) -> Scores:
    """Score the baseline that knows words and nothing else (TF-IDF), in one row; for the arguments see `evaluate`."""
    return Scores(
        tuple(
            (task, evaluate(task, tfidf(task.texts)[None], resamples=resamples, seed=seed, exact=exact))
            for task in suite.tasks
        )
    )


def text_indices(suite: Suite) -> dict[str, int]:
    """Return the different texts of a suite, and the index of each among them."""
    texts = dict.fromkeys(chain.from_iterable(task.texts for task in suite.tasks))
    return {text: index for index, text in enumerate(texts)}


def _of_rows(evaluation: Evaluation, rows: slice) -> Evaluation:
    return replace(
        evaluation,
        score=evaluation.score[rows],
        replicates=evaluation.replicates[rows],
        samples=None if evaluation.samples is None else evaluation.samples[rows],
        splits=tuple(_of_rows(split, rows) for split in evaluation.splits),
    )
