"""The best run of neighbouring layers, as the paper's 20-27 for LLaMA-2 is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from valens.layers.layer_set import LayerSet
from valens.selectors.contract import Choice, LayerCurves
from valens.statistics import first_highest


@dataclass(frozen=True)
class Contiguous:
    """The `width` neighbouring candidates whose mean over layers and task types is highest."""

    needs: ClassVar[tuple[str, ...]] = ()
    fewest_tasks: ClassVar[int] = 1

    width: int = 5
    name: str = "contiguous"

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; with fewer than `width` candidates, all of them."""
        average, width = curves.average().score, min(self.width, len(curves.layers))
        means = np.convolve(average, np.ones(width) / width, mode="valid")
        start = first_highest(means)
        window = curves.layers[start : start + width]
        reasons = {
            layer: f"average {average[index]:.3f}, {'inside' if layer in window else 'outside'} the best window of {width} "
            f"(mean {means[start]:.3f})"
            for index, layer in enumerate(curves.layers)
        }
        return Choice(self.name, LayerSet.of(window), reasons)
