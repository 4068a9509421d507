"""The layers to embed with, however they are given: a set, its notation, a sweep's layers.json, or the paper's preset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.catalog import CATALOG, known
from valens.errors import LayerSetError, ResultError, SiteError
from valens.layers import LayerSet

if TYPE_CHECKING:
    from valens.models import Model
    from valens.representations import Representation

PRESET = "preset"
SUFFIX = ".json"


@dataclass(frozen=True)
class ChosenLayers:
    """What a sweep's layers.json says: of which model, and which layers for each representation."""

    sets: Mapping[str, LayerSet]
    """By the name of the representation; the first is the sweep's main one."""
    model: Mapping[str, Any] | None
    """Name, n_layers and weights of the model that was swept; None in files that do not say."""


def layers_for(model: Model, representation: Representation, layers: LayerSet | str | Path) -> LayerSet:
    """The layers of a representation of a model that are meant.

    `layers` is a LayerSet, its notation (`26,27,29-31`, `half`), the path of a sweep's layers.json, or `preset`: the set
    that arXiv 2602.01572 chose for this model. Raises LayerSetError if they are of another model or representation,
    SiteError if the model has no vectors there.
    """
    if isinstance(layers, LayerSet):
        found = layers
    elif str(layers).strip() == PRESET:
        found = _preset(model, representation)
    elif str(layers).endswith(SUFFIX):
        found = _from_file(model, representation, Path(layers))
    else:
        found = LayerSet.parse(str(layers), model.n_layers)
    there = representation.reading.layers(model.n_layers)
    astray = [layer for layer in found if layer not in there]
    if astray:
        raise SiteError(
            f"{model.name} has {representation} at the layers {there[0]}..{there[-1]}; {astray[0]} was asked for. "
            "Count from 1; 0 is the input of the first block."
        )
    return found


def read_chosen(path: str | Path) -> ChosenLayers:
    """Read a sweep's layers.json; ResultError if it is none."""
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        sets = {name: LayerSet.of(found["list"]) for name, found in content["representations"].items()}
        return ChosenLayers(sets, content.get("model"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, LayerSetError) as error:
        raise ResultError(
            f"{path} does not hold a sweep's layer sets ({error}). Give the layers.json of a sweep's --out folder."
        ) from error


def model_facts(about: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """What layers.json says of a model, from what its collection in a store says: enough to know it again."""
    return {"name": about["model"], "n_layers": about["n_layers"], "weights": identity["weights"]}


def _preset(model: Model, representation: Representation) -> LayerSet:
    if representation.name != "VA":
        raise LayerSetError(
            f"The paper's layer sets are for VA; {representation} was asked for. Choose its layers with "
            "`valens sweep-layers`, or name them."
        )
    if model.paper_layers is None:
        having = [alias for alias, entry in CATALOG.items() if entry.paper_layers]
        raise LayerSetError(
            f"The paper chose layers for {' and '.join(having)}, not for {model.name}. Choose them with "
            f"`valens sweep-layers --model {model.name}`, or guess them from another size of the family with "
            "`valens transfer-layers`."
        )
    return LayerSet.parse(model.paper_layers, model.n_layers)


def _from_file(model: Model, representation: Representation, path: Path) -> LayerSet:
    chosen = read_chosen(path)
    if chosen.model is None or not _same(model, chosen.model):
        facts = chosen.model or {"name": "a model that it does not name", "n_layers": "unknown"}
        raise LayerSetError(
            f"{path} was made with {facts['name']} ({facts['n_layers']} layers); this is {model.name} ({model.n_layers} "
            "layers). Sweep this model, or give the layers themselves, as 26,27,29-31."
        )
    if representation.name not in chosen.sets:
        raise LayerSetError(
            f"{path} has layers for {', '.join(chosen.sets)}, not for {representation}. Choose one of these, or sweep it."
        )
    return chosen.sets[representation.name]


def _same(model: Model, facts: Mapping[str, Any]) -> bool:
    """Whether it is the model that was swept: by its weights, or by name, for in another dtype its weights are others."""
    ours, theirs = known(model.name), known(facts["name"])
    named_alike = model.name == facts["name"] or (ours is not None and ours == theirs)
    return model.n_layers == facts["n_layers"] and (named_alike or model.weights == facts["weights"])
