"""Who computes the attention: the model's own kernel where its hook points still fire, else TransformerLens.

The bridge re-implements attention eagerly so that scores and patterns can be hooked. Pooled readings of the other
streams need neither, so each block's own kernel (SDPA, FlashAttention) can be lent back: its projections are the
bridge's own components, and their hook points still fire. Where projections are fused and the bridge must split them,
only the bridge's attention shows the values. Which of the two holds is found out by reading four tokens.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from valens.errors import ModelError
from valens.layers.sites import HOOKS, Stream

if TYPE_CHECKING:
    pass
from valens.model.architecture import hook_shapes

KERNELS = ("auto", "sdpa", "eager", "flash_attention_2")

BRIDGE_KERNEL = "transformer_lens"
"""The kernel's name where TransformerLens computes the attention itself."""


def choose_kernel(name: str, bridge: Any, kernel: str) -> str:
    """The first of the wanted kernels under which every stream but the pattern can be read.

    Raises ModelError if the one kernel that was asked for cannot serve; `auto` ends at TransformerLens's own attention.
    """
    if kernel not in {*KERNELS, BRIDGE_KERNEL}:
        raise ModelError(f"There is no attention kernel {kernel!r}. Choose one of {', '.join(KERNELS)}.")
    if kernel == BRIDGE_KERNEL:
        return kernel
    for candidate in ("sdpa", "eager") if kernel == "auto" else (kernel,):
        why_not = _obstacle(bridge, candidate)
        if why_not is None:
            return candidate
    if kernel == "auto":
        return BRIDGE_KERNEL
    raise ModelError(f"{name} cannot be read with the attention kernel {kernel}: {why_not}. Use auto.")


@contextlib.contextmanager
def lent_attention(bridge: Any, kernel: str) -> Iterator[None]:
    """Let each wrapped attention module run its own `kernel`, and give the bridge's forward back on leaving.

    The base attention bridge delegates to the module that it wraps; that method is lent to each block's attention. It
    is put into the instance's dictionary because a bridge forwards attribute writes to what it wraps.
    """
    from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge

    model = bridge.original_model
    before = model.config._attn_implementation
    attentions = [block.attn for block in bridge.blocks]
    model.set_attn_implementation(kernel)
    for attention in attentions:
        attention.__dict__["forward"] = types.MethodType(AttentionBridge.forward, attention)
    try:
        yield
    finally:
        for attention in attentions:
            del attention.__dict__["forward"]
        model.set_attn_implementation(before)


@contextlib.contextmanager
def forgotten_patterns(bridge: Any) -> Iterator[None]:
    """Drop the pattern that a block's attention keeps, as soon as it is done: n_heads · token² numbers a block.

    TransformerLens keeps the last one where projections are fused, and does not read it again.
    """

    def forget(attention: Any, *_: object) -> None:
        attention.__dict__["_pattern"] = None

    handles = [block.attn.register_forward_hook(forget) for block in bridge.blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _obstacle(bridge: Any, kernel: str) -> str | None:
    """Why a kernel cannot serve, or None if it can."""
    layers = range(1, len(bridge.blocks) + 1)
    needed = {(stream, layer) for stream in HOOKS if stream is not Stream.PATTERN for layer in layers}
    try:
        with lent_attention(bridge, kernel):
            hidden = {stream for stream, _ in needed - hook_shapes(bridge).keys()}
    except (ValueError, ImportError) as error:
        return str(error)
    return f"its projections are fused and hide {', '.join(sorted(hidden))}" if hidden else None
