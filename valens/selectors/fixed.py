"""Layer sets that look at no score: all layers and the deep half, the paper's baselines (appendix A).

The deep half is {L/2, …, L} with L/2 rounded down: 16 layers where L is 30, 17 where it is 31.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from valens.errors import SelectionError
from valens.layers.layer_set import LayerSet
from valens.selectors.contract import Choice, LayerCurves


@dataclass(frozen=True)
class Fixed:
    """A layer set that follows from the number of layers alone."""

    needs: ClassVar[tuple[str, ...]] = ()
    fewest_tasks: ClassVar[int] = 1

    name: str
    layers: Callable[[int], LayerSet]

    def select(self, curves: LayerCurves) -> Choice:
        """Choose of the candidates, whatever they score; SelectionError if none of them is in the set."""
        fixed = self.layers(curves.n_layers)
        chosen = [layer for layer in curves.layers if layer in fixed]
        if not chosen:
            raise SelectionError(
                f"None of the layers {LayerSet.of(curves.layers)} is in `{self.name}`, which is {fixed}. "
                "Give other --layers, or another --select."
            )
        reasons = {
            layer: f"{'in' if layer in fixed else 'not in'} {self.name} ({fixed}), whatever it scores"
            for layer in curves.layers
        }
        return Choice(self.name, LayerSet.of(chosen), reasons)
