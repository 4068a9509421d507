"""Who computes the attention: the model's own implementation where its hook points still fire, else TransformerLens.

The bridge re-implements attention eagerly so that scores and patterns can be hooked. Pooled readings of the other
streams need neither, so each block's own implementation (SDPA, FlashAttention) can be lent back: its projections are the
bridge's own components, and their hook points still fire. Where projections are fused and the bridge must split them,
only the bridge's attention shows the values. Which of the two holds is found out by reading four tokens.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any

from valens.errors import ModelError
from valens.layers.sites import Stream
from valens.model.architecture import hook_shapes

ATTN_IMPLEMENTATIONS = ("auto", "sdpa", "eager", "flash_attention_2")

BRIDGE_ATTENTION = "transformer_lens"
"""The implementation's name where TransformerLens computes the attention itself."""


def choose_attn_implementation(name: str, bridge: Any, attn_implementation: str) -> str:
    """Choose an attention implementation under which every stream but the pattern can be read.

    Args:
        name: what the model is called in messages.
        bridge: the model's TransformerBridge.
        attn_implementation: `sdpa`, `eager`, `flash_attention_2`, `transformer_lens`, or `auto`: the first that works of
            `sdpa`, `eager` and `transformer_lens`.

    Returns:
        The name of the implementation.

    Raises:
        ModelError: there is no such implementation, or the model's streams cannot be read with it.

    """
    if attn_implementation not in {*ATTN_IMPLEMENTATIONS, BRIDGE_ATTENTION}:
        raise ModelError(
            f"There is no attention implementation {attn_implementation!r}. Choose one of {', '.join(ATTN_IMPLEMENTATIONS)}."
        )
    if attn_implementation == BRIDGE_ATTENTION:
        return attn_implementation
    for candidate in ("sdpa", "eager") if attn_implementation == "auto" else (attn_implementation,):
        why_not = _obstacle(bridge, candidate)
        if why_not is None:
            return candidate
    if attn_implementation == "auto":
        return BRIDGE_ATTENTION
    raise ModelError(
        f"{name} cannot be read with the attention implementation {attn_implementation}: {why_not}. Use auto."
    )


@contextlib.contextmanager
def lent_attention(bridge: Any, attn_implementation: str) -> Iterator[None]:
    """Let each wrapped attention module run its own `attn_implementation`, and give the bridge's forward back on leaving.

    The base attention bridge delegates to the module that it wraps; that method is lent to each block's attention. It
    is put into the instance's dictionary because a bridge forwards attribute writes to what it wraps.
    """
    from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge

    model = bridge.original_model
    before = model.config._attn_implementation
    attentions = [block.attn for block in bridge.blocks]
    model.set_attn_implementation(attn_implementation)
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


def _obstacle(bridge: Any, attn_implementation: str) -> str | None:
    """Say why an implementation cannot be used, or return None if it can."""
    needed = {site for site in hook_shapes(bridge) if site[0] is not Stream.PATTERN}
    try:
        with lent_attention(bridge, attn_implementation):
            hidden = {stream for stream, _ in needed - hook_shapes(bridge).keys()}
    except (ValueError, ImportError) as error:
        return str(error)
    return f"its projections are fused and hide {', '.join(sorted(hidden))}" if hidden else None
