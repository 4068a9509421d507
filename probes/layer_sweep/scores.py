"""What single layers, and embeddings averaged over layer sets, score on the tasks of a suite; from stored vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from valens.evaluation.bootstrap import Evaluation, stacked
from valens.evaluation.draws import in_fewer_runs
from valens.evaluation.kept_scores import kept_evaluation
from valens.evaluation.suite_scores import FIRST, SECOND, WHOLE, Scores
from valens.extraction.embedding import averaged
from valens.extraction.extract import Extraction
from valens.layers.layer_set import LayerSet
from valens.metrics.two_nn import two_nn
from valens.model.model import Model
from valens.progress import steps
from valens.representations.named import Representation
from valens.selectors import mean_over_types
from valens.tasks import Suite, Task

_CHUNK_BYTES = 512 * 2**20
_QUICK_RUNS = 2
"""A quick score takes the first two of the ten runs of a clustering or a classification: hundreds of sets are scored."""

_DIMENSION_TEXTS = 2000
"""The dimension is estimated on this many texts at the most: neighbours are looked for among all pairs."""


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

    def _scores(self, representation: Representation, sets: Sequence[LayerSet], *, resamples: int) -> Scores:
        settings = {
            "resamples": resamples,
            "seed": self.seed,
            "resamples_of_splits": min(self.resamples_of_splits, resamples),
            "exact": self.exact,
        }
        evaluations = []
        with steps(f"Scoring {representation}", len(self.suite.tasks)) as step:
            for task in self.suite.tasks:
                evaluations.append((task, self._evaluation(task, representation, sets, settings)))
                step()
        return Scores(tuple(evaluations))

    def _evaluation(
        self, task: Task, representation: Representation, sets: Sequence[LayerSet], settings: Mapping[str, Any]
    ) -> Evaluation:
        """Score the averaged vectors of a task's texts over each set, unless that was done before."""
        chunks = self._chunks(task, representation, sets)
        return stacked([kept_evaluation(task, chunk, **settings) for chunk in chunks])

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
