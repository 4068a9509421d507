"""Content hashes of what a vector depends on: weights, configuration and tokenizer. A name is not identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from valens.files.digests import digest

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

# What a configuration records of its own history, and switches that change no hidden number.
_CONFIG_NOISE = frozenset(
    {
        "_name_or_path",
        "_model_name_or_path",
        "transformers_version",
        "dtype",
        "torch_dtype",
        "quantization_config",
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "architectures",
        "_attn_implementation",
        "attn_implementation",
        "_attn_implementation_autoset",
        "pad_token_id",
        "id2label",
        "label2id",
    }
)


def of_weights(model: nn.Module, *, without: Collection[str] = ()) -> str:
    """Return the sha256 over every parameter and persistent buffer: name, shape, dtype and bytes, in order of name.

    Tied weights count once. A float32 and a bfloat16 copy of one model have different hashes, as their numbers differ. So do
    a model that was cast to bfloat16 as a whole and one that was loaded in bfloat16: the second has rotary
    frequencies in float32.

    Args:
        model: the model.
        without: the names of parameters that do not count, because no vector depends on them.

    """
    import torch

    sha = hashlib.sha256()
    tensors = dict(model.named_parameters()) | _persistent_buffers(model)
    for name in sorted(tensors.keys() - set(without)):
        tensor = tensors[name]
        sha.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    buffer_dtypes = {str(buffer.dtype) for buffer in model.buffers() if buffer.is_floating_point()}
    sha.update(",".join(sorted(buffer_dtypes)).encode())
    return sha.hexdigest()


def of_rounded_weights(model: PreTrainedModel) -> str:
    """Return the sha256 of the weights that a vector depends on, rounded to bfloat16.

    It is the same for a model that was loaded in float32 and in bfloat16; in float16 it may differ. The names of the weights
    do not count, and neither does the unembedding, unless it is the embedding too.
    """
    import torch

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    unembedding = {id(part) for part in head.parameters()} if head is not None else set()
    unembedding -= {id(part) for part in embedding.parameters()}
    weights = [part.detach() for part in model.parameters() if id(part) not in unembedding]
    hashes = {_rounded(tensor.to(torch.bfloat16).cpu()) for tensor in weights}
    return hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def of_config(config: PretrainedConfig) -> str:
    """Return the sha256 of everything in a configuration that can change a number: sizes, norms, positions, windows."""
    return digest(_without_noise(config.to_dict()))


def of_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the sha256 of a tokenizer's whole pipeline and its begin-of-sequence token.

    The padding and truncation that it was last called with do not count.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        vocabulary = sorted(tokenizer.get_vocab().items())
        return digest([type(tokenizer).__name__, vocabulary, tokenizer.special_tokens_map])
    pipeline = json.loads(backend.to_str())
    return digest([tokenizer.bos_token, {key: pipeline[key] for key in pipeline.keys() - {"padding", "truncation"}}])


def _rounded(tensor: torch.Tensor) -> bytes:
    import torch

    sha = hashlib.sha256(str(tuple(tensor.shape)).encode())
    sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.digest()


def _persistent_buffers(model: nn.Module) -> dict[str, Any]:
    persistent = model.state_dict(keep_vars=True).keys()
    return {name: buffer for name, buffer in model.named_buffers() if name in persistent}


def _without_noise(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_noise(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _CONFIG_NOISE
    }
