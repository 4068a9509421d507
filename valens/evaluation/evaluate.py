"""Score a task from vectors: one score a layer, and bootstrap replicates of it that are paired over layers and calls.

The score is mteb's, drawn with mteb's seed. The replicates say how it would move with other units of the same kind; what
was fitted (clusters, classifiers) is held. What is resampled, by type of task:

- Retrieval, Reranking: queries, and the mean of their scores.
- Pair classification: as STS. The similarity that is best for a layer is held.
- Classification: test texts, and the experiments, for the training texts that each of them drew. Test texts alone would
  call one of two equally good representations better in 7 to 39 % of simulated tasks at .05; so, it is 2 to 8 %, and 10 %
  where 1,000 texts test what learnt 8 of only 10 texts a label (`tests/benchmarks/exchangeable.py`). Where every
  experiment learns from all training texts, nothing shows how others would do.
- Clustering: texts, each weighing in the table of labels and clusters as often as it is drawn, and the experiments. Texts
  alone would leave out how differently the texts can be clustered: their 90 % intervals held the expected score in
  51 to 76 % of simulated tasks, with the experiments in 75 to 91 %. So these are still rather too narrow than too wide.
  V-measure rises when texts repeat (by .02 to .06 on 350 texts of 10 labels, more than half an interval), so the
  replicates are moved to have the score as their mean.
- STS: texts, a pair counting as often as both its texts are drawn together (the product of their counts). So pairs that
  share a text move together, and an interval from 50 texts in 1,225 pairs is as wide as 50 texts make it. Where hardly any
  pairs share a text (STSBenchmark), that would draw each pair twice over, and intervals would be 1.7 times too wide:
  there, groups of pairs that share texts, directly or through others, are resampled as wholes.

Where `resamples_of_splits` is above 0, the units are split at random into two parts, and the task is scored on either as
well: a layer set can then be chosen on one split and judged on the other. What is fitted (clusters, classifiers) is shared
by the splits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from valens.errors import TaskError
from valens.evaluation.bootstrap import Bootstrap, Evaluation, split_evaluation
from valens.evaluation.scorers import SCORERS, SCORERS_BY_SPAN
from valens.tasks import Reranking, Retrieval, Task


def evaluate(
    task: Task,
    vectors: Float[np.ndarray, "layer text d"],
    *,
    resamples: int = 1000,
    seed: int = 0,
    resamples_of_splits: int = 0,
    exact: bool = False,
    by_span: bool = False,
) -> Evaluation:
    """Score the vectors of a task's texts at every layer at once.

    Args:
        task: the task.
        vectors: one vector for each of `task.texts`, in their order, at each layer [layer, text, d].
        resamples: how many bootstrap replicates the score gets.
        seed: draws resamples and splits only; what mteb draws for a metric is drawn with mteb's own seed.
        resamples_of_splits: scores two random splits of the units as well, with this many resamples each; 0 makes no
            splits. A split without units, or without pairs, scores nan.
        exact: takes the score from mteb's own evaluators, which is slower; all else is as without.
        by_span: fits clusters and classifiers in the span of their texts, for scores that are compared with each other only:
            two thirds of the time are saved where vectors have many dimensions, and the fits are the same but for rounding.
            Where mteb stops before it has converged, that moves up to a twentieth of the labels.

    Returns:
        The score at each layer, in the unit of `task.metric` (0 to 1; correlations from -1), with its replicates.

    Raises:
        TaskError: vectors that do not fit the task or are not finite.
        MissingPackageError: `exact` without mteb.

    """
    _check(task, vectors)
    if vectors.dtype == np.float16:
        vectors = vectors.astype(np.float32)
    bootstrap = Bootstrap(resamples, seed, resamples_of_splits)
    scorers = SCORERS_BY_SPAN if by_span else SCORERS
    evaluation = split_evaluation(scorers[type(task)](task, vectors, bootstrap), bootstrap)
    if exact:
        from valens.evaluation.mteb_exact import exact_scores

        return replace(evaluation, score=exact_scores(task, vectors))
    return _as_reported(evaluation) if isinstance(task, Retrieval | Reranking) else evaluation


def _check(task: Task, vectors: Float[np.ndarray, "layer text d"]) -> None:
    if vectors.ndim != 3 or vectors.shape[1] != len(task.texts):  # noqa: PLR2004
        raise TaskError(
            f"{task.name} has {len(task.texts)} texts and needs vectors of shape [layer, {len(task.texts)}, d]; "
            f"got {list(vectors.shape)}. Give one vector a text, in the order of its `texts`."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = np.flatnonzero(~np.isfinite(vectors.sum(axis=(1, 2))))
    layers, texts = np.nonzero(~np.isfinite(vectors[doubtful]).all(axis=-1))
    if len(layers):
        raise TaskError(
            f"{task.name} cannot be scored: layer {doubtful[layers[0]]} of the {len(vectors)} given (counted from 0) has a "
            f"NaN or an infinity for the text {task.texts[texts[0]][:40]!r}. Read that text again, in float32 or bfloat16."
        )


def _as_reported(evaluation: Evaluation) -> Evaluation:
    """Round to five decimals, as mteb rounds the scores of a search."""
    score = np.array([round(value, 5) for value in evaluation.score.tolist()])
    return replace(evaluation, score=score, splits=tuple(map(_as_reported, evaluation.splits)))
