"""Fingerprints: what can change a vector changes them, and nothing else does."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch
from tiny import one_thread  # noqa: F401
from tokenizers import processors
from transformers import AutoModelForCausalLM, AutoTokenizer

from valens.model import fingerprints, loading
from valens.model.model import Model

TEXT = "w5 w6 w7"


def wrapped(name: str = "tiny", **changes: object) -> Model:
    return loading.wrap(tiny.network("llama", **changes), tiny.tokenizer(), name=name)


def prints(model: Model) -> tuple[str, str, str]:
    return model.weights_hash, model.config_hash, model.tokenizer_hash


# --- weights ----------------------------------------------------------------------------------------------------------


def test_every_single_weight_counts():
    network = tiny.network("llama")
    before = fingerprints.of_weights(network)
    seen = {before}
    for parameter in network.parameters():
        with torch.no_grad():
            last = parameter.view(-1)[-1]
            kept = last.clone()
            last.copy_(torch.nextafter(kept, kept + 1))  # the least that a float32 can change by
            seen.add(fingerprints.of_weights(network))
            last.copy_(kept)
    assert len(seen) == 1 + len(list(network.parameters()))
    assert fingerprints.of_weights(network) == before


def test_buffers_that_are_saved_count_and_others_do_not():
    network = tiny.network("llama")
    before = fingerprints.of_weights(network)
    network.register_buffer("scratch", torch.ones(3), persistent=False)
    assert fingerprints.of_weights(network) == before
    network.register_buffer("kept", torch.ones(3))
    assert fingerprints.of_weights(network) != before


def test_what_is_left_out_does_not_count():
    one, other = tiny.network("llama"), tiny.network("llama")
    with torch.no_grad():
        other.lm_head.weight.add_(1)
    assert fingerprints.of_weights(one) != fingerprints.of_weights(other)
    left_out = [fingerprints.of_weights(network, without={"lm_head.weight"}) for network in (one, other)]
    assert left_out[0] == left_out[1] != fingerprints.of_weights(one)


def test_a_shape_a_name_and_a_dtype_count():
    one, other = torch.nn.Module(), torch.nn.Module()
    one.register_parameter("a", torch.nn.Parameter(torch.ones(2, 3)))
    other.register_parameter("a", torch.nn.Parameter(torch.ones(3, 2)))
    named = torch.nn.Module()
    named.register_parameter("b", torch.nn.Parameter(torch.ones(2, 3)))
    found = [fingerprints.of_weights(module) for module in (one, other, named, copy.deepcopy(one).half())]
    assert len(set(found)) == 4


def test_rotary_frequencies_that_were_cast_with_the_model_count(tmp_path):
    """`model.to(torch.bfloat16)` rounds them to 8 bits; loading in bfloat16 does not."""
    tiny.network("llama").save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    cast = tiny.network("llama").to(torch.bfloat16)
    assert all(map(torch.equal, loaded.parameters(), cast.parameters()))
    assert fingerprints.of_weights(loaded) != fingerprints.of_weights(cast)


def test_equal_weights_in_another_model_are_the_same():
    network = tiny.network("llama")
    assert fingerprints.of_weights(network) == fingerprints.of_weights(copy.deepcopy(network))
    assert fingerprints.of_weights(network) != fingerprints.of_weights(tiny.network("llama", seed=1))


def test_strided_and_tied_weights_are_hashed_as_the_numbers_they_are():
    plain, strided = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    strided.weight = torch.nn.Parameter(plain.weight.detach().T.contiguous().T)
    assert not strided.weight.is_contiguous()
    assert fingerprints.of_weights(plain) == fingerprints.of_weights(strided)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
        {"rms_norm_eps": 1e-5},
        {"hidden_act": "gelu"},
        {"num_key_value_heads": 4},
        {"max_position_embeddings": 256},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_number_of_the_configuration_counts(changes):
    assert wrapped(**changes).config_hash != wrapped().config_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"_name_or_path": "/somewhere/else"},
        {"use_cache": False},
        {"transformers_version": "4.0.0"},
        {"architectures": ["OtherForCausalLM"]},
        {"id2label": {0: "a"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_configuration_remembers_of_its_history_does_not(changes):
    assert wrapped(**changes).config_hash == wrapped().config_hash


# --- tokenizer --------------------------------------------------------------------------------------------------------


def of_changed(change) -> str:
    tokenizer = tiny.tokenizer()
    change(tokenizer)
    return fingerprints.of_tokenizer(tokenizer)


def test_an_added_token_another_post_processor_and_another_first_token_count():
    def ends_with_eos(tokenizer):
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="$A w1", special_tokens=[("w1", 1)]
        )

    changed = [
        of_changed(lambda tokenizer: tokenizer.add_tokens(["new"])),
        of_changed(ends_with_eos),
        of_changed(lambda tokenizer: setattr(tokenizer, "bos_token", "w4")),
        of_changed(lambda tokenizer: None),
    ]
    assert len(set(changed)) == len(changed)


def test_how_it_was_last_called_does_not():
    def call(tokenizer):
        tokenizer([TEXT, "w1"], padding="max_length", truncation=True, max_length=2)
        tokenizer.padding_side = "left"

    assert of_changed(call) == of_changed(lambda tokenizer: None)


# --- whole models -----------------------------------------------------------------------------------------------------


def test_neither_the_name_nor_the_attn_implementation_nor_the_folder_is_identity(tmp_path):
    tiny.network("llama").save_pretrained(tmp_path / "a")
    tiny.tokenizer().save_pretrained(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    loaded = loading.load(str(tmp_path / "b"), attn_implementation="transformer_lens")
    assert loaded.name == "b"
    assert prints(loaded) == prints(wrapped("other name"))


def test_wrapping_reads_the_fingerprints_of_what_was_given():
    network = tiny.network("phi3")
    given = fingerprints.of_weights(network), fingerprints.of_config(network.config)
    model = loading.wrap(network, tiny.tokenizer(), name="phi3")
    assert (model.weights_hash, model.config_hash) == given


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_device_is_not_identity():
    network = tiny.network("llama")
    assert fingerprints.of_weights(copy.deepcopy(network).cuda()) == fingerprints.of_weights(network)


def test_a_tokenizer_in_python_has_a_fingerprint_too():
    """Without a pipeline to read, its class, vocabulary and special tokens stand for it."""
    from transformers import ByT5Tokenizer

    one, other = ByT5Tokenizer(), ByT5Tokenizer(extra_ids=3)
    assert fingerprints.of_tokenizer(one) == fingerprints.of_tokenizer(ByT5Tokenizer())
    assert fingerprints.of_tokenizer(one) != fingerprints.of_tokenizer(other)


def test_a_digest_is_of_content_and_not_of_order():
    assert fingerprints.digest({"a": 1, "b": [2, 3]}) == fingerprints.digest({"b": [2, 3], "a": 1})
    assert fingerprints.digest([2, 3]) != fingerprints.digest([3, 2])


def test_saving_a_tokenizer_keeps_its_fingerprint(tmp_path):
    tiny.tokenizer().save_pretrained(tmp_path)
    assert fingerprints.of_tokenizer(AutoTokenizer.from_pretrained(tmp_path)) == fingerprints.of_tokenizer(
        tiny.tokenizer()
    )
