"""Which layers a probe looks at, from what its user asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from valens.errors import SelectionError, SiteError
from valens.layers.layer_set import LayerSet
from valens.layers.sites import out_of_range
from valens.model.model import Model
from valens.representations.named import Representation
from valens.representations.prompts import Prompt

RESERVED = frozenset(
    {"layer", "layers", "metric", "representation", "score", "TF-IDF", "chance", "unigram", "best layer"}
)
"""Names of columns and baselines, which no representation may have."""

Layers = LayerSet | str | None
"""A layer set, its notation (`20-27`, `half`), or None for every layer that there is."""


def layers_of_model(model: Model, layers: Layers) -> LayerSet | None:
    """Return the layers asked for of a model, None for all; LayerSetError for a notation that it cannot have."""
    return LayerSet.parse(layers, model.n_layers) if isinstance(layers, str) else layers


def sets_of_model(model: Model, sets: Sequence[LayerSet | str]) -> tuple[LayerSet, ...]:
    """Layer sets of a model, from sets or their notations; LayerSetError for a notation that it cannot have."""
    return tuple(LayerSet.parse(one, model.n_layers) if isinstance(one, str) else one for one in sets)


def layers_asked(model: Model, representation: Representation, layers: LayerSet | None) -> tuple[int, ...]:
    """Return those of the layers that the representation has; all that it has, if none are named.

    Raises SiteError where the model has fewer layers, and where nothing is left.
    """
    check_layers(model, layers or ())
    has = representation.reading.layers(model.n_layers)
    wanted = tuple(layer for layer in has if layers is None or layer in layers)
    if not wanted:
        raise SiteError(f"{representation} has no layer {layers}; it has {has[0]}..{has[-1]}. Ask for some of those.")
    return wanted


def check_names(representations: Sequence[Representation]) -> None:
    """Raise SelectionError for representations that a table cannot tell apart, or that are called as a column or baseline.

    Two of one name would be one line of a figure, and one called `layer` or `TF-IDF` somebody else's.
    """
    names = [representation.name for representation in dict.fromkeys(representations)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    reserved = [name for name in names if name in RESERVED]
    if repeated or reserved:
        raise SelectionError(
            f"The name {(repeated or reserved)[0]!r} is taken, by another representation, a column or a baseline. Give each "
            "representation a name of its own."
        )


def shared_prompt(representations: Sequence[Representation], what: str) -> Prompt:
    """Return the one prompt that representations share; SelectionError (`what` begins it) for several, or none."""
    prompts = {representation.prompt for representation in representations}
    if len(prompts) != 1:
        raise SelectionError(
            f"{what} representations of one prompt; {len(representations)} representations of {len(prompts)} prompts were "
            "given. Give one or more that share their prompt."
        )
    return prompts.pop()


def check_layers(model: Model, layers: Iterable[int]) -> None:
    """Raise SiteError for a layer after the model's last."""
    deepest = max(layers, default=0)
    if deepest > model.n_layers:
        raise SiteError(out_of_range(f"{model.name} has layers 1..{model.n_layers}", deepest))
