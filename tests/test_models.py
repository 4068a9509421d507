"""Loading: from anywhere the same numbers, in silence, and what cannot be read rightly is refused with the reason."""

from __future__ import annotations

import copy
import json
import logging
import re
import subprocess
import warnings
from pathlib import Path

import pytest
import tiny
import torch
import transformers as hf
from tiny import one_thread  # noqa: F401
from transformers.utils import logging as hf_logging

from valens.errors import ModelError
from valens.extraction.capture import Batch, capturing
from valens.layers.sites import Stream
from valens.model import loading
from valens.model.model import Model
from valens.model.refusals import quiet
from valens.model.unembedding import Unembedding
from valens.representations.poolings import Pooling
from valens.representations.prompts import tokenize
from valens.representations.readings import Reading

TEXTS = ["w5 w6 w7 w8 w9 w10 w11 w12", "w20 w21"]
SIZES = {**tiny._SIZES, "num_key_value_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny.network("llama"), tmp_path_factory.mktemp("models") / "small-llama")


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model starts no process: TransformerLens would install packages for some that read images."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail(f"loading a model started {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def saved(network: hf.PreTrainedModel | hf.PretrainedConfig, path: Path) -> Path:
    network.save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


def wrapped(network: hf.PreTrainedModel, name: str = "tiny") -> Model:
    return loading.wrap(network, tiny.tokenizer(), name=name)


def vectors(model: Model) -> torch.Tensor:
    readings = [Reading(stream, Pooling.MEAN) for stream in Stream if stream is not Stream.PATTERN]
    tokens = tokenize(model.tokenizer, TEXTS, max_tokens=model.n_ctx)
    with capturing(model, readings) as vectors_of:
        return torch.cat([found.flatten() for found in vectors_of(Batch.of(tokens)).values()])


# --- loading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", loading.DTYPES)
def test_a_folder_gives_the_vectors_of_the_network_that_was_saved(folder, dtype):
    loaded = loading.load(str(folder), device="cpu", dtype=dtype)
    given = wrapped(hf.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype))
    assert loaded.dtype == given.dtype == dtype
    assert torch.equal(vectors(loaded), vectors(given))
    assert (loaded.weights_hash, loaded.config_hash, loaded.tokenizer_hash) == (
        given.weights_hash,
        given.config_hash,
        given.tokenizer_hash,
    )


def test_what_a_model_says_of_itself(folder):
    model = loading.load(str(folder), device="cpu")
    assert (model.name, model.revision, model.device.type) == ("small-llama", "local", "cpu")
    assert (model.n_layers, model.sizes.d_model, model.sizes.n_kv_heads) == (3, 32, 2)
    assert model.n_ctx == 128
    assert model.paper_layers is None
    assert repr(model).count("small-llama") == 1
    assert "Parameter" not in repr(model)


def test_the_papers_layers_are_known_by_alias_and_by_hub_name():
    model = wrapped(tiny.network("llama"), name="Qwen/Qwen3-8B")
    assert model.paper_layers == "26,27,29-31"


def test_loading_leaves_logging_warnings_and_the_terminal_as_they_were(folder, capfd):
    def state() -> list[object]:
        loggers = ["", "transformers", "transformer_lens", "huggingface_hub"]
        levels = [(logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in loggers]
        return [levels, logging.root.manager.disable, list(warnings.filters), hf_logging.is_progress_bar_enabled()]

    before = state()
    loading.load(str(folder), device="cpu")
    assert state() == before
    with pytest.raises(ModelError):
        loading.load(str(folder), attn_implementation="fast")
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_a_user_who_has_silenced_more_hears_no_more(folder):
    logging.disable(logging.CRITICAL)
    try:
        with quiet():
            assert logging.root.manager.disable == logging.CRITICAL
    finally:
        logging.disable(logging.NOTSET)


def test_a_model_that_was_training_is_put_into_evaluation_mode():
    """GPT-2 drops a tenth of its numbers at random while it trains."""
    network = tiny.network("gpt2").train()
    model = wrapped(network)
    assert torch.equal(vectors(model), vectors(model))


def test_a_configuration_that_names_another_class_is_not_believed():
    network = tiny.network("gemma3", architectures=["Gemma3ForConditionalGeneration"])
    assert wrapped(network).n_layers == 3


def test_a_body_saved_without_its_unembedding_is_enough(tmp_path):
    network = tiny.network("llama")
    path = saved(network.model, tmp_path / "body")
    found, again = (loading.load(str(path), device="cpu") for _ in range(2))
    assert torch.equal(vectors(found), vectors(wrapped(network)))
    assert found.weights_hash == again.weights_hash  # a store knows it again: no made-up number is in the fingerprint


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt-neox"])
def test_an_unembedding_that_is_in_no_file_is_not_made_up(tmp_path, architecture):
    network = tiny.network(architecture, tie_word_embeddings=False)
    whole, body = saved(network, tmp_path / "whole"), saved(network.base_model, tmp_path / "body")
    assert torch.equal(Unembedding.of(loading.load(str(whole))).weight, network.get_output_embeddings().weight)
    found = loading.load(str(body))
    assert not found.has_unembedding
    with pytest.raises(ModelError, match="body has no unembedding, as a body that was saved without"):
        Unembedding.of(found)


def test_an_unembedding_that_is_the_embedding_is_in_the_files_of_a_body(tmp_path):
    network = tiny.network("llama", tie_word_embeddings=True)
    found = loading.load(str(saved(network.model, tmp_path / "body")))
    assert torch.equal(Unembedding.of(found).weight, network.model.embed_tokens.weight)


# --- what is not there, or broken -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"dtype": "int8"}, "no dtype 'int8' here. Choose one of float32, bfloat16, float16"),
        ({"device": "tpu"}, "no device 'tpu' here. Choose one of auto, cpu, cuda"),
        ({"attn_implementation": "fast"}, "no attention implementation 'fast'. Choose one of auto"),
        ({"revision": "v2"}, "is on this machine and has no revisions; 'v2' was asked for"),
    ],
)
def test_options_that_do_not_exist_are_told_those_that_do(folder, options, what):
    with pytest.raises(ModelError, match=re.escape(what).replace("'", ".")):
        loading.load(str(folder), **options)


