"""The shape of a decoder, found out by reading four tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from valens.errors import ModelError
from valens.layers.sites import HOOKS, REQUIRED, Site, Stream

if TYPE_CHECKING:
    import torch


FOUR = (0, 1, 2, 3)
"""Tokens that every vocabulary has."""

SAME = {4: 1e-3, 2: 0.1}
"""The largest relative distance of what is the same but for rounding, by the bytes of a number."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a decoder as its hook points show them; `n_kv_heads` is `n_heads` for multi-head attention."""

    n_layers: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    d_head: int

    def width(self, stream: Stream) -> int:
        """Return how many numbers a stream has for one token (`pattern`: for one token and key)."""
        widths = {
            Stream.VALUES: self.n_kv_heads * self.d_head,
            Stream.KEYS: self.n_kv_heads * self.d_head,
            Stream.HEADS: self.n_heads * self.d_head,
            Stream.PATTERN: self.n_heads,
        }
        return widths.get(stream, self.d_model)


def body_of(model: Any) -> Any:
    """Return the decoder of a Hugging Face model, without the unembedding."""
    body = model.base_model
    return getattr(model, "model", model) if body is model else body  # Llama 4 names another body than it has


def read_causally(name: str, model: Any) -> torch.Tensor:
    """Return what a bare model's body gives for four tokens [token, d]; ModelError if a token changes those before it.

    Where it does, padding on the right of a text would change the text's vectors.
    """
    import torch

    ids = torch.tensor([FOUR, (*FOUR[:-1], FOUR[0])], device=model.device)
    with torch.no_grad():
        given, changed = body_of(model)(input_ids=ids, use_cache=False)[0]
    if apart(given[:-1], changed[:-1]):
        raise ModelError(
            f"{name} ({model.config.model_type}) has no causal attention: a token changes the vectors of those before it. "
            "valens reads decoders; choose one."
        )
    return given


def check_final_norm(name: str, bridge: Any, expected: torch.Tensor) -> None:
    """Raise ModelError unless the bridge's final norm makes of the last hidden state what `read_causally` gave."""
    import torch

    last = Site(Stream.HIDDEN, len(bridge.blocks)).hook
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        run_four(bridge, [(last, lambda tensor, hook: seen.append(tensor[0]))])  # noqa: ARG005
        normed = bridge.ln_final.original_component(seen[0])
    if normed.shape != expected.shape or apart(normed, expected):
        raise ModelError(
            f"{name} does not end as TransformerLens reads it: the final norm of its last hidden state is not what "
            "the model itself gives. Choose a model that ends in a norm over its last block."
        )


def read_sizes(name: str, bridge: Any) -> Sizes:
    """Read the sizes off the hook points; ModelError unless every block has values, of one and the same shape."""
    layers = range(1, len(bridge.blocks) + 1)
    if not layers:
        raise ModelError(f"{name} has no layers: its configuration asks for none. Correct it, or save the model again.")
    seen = hook_shapes(bridge)
    absent = [layer for layer in layers if (Stream.VALUES, layer) not in seen]
    if absent:
        raise ModelError(
            f"{name} has no attention values in {len(absent)} of its {len(layers)} layers (first: {absent[0]}). "
            "State-space, linear-attention and hybrid models cannot be compared layer by layer."
        )
    silent = [stream for stream in REQUIRED for layer in layers if (stream, layer) not in seen]
    if silent:
        raise ModelError(f"TransformerLens does not show the {silent[0]} of {name}. Choose a model whose hooks fire.")
    shapes = {seen[Stream.VALUES, layer][-2:] for layer in layers}
    if len(shapes) > 1:
        raise ModelError(
            f"{name} has values of different shapes in different layers (heads, width): {sorted(shapes)}. "
            "valens compares layers of one shape."
        )
    n_kv_heads, d_head = shapes.pop()
    return Sizes(
        n_layers=len(layers),
        d_model=seen[Stream.HIDDEN, len(layers)][-1],
        n_heads=seen[Stream.HEADS, len(layers)][-2],
        n_kv_heads=n_kv_heads,
        d_head=d_head,
    )


def hook_shapes(bridge: Any) -> dict[tuple[Stream, int], tuple[int, ...]]:
    """Return the shapes that the hook points show for four tokens, by stream and layer; what does not fire is absent."""
    import torch

    seen: dict[tuple[Stream, int], tuple[int, ...]] = {}

    def watch(stream: Stream, layer: int) -> tuple[str, Callable[..., None]]:
        def note(tensor: torch.Tensor, hook: object) -> None:  # noqa: ARG001
            seen[stream, layer] = tuple(tensor.shape)

        return Site(stream, layer).hook, note

    points = bridge.hook_dict
    taps = [watch(stream, layer) for stream in HOOKS for layer in range(1, len(bridge.blocks) + 1)]
    with torch.no_grad():
        run_four(bridge, [tap for tap in taps if tap[0] in points])
    return seen


def run_four(bridge: Any, hooks: list[tuple[str, Callable[..., None]]]) -> None:
    """Run four tokens through the model, with these hooks in place."""
    import torch

    model = bridge.original_model
    with bridge.hooks(fwd_hooks=hooks):
        body_of(model)(input_ids=torch.tensor([FOUR], device=model.device), use_cache=False)


def apart(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors differ by more than rounding."""
    distance = (one.float() - other.float()).norm() / other.float().norm()
    return bool(distance > SAME[one.element_size()])
