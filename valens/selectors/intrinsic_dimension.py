"""The layer whose vectors fill the fewest directions: a rule that looks at no label.

KV-Embedding (arXiv 2601.01046) chooses its layers where the TwoNN estimate is least, as the place where meaning is
compressed most. There it says where to intervene in a forward pass; here it says which layer to embed with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from valens.errors import SelectionError
from valens.layers.layer_set import LayerSet
from valens.selectors.contract import Choice, LayerCurves


@dataclass(frozen=True)
class IntrinsicDimension:
    """The `k` layers of least intrinsic dimension, by the TwoNN estimate on the texts of the tasks."""

    needs: ClassVar[tuple[str, ...]] = ()
    fewest_tasks: ClassVar[int] = 1

    k: int = 1
    name: str = "intrinsic-dimension"

    def select(self, curves: LayerCurves) -> Choice:
        """Choose; SelectionError if no layer's dimension is known. A layer that has none is never chosen."""
        if curves.dimension is None or np.isnan(curves.dimension).all():
            raise SelectionError(
                f"The selector `{self.name}` needs an estimate of the dimension, and no layer has one: no vectors, "
                "or fewer than three differ. Choose within a layer sweep of more texts, or use another selector."
            )
        ranked = np.argsort(curves.dimension, kind="stable")  # nan comes last
        chosen = [int(index) for index in ranked[: self.k] if not np.isnan(curves.dimension[index])]
        reasons = {
            curves.layers[
                index
            ]: f"dimension {curves.dimension[index]:.1f}, number {rank} of {len(ranked)} from the least"
            for rank, index in enumerate(ranked, start=1)
        }
        return Choice(self.name, LayerSet.of(curves.layers[index] for index in chosen), reasons)
