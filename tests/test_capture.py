"""What is captured is what a bare Hugging Face forward computes, whatever stands beside a text, and nothing is kept."""

from __future__ import annotations

import copy
import gc
import weakref
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import one_thread  # noqa: F401

from valens.errors import CaptureError
from valens.extraction.capture import Batch, capturing, vector_count
from valens.layers.sites import HOOKS, Stream
from valens.model import loading
from valens.model.model import Model
from valens.representations import prompts
from valens.representations.named import HS, VA
from valens.representations.poolings import Pooling, pooling_weights
from valens.representations.prompts import Tokens
from valens.representations.readings import Reading

# Float32 sums taken in another order: about 5e-7 after three layers; 2e-5 is allowed.
SAME = 2e-5

# The first is longer than the windows of the models that have one (8 tokens).
TEXTS = [
    "w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19",
    "w20 w21",
    "w33 w50 w60 w61 w62 w63",
]

PLAIN_STREAMS = [stream for stream in Stream if stream is not Stream.PATTERN]
READINGS = [Reading(stream, pooling) for stream in PLAIN_STREAMS for pooling in Pooling]
PATTERNS = [Reading(Stream.PATTERN, pooling) for pooling in Pooling if not pooling.sees_vectors]
NORMED = [Reading(Stream.HIDDEN, pooling, norm=True) for pooling in Pooling if not pooling.sees_vectors]

# Every stream and every pooling, not every pair; all pairs are looked at side by side, with the model's own attention.
SOME = [reading for reading in READINGS if reading.pooling is Pooling.MEAN or reading.stream is Stream.VALUES]

# One of every stream: axes are checked at each tap, which takes longer than a tiny model's pass.
FEW = [Reading(stream, Pooling.LAST) for stream in PLAIN_STREAMS]


def unsunk(vectors: torch.Tensor) -> torch.Tensor:
    lengths = np.linalg.norm(vectors.double().numpy(), axis=1)
    return vectors[torch.from_numpy(lengths <= 5 * np.quantile(lengths, 0.5, method="lower"))].mean(0)


def geometric_median(vectors: torch.Tensor) -> torch.Tensor:
    tokens = vectors.double()
    point = tokens.mean(0)
    for _ in range(20):
        closeness = 1 / (tokens - point).norm(dim=1).clamp(min=1e-12)
        point = (closeness[:, None] * tokens).sum(0) / closeness.sum()
    return point.float()


# Poolings that see the vectors, as a newcomer would write them for one text.
BY_HAND = {
    Pooling.UNIT: lambda vectors: (vectors / vectors.norm(dim=1, keepdim=True)).mean(0),
    Pooling.UNSUNK: unsunk,
    Pooling.MEDIAN: geometric_median,
}

every_architecture = pytest.mark.parametrize("architecture", tiny.CONFIGS)


class Pair(NamedTuple):
    """A model of ours, and the bare network that has the same weights."""

    model: Model
    bare: torch.nn.Module
    texts: list[Tokens]


@cache
def pair(architecture: str, attn_implementation: str = "auto") -> Pair:
    network, tokenizer = tiny.network(architecture), tiny.tokenizer()
    bare = copy.deepcopy(network)
    bare.set_attn_implementation("eager")
    model = loading.wrap(network, tokenizer, name=architecture, attn_implementation=attn_implementation)
    return Pair(model, bare, prompts.tokenize(tokenizer, TEXTS, max_tokens=128))


@cache
def bare_vectors(architecture: str, place: int) -> dict[tuple[str, int], torch.Tensor]:
    """The judge: every stream of one text, alone, [token, d] (pattern: [head, query, key])."""
    _, bare, texts = pair(architecture)
    seen = tiny.token_vectors(architecture, bare, torch.tensor([texts[place].ids]))
    return {site: tensor[0] for site, tensor in seen.items()}


def expected(architecture: str, place: int, reading: Reading) -> torch.Tensor:
    """[layer, d], pooled by hand."""
    text, vectors = pair(architecture).texts[place], bare_vectors(architecture, place)
    layers = [vectors[reading.stream, layer] for layer in reading.layers(pair(architecture).model.n_layers)]
    if reading.pooling in BY_HAND:
        return torch.stack([BY_HAND[reading.pooling](layer) for layer in layers])
    weights = pooling_weights(reading.pooling, torch.tensor([text.pooling_mask]))[0]
    if reading.stream is Stream.PATTERN:
        return torch.stack([torch.einsum("hqk,q->hk", layer, weights) for layer in layers])
    return torch.stack([weights @ layer for layer in layers])


