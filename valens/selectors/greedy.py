"""Forward selection: add the layer that helps the averaged embedding most, as long as one helps.

The other rules look at layers one by one, though what is used is their average. This one scores averages, so that a layer
that is weak alone and knows what the others do not can get in. Greedy forward selection of an ensemble's members is that of
Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models" (ICML 2004); here a member is
taken once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from valens.errors import SelectionError
from valens.layers.layer_set import LayerSet
from valens.selectors.contract import Choice, LayerCurves
from valens.statistics import ROUNDING, first_highest


@dataclass(frozen=True)
class Greedy:
    """The best layer, and then again and again the layer with which the averaged embedding scores highest.

    It stops when no layer raises the mean score over task types, by however little (but more than rounding), and at
    `max_layers`. So in the trials that it makes, it is never below the layer that it began with, and flattered more than any
    other rule. A quick score may be rougher than the scores of the tasks; the reasons give the quick scores.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    fewest_tasks: ClassVar[int] = 2

    max_layers: int = 8
    name: str = "greedy"

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; SelectionError if averages cannot be scored."""
        if curves.score_sets is None:
            raise SelectionError(
                f"The selector `{self.name}` scores averaged embeddings, and these scores come without vectors. "
                "Choose within a layer sweep, or use another selector."
            )
        chosen = [curves.layers[first_highest(curves.average().score)]]
        score = float(curves.score_sets([LayerSet.of(chosen)])[0])
        reasons = {chosen[0]: f"the best alone: average {score:.3f} in quick scores"}
        while others := [layer for layer in curves.layers if layer not in chosen]:
            if len(chosen) == self.max_layers:
                reasons |= dict.fromkeys(others, f"{self.max_layers} layers are taken already")
                break
            scores = curves.score_sets([LayerSet.of([*chosen, layer]) for layer in others])
            best = first_highest(scores)
            if scores[best] <= score + ROUNDING:
                reasons |= {
                    layer: f"with it the average would go from {score:.3f} to {trial:.3f} in quick scores"
                    for layer, trial in zip(others, scores, strict=True)
                }
                break
            gain = f"average {score:.3f} to {scores[best]:.3f} in quick scores"
            reasons[others[best]] = f"number {len(chosen) + 1} to be added: {gain}"
            chosen, score = [*chosen, others[best]], float(scores[best])
        return Choice(self.name, LayerSet.of(chosen), reasons)
