"""The rule of section 4.2 of arXiv 2602.01572, made exact.

The paper keeps "layers that consistently perform well on the retrieval task" and leaves out "those that repeatedly
degrade performance across tasks". Here a layer performs well if its retrieval score is not significantly below the best
layer's, and it degrades a task type if it is significantly below the candidates' median there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from valens.errors import SelectionError
from valens.layers import LayerSet
from valens.selectors.contract import Choice, LayerCurves, TaskCurve
from valens.statistics import paired_difference

_RETRIEVAL = "Retrieval"


@dataclass(frozen=True)
class Paper:
    """Layers that are as good as the best in retrieval, at most `max_layers`, less those that are bad in other types.

    `degraded_types` is in how many other task types a candidate must be significantly below the candidates' median to be
    dropped; significance is a paired bootstrap at `confidence`, not corrected for the number of layers.
    """

    max_layers: int = 8
    degraded_types: int = 2
    confidence: float = 0.95
    name: str = "paper"

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; SelectionError without a retrieval task."""
        if _RETRIEVAL not in curves.task_types:
            raise SelectionError(
                f"The selector `paper` starts from retrieval, and only {', '.join(curves.task_types)} was scored. "
                "Add a retrieval task, or use --select top-k."
            )
        retrieval = curves.of_type(_RETRIEVAL)
        candidates, reasons = self._candidates(curves, retrieval)
        bad = {place: self._degraded(curves, candidates, place) for place in candidates}
        kept = [place for place in candidates if len(bad[place]) < self.degraded_types]
        kept = kept or [int(retrieval.score.argmax())]
        for place in candidates:
            layer = curves.layers[place]
            if place not in kept:
                reasons[layer] += f"; significantly below the candidates' median in {' and '.join(bad[place])}"
            elif bad[place]:
                reasons[layer] += f"; below the candidates' median in {bad[place][0]} only"
        return Choice(self.name, LayerSet.of(curves.layers[place] for place in kept), reasons)

    def _candidates(self, curves: LayerCurves, retrieval: TaskCurve) -> tuple[list[int], dict[int, str]]:
        """Places of the layers that are as good as the best in retrieval, and what is to be said of every layer."""
        best = int(retrieval.score.argmax())
        reasons, equals = {}, []
        for place, layer in enumerate(curves.layers):
            gap = paired_difference(retrieval.replicates[place], retrieval.replicates[best], confidence=self.confidence)
            difference = retrieval.score[place] - retrieval.score[best]
            text = f"retrieval {retrieval.score[place]:.3f}"
            beside = f"layer {curves.layers[best]} ({difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}])"
            if place == best:
                text += ", the best"
            elif gap.high < 0:
                text += f", significantly below {beside}"
            else:
                text += f", not significantly below {beside}"
            reasons[layer] = text
            if place == best or gap.high >= 0:
                equals.append(place)
        ranked = sorted(equals, key=lambda place: (-retrieval.score[place], place))
        for place in ranked[self.max_layers :]:
            reasons[curves.layers[place]] += f"; {self.max_layers} layers score higher"
        return sorted(ranked[: self.max_layers]), reasons

    def _degraded(self, curves: LayerCurves, candidates: list[int], place: int) -> list[str]:
        """The other task types in which a candidate is significantly below the candidates' median."""
        below = []
        for task_type in curves.task_types:
            if task_type != _RETRIEVAL:
                replicates = curves.of_type(task_type).replicates
                median = np.median(replicates[candidates], axis=0)
                if paired_difference(replicates[place], median, confidence=self.confidence).high < 0:
                    below.append(task_type.lower())
        return below
