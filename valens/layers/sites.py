"""Where a vector is read: a stream, a layer, and whether the model's final norm is applied.

This is the one place that turns the paper's layer numbers into TransformerLens hook points. Layers are counted from 1
to L as in the paper's equations: layer `l` is block `l`, which TransformerLens calls `blocks.{l-1}`. `hidden@l` leaves
block `l`, `hidden@0` enters the first block, and every other stream is computed inside its block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from valens.errors import SiteError


class Stream(StrEnum):
    """The internal vectors that can be read; see `HOOKS` for where each is found and how wide it is."""

    HIDDEN = "hidden"
    """x^l, the residual stream that leaves block l [d_model]."""
    VALUES = "values"
    """v^l, the value vectors of every key-value head, concatenated [n_kv_heads · d_head]."""
    HEADS = "heads"
    """z^l, the head outputs before W_O, concatenated [n_heads · d_head]."""
    ATTN_OUT = "attn_out"
    """a^l, what attention adds to the residual stream: after W_O, and the norm there in Gemma 2 and OLMo 2 [d_model]."""
    PATTERN = "pattern"
    """alpha^l, the attention weights of each head over the keys [n_heads · n_keys]."""
    NORMED = "normed"
    """What enters the attention of block l [d_model]: LN_l(x^{l-1}) with its gain, or x^{l-1} where no norm is (OLMo 2)."""
    KEYS = "keys"
    """k^l, the key vectors of every key-value head, before any norm of keys and RoPE [n_kv_heads · d_head]."""
    MLP = "mlp"
    """f^l, what the MLP adds to the residual stream: after the norm there in Gemma 2 and OLMo 2 [d_model]."""

    @classmethod
    def named(cls, name: str) -> Stream:
        """Return the stream of this name; SiteError, with the names of all, if there is none."""
        try:
            return cls(name)
        except ValueError:
            raise SiteError(f"There is no stream {name!r}. The streams are {', '.join(cls)}.") from None


HOOKS = {
    Stream.HIDDEN: "hook_out",
    Stream.VALUES: "attn.hook_v",
    Stream.HEADS: "attn.hook_z",
    Stream.ATTN_OUT: "hook_attn_out",
    Stream.PATTERN: "attn.hook_pattern",
    Stream.NORMED: "attn.hook_in",
    Stream.KEYS: "attn.hook_k",
    Stream.MLP: "hook_mlp_out",
}

REQUIRED = (Stream.HIDDEN, Stream.VALUES, Stream.HEADS, Stream.ATTN_OUT, Stream.PATTERN)
"""The streams without which a model is refused; another that TransformerLens does not show is refused when asked for."""

_NOTATION = re.compile(r"(?P<stream>[a-z_]+)@(?P<layer>\d+)(?P<norm>:norm)?")


def first_layer(stream: Stream) -> int:
    """Return the lowest layer of a stream: 0 for the residual stream, 1 for what is computed inside a block."""
    return 0 if stream is Stream.HIDDEN else 1


def layers_of(stream: Stream, n_layers: int) -> range:
    """Return the layers of a stream in a model of L = `n_layers` blocks."""
    return range(first_layer(stream), n_layers + 1)


@dataclass(frozen=True)
class Site:
    """Where a vector is read; `str` is its address: `values@26`, `hidden@28`, `hidden@28:norm`.

    Args:
        stream: the stream, or its name.
        layer: counted from 1, as in the paper's equations; `hidden` also has 0, the input of the first block.
        norm: whether the model's final norm is applied to the vector; for `hidden` only.

    Raises:
        SiteError: a stream that does not exist, a layer below the stream's first, or a norm of another stream.

    """

    stream: Stream
    layer: int
    norm: bool = False

    def __post_init__(self) -> None:
        """Refuse an address that no model has."""
        object.__setattr__(self, "stream", Stream.named(self.stream))
        if self.norm and self.stream is not Stream.HIDDEN:
            raise SiteError(f"The final norm reads the residual stream only: `hidden@{self.layer}:norm`, not {self}.")
        if self.layer < first_layer(self.stream):
            raise SiteError(f"{self.stream} has layers from {first_layer(self.stream)}; {self.layer} was asked for.")

    @classmethod
    def parse(cls, text: str) -> Site:
        """Read an address such as `values@26` or `hidden@28:norm`; SiteError for anything else."""
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise SiteError(f"{text!r} is not a valid site. Write stream@layer, as `values@26` or `hidden@28:norm`.")
        return cls(Stream.named(match["stream"]), int(match["layer"]), match["norm"] is not None)

    @property
    def hook(self) -> str:
        """The name of the TransformerLens hook point; the first residual is read as the input of the first block.

        GPT-2 adds its positions outside the embedding module, so only the block's input is right for every model.
        """
        if self.layer == 0:
            return "blocks.0.hook_in"
        return f"blocks.{self.layer - 1}.{HOOKS[self.stream]}"

    def check(self, n_layers: int, model: str) -> None:
        """Raise SiteError unless a model of L = `n_layers` blocks has this site."""
        layers = layers_of(self.stream, n_layers)
        if self.layer not in layers:
            has = f"{model} has layers {layers[0]}..{layers[-1]} for {self.stream}"
            raise SiteError(out_of_range(has, self.layer))

    def __str__(self) -> str:
        """Return the address."""
        return f"{self.stream}@{self.layer}" + (":norm" if self.norm else "")


def out_of_range(has: str, layer: int, within: str = "") -> str:
    """Say that a model lacks a layer: `has` names the layers that there are, `within` what the layer was asked for in."""
    return f"{has}; {layer} was asked for{within}. Count from 1; 0 is the input of the first block."
