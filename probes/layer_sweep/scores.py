"""What single layers, and embeddings averaged over layer sets, score on the tasks of a suite; from stored vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from jaxtyping import Float

from valens.evaluation.bootstrap import Evaluation, stacked
from valens.evaluation.draws import in_fewer_runs
from valens.evaluation.evaluate import evaluate
from valens.evaluation.tfidf import tfidf
from valens.extraction.embedding import averaged
from valens.extraction.extract import Extraction
from valens.layers.layer_set import LayerSet
from valens.metrics.two_nn import two_nn
from valens.model.model import Model
from valens.progress import steps
from valens.representations.named import Representation
from valens.selectors import TaskCurve, mean_over_types
from valens.tasks import Suite, Task

WHOLE, FIRST, SECOND = 0, 1, 2
"""All units of the tasks, and either split of them."""

_CHUNK_BYTES = 512 * 2**20
_QUICK_RUNS = 2
"""A quick score takes the first two of the ten runs of a clustering or a classification: hundreds of sets are scored."""

_DIMENSION_TEXTS = 2000
"""The dimension is estimated on this many texts at the most: neighbours are looked for among all pairs."""


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


@dataclass(frozen=True)
class LayerScorer:
    """A suite and the vectors of its texts."""

    model: Model
    suite: Suite
    extraction: Extraction
    indices: Mapping[str, int] = field(repr=False)
    """Where each different text is among the extraction's rows, as `text_indices` has it."""
    resamples: int
    resamples_of_splits: int
    """How many resamples either split of a task has; 0 to score no splits."""
    seed: int
    exact: bool
    """Whether scores are mteb's own; those of splits and quick scores are not."""
    quick_scores: dict[Representation, dict[LayerSet, tuple[float, ...]]] = field(default_factory=dict, repr=False)
    """What `quick_score` has scored so far, by view."""

    def layers(self, representation: Representation, layers: Sequence[int]) -> Scores:
        """Every one of these layers alone, one row each."""
        return self._scores(representation, [LayerSet.of([layer]) for layer in layers], resamples=self.resamples)

    def sets(self, representation: Representation, sets: Sequence[LayerSet]) -> Scores:
        """Return the embedding averaged over each of these sets, one row each."""
        return self._scores(representation, sets, resamples=self.resamples)

    @property
    def views(self) -> tuple[int, ...]:
        """What is scored: all units, and either split if splits are."""
        return (WHOLE, FIRST, SECOND) if self.resamples_of_splits else (WHOLE,)

    def quick_score(
        self, representation: Representation, view: int, *, without: Collection[str] = ()
    ) -> Callable[[Sequence[LayerSet]], Float[np.ndarray, " set"]]:
        """Return what averaged embeddings score as a mean over task types, on all units or a split; a set is scored once.

        Clusterings and classifications take fewer runs than `sets` makes, and never mteb's own evaluators: these
        scores compare with each other only. The tasks named in `without` have no say; they are the same in every call for a
        representation.
        """
        scored = self.quick_scores.setdefault(representation, {})
        tasks = tuple(in_fewer_runs(task, _QUICK_RUNS) for task in self.suite.tasks if task.name not in without)
        brief = replace(self, suite=replace(self.suite, tasks=tasks), exact=False)

        def score(sets: Sequence[LayerSet]) -> Float[np.ndarray, " set"]:
            missing = [layers for layers in dict.fromkeys(sets) if layers not in scored]
            if missing:
                scores = brief._scores(representation, missing, resamples=1)
                by_view = [mean_over_types(scores.comparable(each)).score for each in self.views]
                scored.update(zip(missing, zip(*by_view, strict=True), strict=True))
            return np.array([scored[layers][view] for layers in sets])

        return score

    def dimension(self, representation: Representation, layers: Sequence[int]) -> Float[np.ndarray, " layer"]:
        """Return the intrinsic dimension of each layer's vectors, on the different texts of the suite or some of them."""
        n = len(self.indices)
        chosen = np.random.default_rng(self.seed).permutation(n)[:_DIMENSION_TEXTS].tolist()
        return np.array([two_nn(self.extraction.vectors(representation.reading, layer, chosen)) for layer in layers])

    def lexical(self) -> Scores:
        """Return the baseline that knows words and nothing else, in one row."""
        return Scores(
            tuple(
                (task, self._evaluate(task, tfidf(task.texts)[None], resamples=self.resamples, resamples_of_splits=0))
                for task in self.suite.tasks
            )
        )

    def _scores(self, representation: Representation, sets: Sequence[LayerSet], *, resamples: int) -> Scores:
        resamples_of_splits = min(self.resamples_of_splits, resamples)
        evaluations = []
        with steps(f"Scoring {representation}", len(self.suite.tasks)) as step:
            for task in self.suite.tasks:
                parts = [
                    self._evaluate(task, vectors, resamples=resamples, resamples_of_splits=resamples_of_splits)
                    for vectors in self._chunks(task, representation, sets)
                ]
                evaluations.append((task, stacked(parts)))
                step()
        return Scores(tuple(evaluations))

    def _evaluate(
        self, task: Task, vectors: Float[np.ndarray, "row text d"], *, resamples: int, resamples_of_splits: int
    ) -> Evaluation:
        return evaluate(
            task,
            vectors,
            resamples=resamples,
            seed=self.seed,
            resamples_of_splits=resamples_of_splits,
            exact=self.exact,
        )

    def _chunks(
        self, task: Task, representation: Representation, sets: Sequence[LayerSet]
    ) -> Iterator[Float[np.ndarray, "set text d"]]:
        """Yield the averaged vectors of a task's texts, of as many sets at once as fit in memory."""
        width = self.model.sizes.width(representation.reading.stream)
        at_once = max(1, _CHUNK_BYTES // (4 * width * len(task.texts)))
        indices = [self.indices[text] for text in task.texts]
        for start in range(0, len(sets), at_once):
            yield np.stack(
                [
                    averaged(self.extraction, representation.reading, layers, indices)
                    for layers in sets[start : start + at_once]
                ]
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