def read(model: Model, readings: list[Reading], *batches: Batch) -> list[dict[Reading, torch.Tensor]]:
    with capturing(model, readings) as vectors_of:
        return [vectors_of(batch) for batch in batches]


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest relative distance of any layer's vector."""
    return float(((found - wanted).norm(dim=-1) / wanted.norm(dim=-1)).max())


# --- the numbers ------------------------------------------------------------------------------------------------------


@every_architecture
@pytest.mark.parametrize("attn_implementation", ["auto", "transformer_lens"])
@pytest.mark.parametrize("layout", ["alone", "right", "left"])
def test_every_stream_is_what_a_bare_forward_computes(architecture, attn_implementation, layout):
    model, _, texts = pair(architecture, attn_implementation)
    readings = READINGS if (attn_implementation, layout) == ("auto", "right") else SOME
    if layout == "alone":
        found = [vectors for text in texts for vectors in read(model, readings, Batch.of([text]))]
    else:
        (together,) = read(model, readings, Batch.of(texts, left=layout == "left"))
        found = [{key: value[:, [place]] for key, value in together.items()} for place in range(len(texts))]
    for place, vectors in enumerate(found):
        for reading in readings:
            wanted = expected(architecture, place, reading)
            assert vectors[reading].dtype == torch.float32
            assert distance(vectors[reading][:, 0], wanted) < SAME, (reading, place)


@every_architecture
def test_patterns_are_those_of_a_bare_forward_and_end_with_the_text(architecture):
    model, _, texts = pair(architecture)
    (together,) = read(model, PATTERNS, Batch.of(texts))
    for place, text in enumerate(texts):
        (alone,) = read(model, PATTERNS, Batch.of([text]))
        for reading in PATTERNS:
            wanted = expected(architecture, place, reading)
            by_head = together[reading][:, place].unflatten(-1, (model.sizes.n_heads, -1))
            assert distance(alone[reading][:, 0], wanted.flatten(1)) < SAME
            assert distance(by_head[..., : len(text)].flatten(1), wanted.flatten(1)) < SAME
            assert not by_head[..., len(text) :].any()
            assert by_head.sum(-1).sub(1).abs().max() < SAME  # a mean of rows that sum to one sums to one


@every_architecture
def test_the_final_norm_gives_the_models_own_last_hidden_state(architecture):
    """The norm is applied to each token, and the tokens are pooled then: the other way round is another vector."""
    model, bare, texts = pair(architecture)
    (found,) = read(model, NORMED, Batch.of(texts))
    for place, text in enumerate(texts):
        with torch.no_grad():
            last = bare.base_model(input_ids=torch.tensor([text.ids]), use_cache=False).last_hidden_state[0]
        for reading in NORMED:
            wanted = pooling_weights(reading.pooling, torch.tensor([text.pooling_mask]))[0] @ last
            assert distance(found[reading][-1, place], wanted) < SAME


@every_architecture
def test_widths_are_the_configurations_and_values_are_never_repeated(architecture):
    model, bare, texts = pair(architecture)
    config, sizes = bare.config, model.sizes
    n_kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    assert (sizes.n_heads, sizes.n_kv_heads, sizes.d_head) == (config.num_attention_heads, n_kv_heads, d_head)
    (found,) = read(model, [VA.reading, HS.reading], Batch.of(texts))
    assert found[VA.reading].shape == (3, len(texts), n_kv_heads * d_head)
    assert found[HS.reading].shape == (4, len(texts), config.hidden_size)
    assert vector_count(model, VA.reading) == found[VA.reading][:, 0].numel()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "mistral"])
def test_repeating_the_key_value_heads_changes_no_function(architecture):
    """Multi-head attention with every KV head repeated computes what grouped-query attention does, exactly."""
    model, bare, texts = pair(architecture)
    wide = loading.wrap(with_repeated_heads(architecture, bare), tiny.tokenizer(), name="wide")
    assert wide.sizes.n_kv_heads == wide.sizes.n_heads == 2 * model.sizes.n_kv_heads
    (found,), (wanted,) = read(wide, READINGS, Batch.of(texts)), read(model, READINGS, Batch.of(texts))
    for reading in READINGS:
        if reading.stream not in {Stream.VALUES, Stream.KEYS}:
            assert distance(found[reading], wanted[reading]) < SAME
        else:
            assert (cosines(found[reading]) - cosines(wanted[reading])).abs().max() < SAME


