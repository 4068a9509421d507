"""A decoder language model, ready to be read: weights, tokenizer, sizes and fingerprints around a TransformerBridge."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from valens.errors import ModelError
from valens.model.architecture import Sizes, body_of
from valens.model.attention import BRIDGE_ATTENTION, lent_attention
from valens.model.catalog import known

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class Network:
    """A TransformerBridge that is booted when it is first asked for."""

    def __init__(self, boot: Callable[[], Any]) -> None:
        self._boot = boot

    @cached_property
    def bridge(self) -> Any:
        """The bridge; ModelError where it cannot be booted."""
        return self._boot()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that tells a model and how it is read from another, and what is asked of it before it is run."""

    sizes: Sizes
    n_ctx: int
    """The number of tokens that the model was made to read at once."""
    n_embeddings: int
    """The number of tokens that have an embedding."""
    has_unembedding: bool
    """Whether there is an unembedding with the model's own numbers; in some models it was in no file."""
    dtype: str
    """Of the weights: `float32`, `bfloat16` or `float16`."""
    attn_implementation: str
    """The attention implementation: `sdpa`, `eager`, `flash_attention_2`, or `transformer_lens`."""
    revision: str
    """The commit on the hub, the branch or tag that was asked for, or `local`."""
    weights_hash: str = field(repr=False)
    """The sha256 of the weights."""
    rounded_weights_hash: str = field(repr=False)
    """The sha256 of the weights rounded to bfloat16: the same for float32 and bfloat16, in float16 it may differ."""
    config_hash: str = field(repr=False)
    """The sha256 of the configuration."""
    tokenizer_hash: str = field(repr=False)
    """The sha256 of the tokenizer."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(Identity):
    """A decoder and all that identifies it; made by `load` or `wrap`.

    Its weights are loaded when a forward pass first needs them, and then held, so keep one of each model.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    device: torch.device
    """Where the weights are, or will be."""
    network: Network = field(repr=False)

    @classmethod
    def of(cls, identity: Identity, **rest: Any) -> Model:
        """Return the model of an identity and all else that a Model has."""
        return cls(**{each.name: getattr(identity, each.name) for each in fields(identity)}, **rest)

    @property
    def bridge(self) -> Any:
        """The TransformerBridge; ModelError if its files have gone, or are not those that it was remembered by."""
        return self.network.bridge

    @property
    def identity(self) -> Identity:
        """What it has in common with every other load of the same files."""
        return Identity(**{each.name: getattr(self, each.name) for each in fields(Identity)})

    @property
    def paper_layers(self) -> str | None:
        """The layer set that arXiv 2602.01572 chose for this model, in its notation; None if it chose none."""
        entry = known(self.name)
        return entry.paper_layers if entry else None

    @property
    def n_layers(self) -> int:
        """L, the number of blocks."""
        return self.sizes.n_layers

    def check_token_ids(self, texts: Iterable[Sequence[int]]) -> None:
        """Raise ModelError for a token id that has no embedding, as a tokenizer with added tokens may give."""
        highest = max((max(ids, default=0) for ids in texts), default=0)
        if highest >= self.n_embeddings:
            token = self.tokenizer.convert_ids_to_tokens(highest)
            raise ModelError(
                f"The tokenizer of {self.name} makes the token {token!r}, number {highest}, and the model has embeddings "
                f"for 0 to {self.n_embeddings - 1} only. Use the tokenizer that the model was trained with."
            )

    def run_body(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        """Run the decoder for its hooks alone: without logits, without a cache.

        Args:
            ids: token ids [text, token].
            mask: true where there is text [text, token]; positions count these tokens only. None where texts are padded on
                the right: attention is causal, so that padding cannot reach them.

        """
        body = body_of(self.bridge.original_model)
        if mask is None:
            body(input_ids=ids, use_cache=False)
        else:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            body(input_ids=ids, attention_mask=mask.long(), position_ids=positions, use_cache=False)

    def final_norm(self, residual: torch.Tensor) -> torch.Tensor:
        """Apply the model's final norm to a residual stream [..., d_model]."""
        return self.bridge.ln_final.original_component(residual)

    @contextlib.contextmanager
    def native_attention(self) -> Iterator[None]:
        """Let every block run its own attention implementation, and give the bridge's back on leaving."""
        if self.attn_implementation == BRIDGE_ATTENTION:
            yield
            return
        with lent_attention(self.bridge, self.attn_implementation):
            yield
