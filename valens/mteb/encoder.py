"""A layer set as an encoder that mteb takes as it is: `mteb.evaluate(Encoder(model, layers="26,27,29-31"), tasks)`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from valens.extraction.embedding import encode
from valens.extraction.extract import token_limit
from valens.extraction.layers_file import as_chosen, layers_for
from valens.layers.layer_set import LayerSet
from valens.model.catalog import known
from valens.model.model import Model
from valens.mteb.library import preserve_rng_state
from valens.representations.named import VA, Representation
from valens.representations.named import representation as named
from valens.representations.prompts import PLAIN
from valens.store.store import ActivationStore


class Encoder:
    """The averaged embedding over a layer set, as mteb sees an encoder.

    mteb keeps results in a folder of its own for each stream, layer set, norm, pooling and limit of tokens, so that no two
    are mixed. An empty text of a task is a PromptError.

    Args:
        model: the model that reads the texts.
        representation: what is averaged, by its name or as a record; value aggregation (VA) by default.
        layers: the layer set: as `26,27,29-31`, a LayerSet, the `layers.json` of a sweep, or `preset`, the paper's set.
        store: an activation store or its folder, with which a text that several tasks share is read once; None keeps
            nothing.
        max_tokens: where texts are cut, in tokens; None is the model's own limit.

    Raises:
        LayerSetError, SiteError: layers that this model does not have.

    """

    def __init__(
        self,
        model: Model,
        representation: Representation | str = VA,
        *,
        layers: LayerSet | str | Path,
        store: ActivationStore | str | Path | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.model = model
        self.representation = as_chosen(
            named(representation) if isinstance(representation, str) else representation, layers
        )
        self.layers = layers_for(model, self.representation, layers)
        self.store = store
        self.max_tokens = token_limit(model, max_tokens)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: object,  # noqa: ARG002
        hf_split: str,  # noqa: ARG002
        hf_subset: str,  # noqa: ARG002
        prompt_type: object = None,  # noqa: ARG002
        **_: object,
    ) -> Float[np.ndarray, "text d"]:
        """Embed mteb's batches of texts, in order.

        The text alone decides: task, split and kind of prompt change nothing, and nor does the size of a batch, which mteb
        passes on beside them.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        return encode(
            self.model,
            texts,
            representation=self.representation,
            layers=self.layers,
            store=self.store,
            max_tokens=self.max_tokens,
        )

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine of every embedding with every other, as mteb computes it."""
        return importlib.import_module("mteb.similarity_functions").cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine of each pair of embeddings, as mteb computes it."""
        return importlib.import_module("mteb.similarity_functions").pairwise_cos_sim(embeddings1, embeddings2)

    @property
    def facts(self) -> dict[str, Any]:
        """All that tells this embedding from another of the same model; mteb names its folders after them."""
        reading, prompt = self.representation.reading, self.representation.prompt
        return {
            "representation": self.representation.name,
            "stream": str(reading.stream),
            "layers": str(self.layers),
            "norm": "final" if reading.norm else "none",
            "pooling": str(reading.pooling),
            "max_tokens": self.max_tokens,
            "dtype": self.model.dtype,
        } | ({} if prompt == PLAIN else prompt.identity())

    @cached_property
    def mteb_model_meta(self) -> Any:
        """Mteb's description of the model: its name and revision, and as `experiment_kwargs` the facts above."""
        entry = known(self.model.name)
        name = entry.source if entry and not entry.source.startswith("wheel:") else self.model.name
        with preserve_rng_state():
            described = importlib.import_module("mteb.models.model_meta")
        return described.ModelMeta.create_empty(
            overwrites={
                "name": name if "/" in name else f"valens/{name}",
                "revision": self.model.weights_hash[:16] if self.model.revision == "local" else self.model.revision,
                "max_tokens": self.max_tokens,
                "embed_dim": self.model.sizes.width(self.representation.reading.stream),
                "similarity_fn_name": described.ScoringFunction.COSINE,
                "framework": ["PyTorch", "Transformers"],
                "use_instructions": False,
                "experiment_kwargs": self.facts,
            }
        )