def with_repeated_heads(architecture: str, bare: torch.nn.Module) -> torch.nn.Module:
    n_heads, n_kv_heads = bare.config.num_attention_heads, bare.config.num_key_value_heads
    wide = tiny.network(architecture, num_key_value_heads=n_heads)
    weights = {
        name: tensor.unflatten(0, (n_kv_heads, -1)).repeat_interleave(n_heads // n_kv_heads, dim=0).flatten(0, 1)
        if "k_proj" in name or "v_proj" in name
        else tensor
        for name, tensor in bare.state_dict().items()
    }
    wide.load_state_dict(weights)
    return wide


def cosines(vectors: torch.Tensor) -> torch.Tensor:
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    return unit @ unit.mT


words = st.integers(4, tiny.VOCABULARY - 1).map("w{}".format)


@settings(max_examples=10)
@given(texts=st.lists(st.lists(words, min_size=1, max_size=20).map(" ".join), min_size=2, max_size=5))
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "phi3"])
def test_company_changes_nothing(architecture, texts):
    model = pair(architecture).model
    tokens = prompts.tokenize(model.tokenizer, texts, max_tokens=128)
    together, *alone = read(model, FEW, Batch.of(tokens), *(Batch.of([text]) for text in tokens))
    for place, vectors in enumerate(alone):
        assert all(distance(together[reading][:, place], vectors[reading][:, 0]) < SAME for reading in FEW)


def test_a_prefix_has_the_vectors_that_it_has_alone():
    model, _, (text, *_) = pair("llama")
    (found,) = read(model, READINGS, Batch.of([text], ends=[[3, 9, len(text)]]))
    for row, end in enumerate([3, 9, len(text)]):
        (alone,) = read(model, READINGS, Batch.of([Tokens(text.ids[:end], text.pooling_mask[:end], truncated=True)]))
        assert all(distance(found[reading][:, row], alone[reading][:, 0]) < SAME for reading in READINGS)


def test_only_the_tokens_of_the_mask_are_pooled():
    model, _, (text, *_) = pair("llama")
    quiet_start = Tokens(text.ids, (False, *text.pooling_mask[1:]), truncated=False)
    (found,) = read(model, [VA.reading], Batch.of([quiet_start]))
    wanted = torch.stack([bare_vectors("llama", 0)["values", layer][1:].mean(0) for layer in (1, 2, 3)])
    assert distance(found[VA.reading][:, 0], wanted) < SAME


def test_half_precision_is_pooled_in_float32():
    """Against a bare forward in bfloat16: sums in bfloat16 would be off by about 1 %, the format's 8 bits."""
    bare = tiny.network("llama").to(torch.bfloat16)
    bare.set_attn_implementation("eager")
    model = loading.wrap(copy.deepcopy(bare), tiny.tokenizer(), name="half", attn_implementation="eager")
    assert model.dtype == "bfloat16"
    text = pair("llama").texts[0]
    (found,) = read(model, [HS.reading], Batch.of([text]))
    vectors = tiny.token_vectors("llama", bare, torch.tensor([text.ids]))
    wanted = torch.stack([vectors["hidden", layer][0].float().mean(0) for layer in range(4)])
    assert distance(found[HS.reading][:, 0], wanted) < SAME


# --- what is lent is given back ---------------------------------------------------------------------------------------


def lent_things(model: Model) -> list[object]:
    """Everything that capture borrows: hooks of every module, attention forwards, the attention implementation."""
    network = model.bridge.original_model
    modules = [*model.bridge.modules(), *network.modules()]
    counts = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in modules]
    points = {name: len(point.fwd_hooks) for name, point in model.bridge.hook_dict.items()}
    forwards = ["forward" in block.attn.__dict__ for block in model.bridge.blocks]
    training = [module.training for module in modules]
    return [counts, points, forwards, training, network.config._attn_implementation, torch.is_inference_mode_enabled()]


