"""Layer sets that look at no score: all layers and the deep half, the paper's baselines (appendix A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from valens.layers import LayerSet
from valens.selectors.contract import Choice, LayerCurves


@dataclass(frozen=True)
class Fixed:
    """A layer set that follows from the number of layers alone."""

    name: str
    layers: Callable[[int], LayerSet]

    def select(self, curves: LayerCurves) -> Choice:
        """Choose, whatever the scores are."""
        chosen = self.layers(curves.n_layers)
        reasons = {
            layer: f"{'in' if layer in chosen else 'not in'} {self.name}, whatever it scores" for layer in curves.layers
        }
        return Choice(self.name, chosen, reasons)
