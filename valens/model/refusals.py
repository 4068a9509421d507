"""Models that cannot be read, each with its reason."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from valens.errors import ModelError, ValensError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def check_weights(name: str, model: PreTrainedModel, missing: Iterable[str]) -> None:
    """Raise ModelError if weights that a vector depends on were not in the files, and are random instead."""
    unembedding = {name for name, module in model.named_modules() if module is model.get_output_embeddings()}
    absent = sorted(key for key in missing if key.rpartition(".")[0] not in unembedding)
    if absent:
        raise ModelError(
            f"{len(absent)} weights of {name} are not in its files (first: {absent[0]}); random ones would be used. "
            "Save or download the model again."
        )


def check_all_blocks_are_read(name: str, model: PreTrainedModel, unexpected: Iterable[str]) -> None:
    """Raise ModelError if the files have weights of blocks that the configuration does not ask for."""
    blocks = {match[1] for key, _ in model.named_parameters() if (match := re.match(r"(.*?\.)\d+\.", key))}
    deeper = sorted(key for key in unexpected if (match := re.match(r"(.*?\.)\d+\.", key)) and match[1] in blocks)
    if deeper:
        raise ModelError(
            f"The files of {name} have weights that its configuration leaves out ({len(deeper)}; first: {deeper[0]}): "
            "another model would be read. Correct the number of layers in config.json, or save the model again."
        )


def weights_in_no_file(model: PreTrainedModel) -> frozenset[str]:
    """Return the names of the unembedding's weights if they were in no file, else nothing."""
    head = model.get_output_embeddings()
    if head is None:
        return frozenset()
    not_loaded = {id(weight) for weight in head.parameters() if weight.is_meta}
    return frozenset(name for name, weight in model.named_parameters() if id(weight) in not_loaded)


def check_config(name: str, config: PretrainedConfig) -> None:
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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars, log lines and warnings of loading; exceptions pass."""
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
def explained(name: str) -> Iterator[None]:
    """Turn what loading raises into one ModelError that says which model and why."""
    try:
        yield
    except ValensError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        if "trust_remote_code" in reason:  # how transformers refuses to run code that comes with a model
            raise ModelError(
                f"{name} cannot be loaded without code that comes with it, and valens never runs a model's own code. "
                "Choose a model that transformers itself has the code for, or this one converted to such a form."
            ) from error
        raise ModelError(
            f"{name} could not be loaded: {reason[:400] or 'no reason was given'} ({type(error).__name__}). "
            "For a hub name, check the spelling, the network, and `hf auth login` if the model is gated."
        ) from error