@every_architecture
@pytest.mark.parametrize("readings", [READINGS, PATTERNS], ids=["streams", "patterns"])
def test_hooks_and_attention_are_given_back(architecture, readings):
    model, _, texts = pair(architecture)
    before = lent_things(model)
    with capturing(model, readings) as vectors_of:
        assert lent_things(model) != before
        vectors_of(Batch.of(texts))
    assert lent_things(model) == before


def test_hooks_and_attention_are_given_back_after_an_error():
    model, _, texts = pair("llama")
    before = lent_things(model)

    def interrupted():
        with capturing(model, READINGS) as vectors_of:
            vectors_of(Batch.of(texts))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert lent_things(model) == before
    beyond = Batch(torch.tensor([[tiny.VOCABULARY]]), torch.tensor([[True]]))
    with pytest.raises(IndexError), capturing(model, READINGS) as vectors_of:
        vectors_of(beyond)
    assert lent_things(model) == before


def test_a_users_own_hook_stays_and_fires():
    model, _, texts = pair("qwen2")
    before, seen = lent_things(model), []
    with model.bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_v", lambda tensor, hook: seen.append(tensor.shape))]):
        read(model, READINGS, Batch.of(texts))
        assert len(seen) == 1
        read(model, PATTERNS, Batch.of(texts[:1]))
        assert len(seen) == 2
    assert lent_things(model) == before


def test_a_reading_asked_for_with_more_poolings_shares_one_tap():
    model, _, _ = pair("llama")
    idle = {name: len(point.fwd_hooks) for name, point in model.bridge.hook_dict.items()}
    with capturing(model, [*READINGS, *READINGS]):
        busy = {name: len(point.fwd_hooks) - idle[name] for name, point in model.bridge.hook_dict.items()}
    points = {f"blocks.{block}.{HOOKS[stream]}" for stream in PLAIN_STREAMS for block in range(3)} | {
        "blocks.0.hook_in"
    }
    assert all(busy[point] == 1 for point in points)


# --- nothing is computed or kept that is not asked for ----------------------------------------------------------------


@every_architecture
def test_no_logits_are_computed(architecture):
    model, _, texts = pair(architecture)
    calls = []
    unembedding = model.bridge.original_model.get_output_embeddings()
    handle = unembedding.register_forward_hook(lambda *_: calls.append(1))
    read(model, READINGS, Batch.of(texts))
    read(model, PATTERNS, Batch.of(texts))
    handle.remove()
    assert not calls


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "phi3", "gpt2"])
def test_no_tensor_with_a_token_axis_outlives_the_pass(architecture):
    """Every tensor that any module gives is watched; when the vectors are there, all of them are gone."""
    model, _, texts = pair(architecture)
    batch, watched = Batch.of(texts), []
    n_tokens = batch.ids.shape[1]

    def watch(module, args, output):
        given = output if isinstance(output, tuple) else (output,)
        watched.extend(
            weakref.ref(tensor)
            for tensor in given
            if isinstance(tensor, torch.Tensor) and tensor.ndim > 2 and n_tokens in tensor.shape
        )

    with capturing(model, READINGS) as vectors_of:
        handles = [module.register_forward_hook(watch) for module in model.bridge.original_model.modules()]
        vectors = vectors_of(batch)
        for handle in handles:
            handle.remove()
        gc.collect()
        assert len(watched) > 20
        assert not [ref().shape for ref in watched if ref() is not None]
    kept = sum(tensor.numel() for tensor in vectors.values())
    assert vectors[HS.reading].untyped_storage().nbytes() == 4 * kept  # one buffer, and nothing else in it


def test_vectors_can_be_trained_on():
    model, _, texts = pair("llama")
    with capturing(model, [HS.reading]) as vectors_of:
        vectors = vectors_of(Batch.of(texts))[HS.reading]
        weights = torch.zeros(vectors.shape[-1], requires_grad=True)
        (vectors @ weights).sum().backward()
    torch.testing.assert_close(weights.grad, vectors.sum((0, 1)))


def test_a_hook_that_does_not_fire_is_an_error(monkeypatch):
    model, _, texts = pair("llama")
    monkeypatch.setattr(Model, "run_body", lambda *_: None)
    with pytest.raises(CaptureError, match=r"3 sites of llama were not read \(first: values@1\)"):
        read(model, [VA.reading], Batch.of(texts))
