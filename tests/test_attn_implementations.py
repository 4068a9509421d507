"""Attention implementations: the model's own where its hooks still fire, TransformerLens's where they do not."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import pytest
import tiny
import torch
import transformers as hf
from tiny import one_thread  # noqa: F401

from valens.errors import ModelError
from valens.extraction.capture import Batch, capturing
from valens.layers.sites import Stream
from valens.model import loading
from valens.model.architecture import Sizes, body_of
from valens.model.attention import BRIDGE_ATTENTION
from valens.model.model import Model
from valens.representations.named import HS, VA
from valens.representations.poolings import Pooling
from valens.representations.prompts import Tokens
from valens.representations.readings import Reading

# Float32 sums taken in another order.
SAME = 2e-5

FUSED = {"phi3", "gpt2", "gpt-neox"}

every_architecture = pytest.mark.parametrize("architecture", tiny.CONFIGS)


def wrapped(architecture: str, attn_implementation: str = "auto", **changes: object) -> Model:
    return loading.wrap(
        tiny.network(architecture, **changes),
        tiny.tokenizer(),
        name=architecture,
        attn_implementation=attn_implementation,
    )


def vectors(model: Model, readings: list[Reading]) -> list[torch.Tensor]:
    text = Tokens(tuple(range(2, 22)), (True,) * 20, truncated=False)
    with capturing(model, readings) as vectors_of:
        return list(vectors_of(Batch.of([text])).values())


@every_architecture
def test_auto_takes_the_models_own_attn_implementation_unless_its_projections_are_fused(architecture):
    attn_implementation = wrapped(architecture).attn_implementation
    assert (attn_implementation == BRIDGE_ATTENTION) == (architecture in FUSED)
    assert attn_implementation in {"sdpa", "eager", BRIDGE_ATTENTION}


@pytest.mark.parametrize("architecture", sorted(tiny.CONFIGS.keys() - FUSED))
def test_every_attn_implementation_gives_the_same_vectors(architecture):
    readings = [Reading(stream, Pooling.LAST) for stream in Stream if stream is not Stream.PATTERN]
    own, others = vectors(wrapped(architecture), readings), ["eager", BRIDGE_ATTENTION]
    for attn_implementation in others:
        for one, other in zip(own, vectors(wrapped(architecture, attn_implementation), readings), strict=True):
            assert ((one - other).norm(dim=-1) / other.norm(dim=-1)).max() < SAME


def test_the_lent_attn_implementation_is_the_one_that_runs(monkeypatch):
    """SDPA is called once a block while it is lent, and never when TransformerLens computes the attention."""
    model, calls = wrapped("llama", "sdpa"), []
    attend = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: calls.append(1) or attend(*args, **kwargs),
    )
    vectors(model, [VA.reading])
    assert len(calls) == model.n_layers
    vectors(model, [Reading(Stream.PATTERN, Pooling.LAST)])
    assert len(calls) == model.n_layers


@pytest.mark.parametrize("architecture", sorted(FUSED))
@pytest.mark.parametrize("attn_implementation", ["sdpa", "eager"])
def test_an_attn_implementation_that_would_hide_the_values_is_refused(architecture, attn_implementation):
    with pytest.raises(
        ModelError,
        match=f"attention implementation {attn_implementation}: its projections are fused and hide .*values.*auto",
    ):
        wrapped(architecture, attn_implementation)


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="FlashAttention is installed here")
def test_an_attn_implementation_that_is_not_installed_is_refused_with_the_reason():
    with pytest.raises(
        ModelError, match=r"cannot be read with the attention implementation flash_attention_2: .*[Ff]lash"
    ):
        wrapped("llama", "flash_attention_2")


def test_an_unknown_attn_implementation_is_told_those_there_are():
    with pytest.raises(ModelError, match=r"no attention implementation 'fast'. Choose one of auto, sdpa, eager"):
        wrapped("llama", "fast")


def test_a_refusal_leaves_the_bridge_as_it_was():
    network = tiny.network("phi3")
    with pytest.raises(ModelError):
        loading.wrap(network, tiny.tokenizer(), name="phi3", attn_implementation="sdpa")
    assert network.config._attn_implementation == "eager"


def test_widths_of_streams():
    sizes = Sizes(n_layers=36, d_model=4096, n_heads=32, n_kv_heads=8, d_head=128)
    widths = {stream: sizes.width(stream) for stream in Stream}
    heads = {"values": 1024, "keys": 1024, "heads": 4096, "pattern": 32}
    assert widths == heads | dict.fromkeys(("hidden", "attn_out", "normed", "mlp"), 4096)


def test_the_body_has_no_unembedding():
    """Llama 4 says that its body is called otherwise than it is; Hugging Face then gives the whole model."""
    llama4 = hf.Llama4TextConfig(
        **tiny._SIZES, num_key_value_heads=2, head_dim=8, intermediate_size_mlp=64, num_local_experts=4, pad_token_id=0
    )
    for network in (tiny.network("llama"), tiny.network("gpt2"), hf.Llama4ForCausalLM(llama4)):
        assert network.get_output_embeddings() not in list(body_of(network).modules())


@pytest.mark.parametrize("architecture", ["llama", "phi3"])
def test_a_wrapped_model_computes_what_it_computed(architecture):
    network = tiny.network(architecture)
    bare, ids = copy.deepcopy(network), torch.arange(2, 22)[None]
    model = loading.wrap(network, tiny.tokenizer(), name=architecture)
    vectors(model, [HS.reading])
    with torch.no_grad():
        torch.testing.assert_close(
            network(ids).logits, bare(ids).logits, rtol=SAME, atol=SAME * float(bare(ids).logits.std())
        )
