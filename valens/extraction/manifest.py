"""The manifest of stored vectors: all that could change a number, and what a reader wants to know besides."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from valens.model.model import Model
from valens.representations.prompts import Prompt
from valens.store.store import FORMAT


def how_read(model: Model, *, prompt: Prompt, max_tokens: int, stored: str) -> dict[str, Any]:
    """Return all that can change a vector besides the text and the reading; its hash is the collection's key."""
    return {
        "format": FORMAT,
        "weights_hash": model.weights_hash,
        "config_hash": model.config_hash,
        "tokenizer_hash": model.tokenizer_hash,
        "revision": model.revision,
        "dtype": model.dtype,
        "attn_implementation": model.attn_implementation,
        "prompt": prompt.identity(),
        "truncation": {"max_tokens": max_tokens, "keep": "beginning"},
        "stored": stored,
        "libraries": {name: version(name) for name in ("torch", "transformers", "transformer-lens")},
    }


def about_of(model: Model) -> dict[str, Any]:
    """Return what a reader of a collection wants to know that changes no number: the model's name and sizes."""
    sizes = model.sizes
    return {
        "model": model.name,
        "n_layers": sizes.n_layers,
        "d_model": sizes.d_model,
        "n_heads": sizes.n_heads,
        "n_kv_heads": sizes.n_kv_heads,
        "d_head": sizes.d_head,
    }
