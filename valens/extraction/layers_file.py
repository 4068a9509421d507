"""The layers to embed with, however they are given: a set, its notation, a sweep's layers.json, or the paper's preset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.errors import LayerSetError, PromptError, ResultError, SiteError
from valens.layers.layer_set import LayerSet
from valens.layers.sites import out_of_range
from valens.model.catalog import CATALOG, known
from valens.representations.prompts import PLAIN, Prompt

if TYPE_CHECKING:
    from valens.model.model import Model
    from valens.representations.named import Representation

PRESET = "preset"
SUFFIX = ".json"


@dataclass(frozen=True)
class ChosenLayers:
    """The content of a sweep's layers.json: the model, and the layers for each representation."""

    sets: Mapping[str, LayerSet]
    """By the name of the representation; the first is the sweep's main one."""
    model: Mapping[str, Any] | None
    """Name, n_layers, weights and rounded weights of the model that was swept; None in files that do not say."""
    prompt: Prompt | None
    """The prompt of all representations that were swept; None in files that do not say."""


def layers_for(model: Model, representation: Representation, layers: LayerSet | str | Path) -> LayerSet:
    """Return the layer set that is meant for a representation of a model.

    Args:
        model: the model that the layers are for.
        representation: the representation that they are for.
        layers: a LayerSet, its notation (`26,27,29-31`, `half`), the path of a sweep's layers.json, or `preset`: the set
            that arXiv 2602.01572 chose for this model.

    Returns:
        The set; the model has vectors of the representation at all its layers.

    Raises:
        LayerSetError: a notation that is not valid, or layers that were chosen for another model, representation or prompt.
        ResultError: a file that does not hold a sweep's layers.
        SiteError: the model has no vectors of the representation at one of the layers.

    """
    if isinstance(layers, LayerSet):
        layer_set = layers
    elif str(layers).strip() == PRESET:
        layer_set = _preset(model, representation)
    elif str(layers).endswith(SUFFIX):
        layer_set = _from_file(model, representation, Path(layers))
    else:
        layer_set = LayerSet.parse(str(layers), model.n_layers)
    available = representation.reading.layers(model.n_layers)
    unavailable = [layer for layer in layer_set if layer not in available]
    if unavailable:
        has = f"{model.name} has {representation} at the layers {available[0]}..{available[-1]}"
        raise SiteError(out_of_range(has, unavailable[0]))
    return layer_set


def as_chosen(representation: Representation, layers: LayerSet | str | Path) -> Representation:
    """Return the representation with the prompt of a sweep's layers.json, where it has none of its own.

    The same representation for layers that are given otherwise. ResultError for a file that holds no sweep's layers.
    """
    if isinstance(layers, LayerSet) or not str(layers).endswith(SUFFIX) or representation.prompt != PLAIN:
        return representation
    return replace(representation, prompt=read_chosen(layers).prompt or PLAIN)


def read_chosen(path: str | Path) -> ChosenLayers:
    """Read the layers.json that `valens sweep-layers` writes; ResultError if the file does not hold layer sets."""
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        sets = {str(name): _listed(chosen["list"]) for name, chosen in content["representations"].items()}
        if not sets:
            raise ValueError("it names no representation")
        return ChosenLayers(sets, _facts(content.get("model")), _prompt(content.get("prompt")))
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        LayerSetError,
        PromptError,
    ) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ResultError(
            f"{path} does not hold a sweep's layer sets ({reason}). Give the layers.json of a sweep's --out folder."
        ) from error


def _listed(layers: Any) -> LayerSet:
    """Return the layers as they stand in the file; ValueError unless they are a list of whole numbers."""
    if not isinstance(layers, list) or any(type(layer) is not int for layer in layers):
        raise ValueError(f"`list` is layers, as in [26, 27, 29], and not {layers!r}")
    return LayerSet.of(layers)


