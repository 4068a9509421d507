"""The k layers with the highest average score; `best` is the one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from valens.layers.layer_set import LayerSet
from valens.selectors.contract import Choice, LayerCurves
from valens.statistics import highest_first


@dataclass(frozen=True)
class TopK:
    """The `k` layers whose mean over task types is highest."""

    needs: ClassVar[tuple[str, ...]] = ()
    fewest_tasks: ClassVar[int] = 1

    k: int = 5
    name: str = "top-k"

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; with fewer than k candidates, all of them."""
        average = curves.average().score
        ranked = highest_first(average)
        reasons = {
            curves.layers[index]: f"average {average[index]:.3f}, number {rank} of {len(ranked)}"
            for rank, index in enumerate(ranked, start=1)
        }
        return Choice(self.name, LayerSet.of(curves.layers[index] for index in ranked[: self.k]), reasons)
