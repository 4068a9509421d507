"""Stand-ins for real models: tiny, random, as deep as the model whose name they bear, and able to read any text."""

from __future__ import annotations

from functools import cache

import tiny
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from valens.model.catalog import known
from valens.model.loading import short_name, wrap
from valens.model.model import Model

_BYTES = {character: place for place, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
CONTEXT = 192


def load(name: str, **_: object) -> Model:
    """In place of `valens.load`: takes what that takes, whatever the device and dtype, and needs no file."""
    return _made(short_name(str(name)))


@cache
def _made(name: str) -> Model:
    entry = known(name)
    network = tiny.network(
        "llama",
        num_hidden_layers=entry.n_layers if entry else 6,
        vocab_size=len(_BYTES) + 1,
        max_position_embeddings=CONTEXT,
    )
    return wrap(network, byte_tokenizer(), name=name)


def byte_tokenizer() -> hf.PreTrainedTokenizerFast:
    """One token a byte, so that different texts have different tokens; none is added at the beginning."""
    fast = Tokenizer(models.BPE(vocab={**_BYTES, "<end>": len(_BYTES)}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    return hf.PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<end>", pad_token="<end>")
