"""A decoder language model, ready to be read: weights, tokenizer, sizes and fingerprints around a TransformerBridge."""

from __future__ import annotations

import contextlib
import io
import logging
import pickle
import struct
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens import fingerprints
from valens.catalog import known, locate
from valens.errors import ModelError
from valens.kernels import (
    BRIDGE_KERNEL,
    Sizes,
    body_of,
    check_final_norm,
    choose_kernel,
    lent_attention,
    read_causally,
    read_sizes,
)

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder and all that identifies it. Made by `load` or `wrap`; holds the weights, so keep one of each."""

    name: str
    bridge: Any = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    sizes: Sizes
    n_ctx: int
    """How many tokens the model was made to read at once."""
    dtype: str
    kernel: str
    """What computes the attention: `sdpa`, `eager`, `flash_attention_2`, or `transformer_lens`."""
    revision: str
    weights: str = field(repr=False)
    """The sha256 of the weights."""
    config: str = field(repr=False)
    """The sha256 of the configuration."""
    tokens: str = field(repr=False)
    """The sha256 of the tokenizer."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.bridge.original_model.parameters()).device

    @property
    def has_unembedding(self) -> bool:
        """Whether there is an unembedding whose numbers are the model's: they may have been in no file."""
        head = self.bridge.original_model.get_output_embeddings()
        return head is not None and not head.weight.is_meta

    @property
    def paper_layers(self) -> str | None:
        """The layer set that the paper chose for this model, if it chose one."""
        entry = known(self.name)
        return entry.paper_layers if entry else None

    @property
    def n_layers(self) -> int:
        """L, the number of blocks."""
        return self.sizes.n_layers

    def refuse_unknown(self, texts: Iterable[Sequence[int]]) -> None:
        """Raise ModelError for a token id that has no embedding, as a tokenizer with tokens of its own may give."""
        n_rows = len(self.bridge.original_model.get_input_embeddings().weight)
        highest = max((max(ids, default=0) for ids in texts), default=0)
        if highest >= n_rows:
            token = self.tokenizer.convert_ids_to_tokens(highest)
            raise ModelError(
                f"The tokenizer of {self.name} makes the token {token!r}, number {highest}, and the model has embeddings "
                f"for 0 to {n_rows - 1} alone. Use the tokenizer that the model was trained with."
            )

    def run_body(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        """Run the decoder on token ids [text, token] for the sake of its hooks: no logits, no cache.

        Attention is causal, so what pads a text on its right cannot reach it, and no mask is needed. For other padding,
        `mask` [text, token] is true where there is text; positions count text alone.
        """
        body = body_of(self.bridge.original_model)
        if mask is None:
            body(input_ids=ids, use_cache=False)
        else:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            body(input_ids=ids, attention_mask=mask.long(), position_ids=positions, use_cache=False)

    def final_norm(self, residual: torch.Tensor) -> torch.Tensor:
        """The model's final norm, as it reads the last layer's residual stream."""
        return self.bridge.ln_final.original_component(residual)

    @contextlib.contextmanager
    def native_attention(self) -> Iterator[None]:
        """Lend every block its own attention kernel; the bridge's comes back on leaving."""
        if self.kernel == BRIDGE_KERNEL:
            yield
            return
        with lent_attention(self.bridge, self.kernel):
            yield


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    kernel: str = "auto",
    revision: str | None = None,
) -> Model:
    """Load a decoder: an alias (`qwen3-8b`), a hub name (`Qwen/Qwen3-8B`), a local folder, or a GGUF file.

    GGUF weights are unpacked to dense ones, so that every machine computes the same numbers. `kernel` `auto` is the
    fastest attention that the architecture supports exactly. Raises ModelError if the model cannot be found, is not a
    decoder, needs code of its own to be loaded (none of a model's code is ever run), or has no attention values
    (state-space and latent-attention models).
    """
    network, tokenizer, found = fetch(name, device=device, dtype=dtype, revision=revision)
    return wrap(network, tokenizer, name=short_name(name), kernel=kernel, revision=found)


