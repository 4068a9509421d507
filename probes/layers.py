"""Which layers a probe looks at, from what its user asked for."""

from __future__ import annotations

from collections.abc import Iterable

from valens.errors import SiteError
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import Representation


def layers_asked(model: Model, representation: Representation, layers: LayerSet | None) -> tuple[int, ...]:
    """Those of the layers that the representation has; all that it has, if none are named.

    Raises SiteError where the model has fewer layers, and where nothing is left.
    """
    check_layers(model, layers or ())
    there = representation.reading.layers(model.n_layers)
    wanted = tuple(layer for layer in there if layers is None or layer in layers)
    if not wanted:
        raise SiteError(
            f"{representation} has no layer {layers}; it has {there[0]}..{there[-1]}. Ask for some of those."
        )
    return wanted


def check_layers(model: Model, layers: Iterable[int]) -> None:
    """Raise SiteError for a layer behind the model's last."""
    deepest = max(layers, default=0)
    if deepest > model.n_layers:
        raise SiteError(
            f"{model.name} has layers 1..{model.n_layers}; {deepest} was asked for. "
            "Count from 1; 0 is the input of the first block."
        )