def _facts(model: Any) -> Mapping[str, Any] | None:
    """Return what the file says of the model; ValueError where that would not distinguish it from another."""
    kinds = {"name": str, "n_layers": int, "weights_hash": str}
    if model is None:
        return None
    if not isinstance(model, dict) or any(type(model.get(key)) is not kind for key, kind in kinds.items()):
        raise ValueError(f"`model` is an object with {', '.join(kinds)}, and not {model!r:.60}")
    return model


def _prompt(identity: Any) -> Prompt | None:
    """Return the prompt that the file names; ValueError or PromptError for what is none."""
    if identity is None:
        return None
    words = identity.values() if isinstance(identity, dict) else ()
    if not isinstance(identity, dict) or identity.keys() != PLAIN.identity().keys() or {*map(type, words)} != {str}:
        raise ValueError(f"`prompt` is an object with {', '.join(PLAIN.identity())}, and not {identity!r:.60}")
    return Prompt.of(identity)


def model_facts(about: Mapping[str, Any], identity: Mapping[str, Any], rounded: str | None) -> dict[str, Any]:
    """Return what layers.json says of a model: enough to recognise it.

    `about` and `identity` are those of its collection in a store. `rounded` is its `rounded_weights_hash`, None in results
    that do not say.
    """
    return {
        "name": about["model"],
        "n_layers": about["n_layers"],
        "weights_hash": identity["weights_hash"],
        "rounded_weights_hash": rounded,
    }


def _preset(model: Model, representation: Representation) -> LayerSet:
    if representation.name != "VA":
        raise LayerSetError(
            f"The paper's layer sets are for VA; {representation} was asked for. Choose its layers with "
            "`valens sweep-layers`, or name them."
        )
    if model.paper_layers is None:
        with_layers = [alias for alias, entry in CATALOG.items() if entry.paper_layers]
        raise LayerSetError(
            f"The paper chose layers for {' and '.join(with_layers)}, not for {model.name}. Choose them with "
            f"`valens sweep-layers --model {model.name}`, or guess them from another size of the family with "
            "`valens transfer-layers`."
        )
    return LayerSet.parse(model.paper_layers, model.n_layers)


def _from_file(model: Model, representation: Representation, path: Path) -> LayerSet:
    chosen = read_chosen(path)
    if chosen.model is None or not _same(model, chosen.model):
        raise LayerSetError(_of_another(model, chosen.model, path))
    if representation.name not in chosen.sets:
        raise LayerSetError(
            f"{path} has layers for {', '.join(chosen.sets)}, not for {representation}. Choose one of these, or sweep it."
        )
    if chosen.prompt not in {None, representation.prompt}:
        raise LayerSetError(
            f"{path} was made with {chosen.prompt}; {representation.prompt} was asked for. Read texts as the sweep did, or "
            "give the layers themselves, as 26,27,29-31."
        )
    return chosen.sets[representation.name]


def _of_another(model: Model, facts: Mapping[str, Any] | None, path: Path) -> str:
    ours = f"{model.name} ({model.n_layers} layers)"
    theirs = f"{facts['name']} ({facts['n_layers']} layers)" if facts else "a model that it does not name"
    alike = (
        ", and their weights differ. If it is the same model, load both in float32 or bfloat16"
        if ours == theirs
        else ""
    )
    return (
        f"{path} was made with {theirs}; this is {ours}{alike}. Sweep this model, or give the layers themselves, as "
        "26,27,29-31."
    )


def _same(model: Model, facts: Mapping[str, Any]) -> bool:
    """Tell whether it is the model that was swept: by a name on the hub or in the catalogue, or by its weights.

    The name of a folder tells nothing. Weights in another dtype are other weights, so they are compared rounded as well.
    """
    if model.n_layers != facts["n_layers"]:
        return False
    if _vouched(model.name, facts["name"]) or model.weights_hash == facts["weights_hash"]:
        return True
    rounded = facts.get("rounded_weights_hash")
    return rounded is not None and rounded == model.rounded_weights_hash


def _vouched(ours: str, theirs: str) -> bool:
    """Tell whether both are one alias of the catalogue or one name on the hub; a local model's name has no owner."""
    entry = known(ours)
    return ("/" in ours and ours == theirs) or (entry is not None and entry == known(theirs))