def fetch(
    name: str, *, device: str = "auto", dtype: str = "float32", revision: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """Find and load a Hugging Face decoder, its tokenizer and its revision, of which `wrap` makes a Model.

    An unembedding that is in no file has no numbers: its weight is on the device `meta`, and fingerprints leave it out.
    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm's, in a notebook without ipywidgets
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    target = _choose_device(device)
    if dtype not in DTYPES:
        raise ModelError(f"There is no dtype {dtype!r} here. Choose one of {', '.join(DTYPES)}.")
    where, gguf = locate(name)
    if revision is not None and Path(where).exists():
        raise ModelError(f"{name} lies on this machine and has no revisions; {revision!r} was asked for. Leave it out.")
    options: dict[str, Any] = {"gguf_file": gguf} if gguf else {"revision": revision or "main"}
    dense = {"quantization_config": GgufConfig(dequantize=True)} if gguf else {}
    with _quiet(), _explained(name):
        if not gguf:  # before anything is downloaded
            _refuse_config(name, AutoConfig.from_pretrained(where, trust_remote_code=False, **options))
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            output_loading_info=True,
            **options,
            **dense,
        )
    model, report = loaded
    _refuse_partial(name, model, report["missing_keys"])
    found = revision or getattr(model.config, "_commit_hash", None) or "local"
    model.to(target)
    if report["missing_keys"]:
        model.get_output_embeddings().to("meta")  # what `_refuse_partial` lets pass is of the unembedding
    return model, tokenizer, str(found)


def wrap(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str,
    kernel: str = "auto",
    revision: str = "local",
) -> Model:
    """Put a loaded Hugging Face decoder and its tokenizer behind a TransformerBridge.

    The model is taken over, not copied: it is put into evaluation mode, and its modules become the bridge's. Raises
    ModelError if a block has no attention values of the same width as the others, if attention is not causal, or if the
    bridge reads another last layer than the model's own.
    """
    config = model.eval().config
    _refuse_config(name, config)
    prints = (
        fingerprints.of_weights(model, without=_unknown(model)),
        fingerprints.of_config(config),
        fingerprints.of_tokenizer(tokenizer),
    )
    with _quiet():
        expected = read_causally(name, model)
    bridge = _bridge(name, model, tokenizer)
    made = Model(
        name=name,
        bridge=bridge,
        tokenizer=tokenizer,
        sizes=read_sizes(name, bridge),
        n_ctx=_context_length(config),
        dtype=str(model.dtype).removeprefix("torch."),
        kernel=choose_kernel(name, bridge, kernel),
        revision=revision,
        weights=prints[0],
        config=prints[1],
        tokens=prints[2],
    )
    with made.native_attention():
        check_final_norm(name, bridge, expected)
    return made


def short_name(name: str) -> str:
    """What a model is called in tables and figures: an alias or hub name as it is, a path by its last part."""
    return Path(name).expanduser().resolve().name if Path(name).expanduser().exists() else name


def _choose_device(device: str) -> torch.device:
    import torch

    if device not in DEVICES:
        raise ModelError(f"There is no device {device!r} here. Choose one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("CUDA was asked for, and PyTorch sees no CUDA device. Use --device cpu or --device auto.")
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")


def _refuse_partial(name: str, model: PreTrainedModel, missing: Iterable[str]) -> None:
    """Raise ModelError if weights that a vector depends on were not in the files: they were made up at random."""
    unembedding = {name for name, module in model.named_modules() if module is model.get_output_embeddings()}
    absent = sorted(key for key in missing if key.rpartition(".")[0] not in unembedding)
    if absent:
        raise ModelError(
            f"{len(absent)} weights of {name} are not in its files (first: {absent[0]}), and random ones would stand in. "
            "Save or download the model again."
        )


def _unknown(model: PreTrainedModel) -> frozenset[str]:
    """The names of the unembedding's weights if they were in no file."""
    head = model.get_output_embeddings()
    if head is None:
        return frozenset()
    made_up = {id(weight) for weight in head.parameters() if weight.is_meta}
    return frozenset(name for name, weight in model.named_parameters() if id(weight) in made_up)


def _refuse_config(name: str, config: PretrainedConfig) -> None:
    """Raise ModelError for what a configuration alone shows to be unreadable, with the reason."""
    reason = _why_unreadable(config)
    if reason is not None:
        raise ModelError(f"{name} ({config.model_type}) {reason}")


def _why_unreadable(config: PretrainedConfig) -> str | None:
    if getattr(config, "is_encoder_decoder", False):
        return "is an encoder-decoder; valens reads the attention values of decoder-only models. Choose one."
    if config.get_text_config() is not config:
        return (
            "reads more than text. TransformerLens would look for its image or sound processor, and install packages for "
            "it. Choose a text-only model, or give the text decoder alone to valens.wrap."
        )
    if getattr(config, "kv_lora_rank", None):
        return (
            "has multi-head latent attention: its values are expanded from a shared latent and have no vectors of their "
            "own to read. Choose a model with multi-head or grouped-query attention."
        )
    if getattr(config, "num_attention_heads", None) is None:
        return (
            "is a model without attention heads, state-space or recurrent: it has no values to read. Choose a decoder."
        )
    return None


def _bridge(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Boot the bridge from a folder: it wants a tokenizer that it can read again, to set its own begin-of-sequence rule."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder, _quiet(), _explained(name):
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
    """How many tokens the model was made for; a model that states no limit has a very large one.

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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the bars, log lines and warnings of loading, which tell a user of valens nothing; exceptions pass."""
    from transformers.utils import logging as hf_logging

    bars, level = hf_logging.is_progress_bar_enabled(), logging.root.manager.disable
    hf_logging.disable_progress_bar()
    logging.disable(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if bars:
            hf_logging.enable_progress_bar()


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what loading raises into one ModelError that says which model and why."""
    from safetensors import SafetensorError

    broken_files = (SafetensorError, struct.error, pickle.UnpicklingError, EOFError)
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, *broken_files) as error:
        reason = " ".join(str(error).split())
        if "trust_remote_code" in reason:  # how transformers refuses to run code that comes with a model
            raise ModelError(
                f"{name} cannot be loaded without code that comes with it, and valens never runs a model's own code. "
                "Choose a model that transformers itself has the code for, or this one converted to such a form."
            ) from error
        raise ModelError(
            f"{name} could not be loaded: {reason[:400]} "
            "For a hub name, check the spelling, the network, and `hf auth login` if the model is gated."
        ) from error
