"""The layers to embed with, however they are given: a set, its notation, a sweep's layers.json, or the paper's preset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.errors import LayerSetError, ResultError, SiteError
from valens.layers.layer_set import LayerSet
from valens.model.catalog import CATALOG, known

if TYPE_CHECKING:
    import torch

    from valens.model.model import Model
    from valens.representations.named import Representation

PRESET = "preset"
SUFFIX = ".json"


@dataclass(frozen=True)
class ChosenLayers:
    """What a sweep's layers.json says: of which model, and which layers for each representation."""

    sets: Mapping[str, LayerSet]
    """By the name of the representation; the first is the sweep's main one."""
    model: Mapping[str, Any] | None
    """Name, n_layers, weights and rounded weights of the model that was swept; None in files that do not say."""


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
        sets = {str(name): _listed(found["list"]) for name, found in content["representations"].items()}
        if not sets:
            raise ValueError("it names no representation")
        return ChosenLayers(sets, _facts(content.get("model")))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, LayerSetError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ResultError(
            f"{path} does not hold a sweep's layer sets ({said}). Give the layers.json of a sweep's --out folder."
        ) from error


def _listed(layers: Any) -> LayerSet:
    """The layers as they stand in the file; ValueError for what is no list of whole numbers."""
    if not isinstance(layers, list) or any(type(layer) is not int for layer in layers):
        raise ValueError(f"`list` is layers, as in [26, 27, 29], and not {layers!r}")
    return LayerSet.of(layers)


def _facts(model: Any) -> Mapping[str, Any] | None:
    """What the file says of the model; ValueError where that would not tell one from another."""
    kinds = {"name": str, "n_layers": int, "weights_hash": str}
    if model is None:
        return None
    if not isinstance(model, dict) or any(type(model.get(key)) is not kind for key, kind in kinds.items()):
        raise ValueError(f"`model` is an object with {', '.join(kinds)}, and not {model!r:.60}")
    return model


def model_facts(about: Mapping[str, Any], identity: Mapping[str, Any], rounded: str | None) -> dict[str, Any]:
    """What layers.json says of a model, from what its collection in a store says: enough to know it again.

    `rounded` is `rounded_weights_hash` of it; None in results that do not say.
    """
    return {
        "name": about["model"],
        "n_layers": about["n_layers"],
        "weights_hash": identity["weights_hash"],
        "rounded_weights_hash": rounded,
    }


def rounded_weights_hash(model: Model) -> str:
    """The sha256 of the weights that a vector depends on, rounded to bfloat16: equal for float32 and bfloat16 of a model.

    Names do not count, and nor does the unembedding unless it is the embedding too. Of a float16 copy it may be another.
    """
    import torch

    network = model.bridge.original_model
    embedding, head = network.get_input_embeddings(), network.get_output_embeddings()
    apart = {id(part) for part in head.parameters()} if head is not None else set()
    apart -= {id(part) for part in embedding.parameters()}
    kept = [part.detach() for part in network.parameters() if id(part) not in apart]
    prints = {_rounded(tensor.to(torch.bfloat16).cpu()) for tensor in kept}
    return hashlib.sha256(b"".join(sorted(prints))).hexdigest()


def _rounded(tensor: torch.Tensor) -> bytes:
    import torch

    sha = hashlib.sha256(str(tuple(tensor.shape)).encode())
    sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.digest()


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
        raise LayerSetError(_of_another(model, chosen.model, path))
    if representation.name not in chosen.sets:
        raise LayerSetError(
            f"{path} has layers for {', '.join(chosen.sets)}, not for {representation}. Choose one of these, or sweep it."
        )
    return chosen.sets[representation.name]


def _of_another(model: Model, facts: Mapping[str, Any] | None, path: Path) -> str:
    here = f"{model.name} ({model.n_layers} layers)"
    there = f"{facts['name']} ({facts['n_layers']} layers)" if facts else "a model that it does not name"
    alike = (
        ", and their weights differ. If it is the same model, load both in float32 or bfloat16" if here == there else ""
    )
    return (
        f"{path} was made with {there}; this is {here}{alike}. Sweep this model, or give the layers themselves, as "
        "26,27,29-31."
    )


def _same(model: Model, facts: Mapping[str, Any]) -> bool:
    """Whether it is the model that was swept: by a name that the hub or our catalogue vouches for, or by its weights.

    The name of a folder tells nothing. Weights in another dtype are other weights, so they are compared rounded as well.
    """
    if model.n_layers != facts["n_layers"]:
        return False
    if _vouched(model.name, facts["name"]) or model.weights_hash == facts["weights_hash"]:
        return True
    rounded = facts.get("rounded_weights_hash")
    return rounded is not None and rounded == rounded_weights_hash(model)


def _vouched(ours: str, theirs: str) -> bool:
    """Whether both are one alias of the catalogue or one name on the hub; a local model's name has no owner."""
    entry = known(ours)
    return ("/" in ours and ours == theirs) or (entry is not None and entry == known(theirs))