def test_cuda_asked_for_and_absent(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"no CUDA device. Use --device cpu or --device auto"):
        loading.load(str(folder), device="cuda")
    assert loading.load(str(folder), device="auto").device.type == "cpu"


def test_an_unknown_name_is_told_what_is_near():
    with pytest.raises(ModelError, match=r"no model 'qwen3-8'. Did you mean .*qwen3-8b"):
        loading.load("qwen3-8")


def test_a_hub_name_out_of_reach_is_told_what_to_check():
    with pytest.raises(ModelError, match=r"owner/nothing could not be loaded: .* check the spelling, the network"):
        loading.load("owner/nothing")


GGUF_CUT_SHORT = b"GGUF\x03\x00\x00\x00" + b"\x01" * 16


@pytest.mark.parametrize("content", [b"", b"not a gguf file", GGUF_CUT_SHORT], ids=["empty", "text", "cut short"])
def test_a_file_that_is_no_gguf(tmp_path, content):
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.gguf could not be loaded"):
        loading.load(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{nope"),
        ("config.json", b"{}"),
        ("config.json", b'{"model_type": "unheard-of"}'),
        ("model.safetensors", b"\x10" * 100),
        ("model.safetensors", None),
        ("tokenizer.json", b"{nope"),
    ],
)
def test_a_broken_folder(tmp_path, file, content):
    path = saved(tiny.network("llama"), tmp_path / "broken")
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content)
    with pytest.raises(ModelError, match="broken could not be loaded"):
        loading.load(str(path))


def edited(config: dict[str, object]) -> bytes:
    return json.dumps(json.loads(tiny.network("llama").config.to_json_string()) | config).encode()


ODD = {
    "heads that do not divide": ("config.json", edited({"num_attention_heads": 5, "head_dim": None})),
    "a pad id above the vocabulary": ("config.json", edited({"pad_token_id": 500})),
    "no layers": ("config.json", edited({"num_hidden_layers": 0})),
    "no object": ("config.json", b"null"),
    "a list of settings": ("generation_config.json", b"[]"),
    "quantised without bits": ("config.json", edited({"quantization_config": {"quant_method": "gptq"}})),
    "words for numbers": ("config.json", edited({"hidden_size": "wide"})),
    "a tokenizer without a model": ("tokenizer.json", b'{"version": "1.0"}'),
    "tokens that are no numbers": ("tokenizer.json", b'{"model": {"type": "WordLevel", "vocab": {"a": "b"}}}'),
}


@pytest.mark.parametrize("fault", ODD)
def test_an_odd_folder_is_one_line(tmp_path, fault):
    path = saved(tiny.network("llama"), tmp_path / "odd")
    file, content = ODD[fault]
    (path / file).write_bytes(content)
    with pytest.raises(ModelError, match=r"^[^\n]*odd [^\n]+$"):
        loading.load(str(path))


def test_blocks_that_the_configuration_leaves_out_are_not_passed_over(tmp_path):
    path = saved(tiny.network("llama"), tmp_path / "deeper")
    (path / "config.json").write_bytes(edited({"num_hidden_layers": 2}))
    message = r"deeper have weights that its configuration leaves out \(9; first: model\.layers\.2"
    with pytest.raises(ModelError, match=message):
        loading.load(str(path))


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    network, lost = tiny.network("llama"), "model.layers.1.self_attn.v_proj.weight"
    path = saved(network, tmp_path / "partial")
    network.save_pretrained(path, state_dict={name: w for name, w in network.state_dict().items() if name != lost})
    with pytest.raises(ModelError, match=rf"1 weights of .*partial are not in its files \(first: {lost}\)"):
        loading.load(str(path))


