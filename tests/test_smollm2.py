"""The model of the demo, from its wheel: the vectors are those of a bare forward over the same file."""

from __future__ import annotations

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedModel

from valens.errors import MissingPackageError
from valens.extraction.capture import Batch, Vectors, capturing
from valens.layers.sites import Stream
from valens.model import loading
from valens.model.catalog import CATALOG, locate
from valens.model.model import Model
from valens.representations.poolings import Pooling
from valens.representations.prompts import Prompt, Tokens, tokenize
from valens.representations.readings import Reading

NAME = "smollm2-135m"

TEXTS = [
    "The residual stream of a transformer is a sum: each block reads from it, and adds what it found.",
    "Größe, κόσμος, 世界 — and a 👩‍👩‍👧.",
    "Rain.",
]

STREAMS = [Stream.HIDDEN, Stream.VALUES, Stream.HEADS, Stream.ATTN_OUT]
READINGS = [Reading(stream, pooling) for stream in STREAMS for pooling in (Pooling.MEAN, Pooling.LAST)]
NORMED = [Reading(Stream.HIDDEN, pooling, norm=True) for pooling in (Pooling.MEAN, Pooling.LAST)]

# Float32 sums taken in another order, over 30 layers: 4e-6 (docs/conventions.md) with room for other processors.
SAME = 2e-5


@pytest.fixture(scope="module")
def model() -> Model:
    try:
        return loading.load(NAME, device="cpu")
    except MissingPackageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def bare(model: Model) -> PreTrainedModel:
    folder, file = locate(NAME)
    dense = GgufConfig(dequantize=True)
    network = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype=torch.float32, quantization_config=dense, attn_implementation="eager"
    )
    return network.eval()


@pytest.fixture(scope="module")
def texts(model: Model) -> list[Tokens]:
    return tokenize(model.tokenizer, TEXTS, max_tokens=model.n_ctx)


@pytest.fixture(scope="module")
def captured(model: Model, texts: list[Tokens]) -> Vectors:
    with capturing(model, READINGS + NORMED) as vectors_of:
        return vectors_of(Batch.of(texts))


@pytest.fixture(scope="module")
def judged(bare: PreTrainedModel, texts: list[Tokens]) -> list[dict[tuple[str, int], torch.Tensor]]:
    return [tiny.token_vectors("llama", bare, torch.tensor([text.ids])) for text in texts]


def pooled(tokens: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    return tokens[-1] if pooling is Pooling.LAST else tokens.mean(0)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def test_sizes_are_the_catalogues(model, captured):
    entry, sizes = CATALOG[NAME], model.sizes
    assert (sizes.n_layers, sizes.d_model, sizes.n_heads) == (entry.n_layers, entry.d_model, entry.n_heads)
    assert (sizes.n_kv_heads, sizes.d_head) == (entry.n_kv_heads, entry.d_head)
    assert captured[Reading(Stream.VALUES, Pooling.MEAN)].shape == (30, 3, entry.d_values)
    assert captured[Reading(Stream.HIDDEN, Pooling.MEAN)].shape == (31, 3, entry.d_model)


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_every_layer_is_what_a_bare_forward_computes(captured, judged, reading):
    for place, tokens in enumerate(judged):
        for layer, found in zip(reading.layers(30), captured[reading][:, place], strict=True):
            assert distance(found, pooled(tokens[reading.stream, layer][0], reading.pooling)) < SAME, (layer, place)


@pytest.mark.parametrize("reading", NORMED, ids=str)
def test_the_final_norm_gives_the_models_own_last_hidden_state(captured, bare, texts, reading):
    for place, text in enumerate(texts):
        with torch.no_grad():
            last = bare.model(input_ids=torch.tensor([text.ids]), use_cache=False).last_hidden_state[0]
        assert distance(captured[reading][30, place], pooled(last, reading.pooling)) < SAME


def test_its_tokens_read_back_as_the_text(model, texts):
    for text, tokens in zip(TEXTS, texts, strict=True):
        assert model.tokenizer.decode(tokens.ids, skip_special_tokens=True) == text


def test_the_names_of_special_tokens_in_a_text_are_letters_and_those_in_a_template_are_tokens(model):
    """Between special tokens a tokenizer of this kind reads each part by itself, so the parts are the judge."""
    text, tokenizer = "a<|endoftext|>b <|im_start|>user", model.tokenizer
    start, end, _ = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
    letters = tokenizer(f"user\n{text}", split_special_tokens=True).input_ids
    (plain,) = tokenize(tokenizer, [text], max_tokens=64)
    (asked,) = tokenize(
        tokenizer, [text], prompt=Prompt("<|im_start|>user\n{text}<|im_end|>", pool_over="text"), max_tokens=64
    )
    assert not set(plain.ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(plain.ids) == text
    assert asked.ids == (start, *letters, end)
    assert asked.pooling_mask == (False,) * 3 + (True,) * len(plain) + (False,)


def test_a_cut_text_fills_the_limit(model):
    (whole,) = tokenize(model.tokenizer, TEXTS[:1], max_tokens=512)
    (cut,) = tokenize(model.tokenizer, TEXTS[:1], max_tokens=10)
    assert cut.truncated
    assert cut.ids == whole.ids[:10]
