"""The rule of section 4.2 of arXiv 2602.01572, made exact.

The paper keeps "layers that consistently perform well on the retrieval task" and leaves out "those that repeatedly
degrade performance across tasks". Here a layer performs well if its retrieval score is not significantly below the best
layer's, and it degrades a task type if it is significantly below the candidates' median there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from valens.layers.layer_set import LayerSet
from valens.selectors.contract import Choice, LayerCurves, TaskCurve, check_task_types
from valens.statistics import ROUNDING, first_highest, highest_first, paired_difference

_RETRIEVAL = "Retrieval"


@dataclass(frozen=True)
class Paper:
    """Layers that are as good as the best in retrieval, at most `max_layers`, less those that are bad in other types.

    `degraded_types` is in how many other task types a candidate must be significantly below the candidates' median to be
    dropped; significance is a paired bootstrap at `confidence`, not corrected for the number of layers.
    """

    needs: ClassVar[tuple[str, ...]] = (_RETRIEVAL,)
    fewest_tasks: ClassVar[int] = 2

    max_layers: int = 8
    degraded_types: int = 2
    confidence: float = 0.95
    name: str = "paper"

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; SelectionError without a retrieval task."""
        check_task_types(self, curves.task_types)
        retrieval = curves.of_type(_RETRIEVAL)
        candidates, reasons = self._candidates(curves, retrieval)
        bad = {index: self._degraded(curves, candidates, index) for index in candidates}
        chosen = [index for index in candidates if len(bad[index]) < self.degraded_types]
        for index in filter(bad.get, candidates):
            types = " and ".join(bad[index]) + (" only" if index in chosen else "")
            reasons[curves.layers[index]] += f"; significantly below the candidates' median in {types}"
        if not chosen:
            chosen = [first_highest(retrieval.score)]
            reasons[curves.layers[chosen[0]]] += "; kept all the same, as no candidate is better"
        return Choice(self.name, LayerSet.of(curves.layers[index] for index in chosen), reasons)

    def _candidates(self, curves: LayerCurves, retrieval: TaskCurve) -> tuple[list[int], dict[int, str]]:
        """Return the indices of the layers that are as good as the best in retrieval, and a reason for every layer."""
        best = first_highest(retrieval.score)
        reasons, equals = {}, []
        for index, layer in enumerate(curves.layers):
            gap = paired_difference(retrieval.replicates[index], retrieval.replicates[best], confidence=self.confidence)
            difference = retrieval.score[index] - retrieval.score[best]
            below = (
                f"significantly below layer {curves.layers[best]} ({difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}])"
            )
            verdict = "the best" if index == best else f"not {below}" if gap.high >= -ROUNDING else below
            reasons[layer] = f"retrieval {retrieval.score[index]:.3f}, {verdict}"
            if index == best or gap.high >= -ROUNDING:
                equals.append(index)
        ranked = [index for index in highest_first(retrieval.score) if index in equals]
        for index in ranked[self.max_layers :]:
            reasons[curves.layers[index]] += f"; only the {self.max_layers} best are taken"
        return sorted(ranked[: self.max_layers]), reasons

    def _degraded(self, curves: LayerCurves, candidates: list[int], index: int) -> list[str]:
        """Return the other task types in which a candidate is significantly below the candidates' median."""
        below = []
        for task_type in curves.task_types:
            if task_type != _RETRIEVAL:
                replicates = curves.of_type(task_type).replicates
                median = np.median(replicates[candidates], axis=0)
                if paired_difference(replicates[index], median, confidence=self.confidence).high < -ROUNDING:
                    below.append(task_type.lower())
        return below