def test_a_token_without_an_embedding_is_named():
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["beyond"])
    model = loading.wrap(tiny.network("llama"), tokenizer, name="small")
    model.check_token_ids([(0, 96), ()])
    message = "makes the token 'beyond', number 97, and the model has embeddings for 0 to 96 only"
    with pytest.raises(ModelError, match=message):
        model.check_token_ids([(5, 6), tuple(tokenizer("w5 beyond")["input_ids"])])


# --- what cannot be read ----------------------------------------------------------------------------------------------

UNREADABLE = {
    "latent attention": (hf.DeepseekV3Config(), "multi-head latent attention: its values are expanded from a shared"),
    "Mamba": (hf.MambaConfig(), "without attention heads, state-space or recurrent: it has no values"),
    "encoder-decoder": (hf.T5Config(), "is an encoder-decoder"),
    "text and images": (hf.Gemma3Config(), "reads more than text"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_configuration_is_enough_to_refuse(tmp_path, kind):
    """There are no weights in the folder: nothing is downloaded that cannot be read."""
    config, reason = UNREADABLE[kind]
    path = saved(config, tmp_path / "unreadable")
    with pytest.raises(ModelError, match=rf"unreadable \({config.model_type}\) .*{reason}"):
        loading.load(str(path))


def test_a_hybrid_with_linear_attention_is_refused():
    config = hf.Qwen3NextConfig(
        **{**SIZES, "num_hidden_layers": 4},
        head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
    )
    with pytest.raises(ModelError, match=r"no attention values in 3 of its 4 layers \(first: 1\)"):
        wrapped(tiny.random_network(config))


@pytest.mark.parametrize(
    "config",
    [
        hf.BertConfig(**tiny._SIZES),
        hf.Gemma3TextConfig(**SIZES, head_dim=8, use_bidirectional_attention=True),
    ],
    ids=["BERT", "Gemma 3 as an encoder"],
)
def test_attention_that_is_not_causal_is_refused(config):
    """Both load as causal language models without a word, and padding would change their vectors by half."""
    with pytest.raises(ModelError, match="no causal attention: a token changes the vectors of those before it"):
        wrapped(tiny.random_network(config))


def test_a_model_that_does_not_end_in_a_norm_is_refused():
    """TransformerLens takes the norm in BERT's unembedding for it."""
    with pytest.raises(ModelError, match="does not end as TransformerLens reads it"):
        wrapped(tiny.random_network(hf.BertConfig(**tiny._SIZES, is_decoder=True)))


def test_a_model_whose_hooks_do_not_fire_is_refused():
    config = hf.OpenAIGPTConfig(vocab_size=tiny.VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=128)
    with pytest.raises(ModelError, match="does not show the hidden of tiny"):
        wrapped(tiny.random_network(config))


# --- context ----------------------------------------------------------------------------------------------------------


def test_positions_that_stretch_with_the_batch_bound_the_context():
    """LongRoPE takes other frequencies for a batch whose longest text has more tokens than the model first learned."""
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "rope_theta": 10000.0}
    config = hf.Phi3Config(**SIZES, pad_token_id=0, original_max_position_embeddings=16, rope_parameters=rope)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = tiny.random_network(config)
    bare = copy.deepcopy(network).model
    text = torch.arange(4, 14)[None]

    def beside(n_tokens: int) -> torch.Tensor:
        padded = torch.nn.functional.pad(text, (0, n_tokens - text.shape[1]))
        with torch.no_grad():
            return bare(input_ids=padded, use_cache=False).last_hidden_state[:, : text.shape[1]]

    n_ctx = wrapped(network).n_ctx
    assert n_ctx == 16
    torch.testing.assert_close(beside(n_ctx), beside(10), rtol=2e-5, atol=2e-5)
    assert (beside(n_ctx + 1) - beside(10)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("config", "n_ctx"),
    [
        (hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=1, n_head=4, n_positions=64), 64),
        (hf.MptConfig(vocab_size=97, d_model=32, n_layers=1, n_heads=4, max_seq_len=48), 48),
        (hf.LlamaConfig(**{**SIZES, "max_position_embeddings": 32}), 32),
    ],
    ids=lambda value: getattr(value, "model_type", value),
)
def test_the_context_is_the_one_that_the_model_was_made_for(config, n_ctx):
    assert wrapped(tiny.random_network(config)).n_ctx == n_ctx
