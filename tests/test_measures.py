"""What is measured of a text's tokens, against numpy for one text, and by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
from tiny import one_thread  # noqa: F401

from valens.errors import CaptureError, RepresentationError, ValensWarning
from valens.extraction import extract
from valens.extraction.capture import Batch, capturing
from valens.extraction.embedding import encode
from valens.layers.sites import Stream
from valens.model import loading
from valens.model.model import Model
from valens.representations import prompts
from valens.representations.measures import MEASURED, Measure, measured
from valens.representations.named import HS, HS_BUT_FIRST, VA, representation
from valens.representations.readings import Reading

TEXTS = ["w5 w6 w7 w8 w9 w10 w11 w12", "w20 w21", "w33 w50 w60 w61 w62 w63"]


def numbers(measure, vectors, *rows):
    mask = torch.tensor([list(rows) or [[True] * len(vectors)]])
    values = measured(measure, mask, torch.as_tensor(vectors, dtype=torch.float32)[None])[0]
    return [dict(zip(MEASURED[measure], row.tolist(), strict=True)) for row in values]


def with_sinks(seed=0, n=12, d=6):
    tokens = np.random.default_rng(seed).normal(size=(n, d))
    tokens[0] *= 40
    tokens[7] *= 20
    return tokens


def test_shares_sum_to_one_and_are_each_tokens_part_of_the_mean():
    tokens = with_sinks()
    mean = tokens.mean(axis=0)
    shares = tokens @ mean / (len(tokens) * mean @ mean)
    assert shares.sum() == pytest.approx(1)
    (found,) = numbers(Measure.SHARES, tokens)
    assert found == pytest.approx({"first": shares[0], "largest": shares.max()}, rel=1e-4)


def test_lengths_are_numpys_and_sinks_are_what_unsunk_leaves_out():
    tokens = with_sinks()
    lengths = np.linalg.norm(tokens, axis=1)
    mean = tokens.mean(axis=0)
    sinks = lengths > 5 * np.quantile(lengths, 0.5, method="lower")
    assert sinks.sum() == 2
    (found,) = numbers(Measure.LENGTHS, tokens)
    wanted = {
        "first": lengths[0],
        "median_of_others": np.quantile(lengths[1:], 0.5, method="lower"),
        "longest": lengths.max(),
        "position_of_longest": lengths.argmax(),
        "sunk": 2,
        "share_of_sunk": (tokens[sinks] @ mean).sum() / (len(tokens) * mean @ mean),
    }
    assert found == pytest.approx(wanted, rel=1e-4)


def test_positions_count_pooled_tokens_and_rows_are_apart():
    tokens = with_sinks()
    template = [False] * 3 + [True] * 9
    (found,) = numbers(Measure.LENGTHS, tokens, template)
    assert found["position_of_longest"] == 4  # the eighth token is the fifth that is pooled
    both = numbers(Measure.LENGTHS, tokens, [True] * 12, template)
    assert both == [pytest.approx(numbers(Measure.LENGTHS, tokens)[0]), pytest.approx(found)]


def test_one_token_is_its_own_neighbour():
    (found,) = numbers(Measure.LENGTHS, [[3.0, 4.0]])
    assert (found["first"], found["median_of_others"], found["sunk"]) == (5, 5, 0)
    assert numbers(Measure.SHARES, [[3.0, 4.0]]) == [{"first": 1, "largest": 1}]


def test_massive_activations_by_the_published_threshold():
    """Above 100 and above 1,000 times the median magnitude, by hand: 30,000 and 20,000 are, 90 is not."""
    tokens = np.ones((10, 4))
    tokens[0, 2], tokens[0, 3], tokens[4, 2], tokens[5, 1] = 30000, -20000, 90, 900
    (found,) = numbers(Measure.MASSIVE, tokens)
    assert found == {"largest": 30000, "median": 1, "position": 0, "activations": 2, "tokens": 1}
    vectors, every = torch.tensor(tokens)[None].float(), torch.ones(1, 1, 10, dtype=torch.bool)
    by_dimension = measured(Measure.MASSIVE_BY_DIMENSION, every, vectors)
    assert by_dimension.tolist() == [[[0, 0, 1, 1]]]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2", "phi3"])
def test_attention_to_the_first_token_is_that_of_a_bare_forward(architecture):
    network, tokenizer = tiny.network(architecture), tiny.tokenizer()
    bare = copy.deepcopy(network)
    bare.set_attn_implementation("eager")
    model = loading.wrap(network, tokenizer, name=architecture)
    texts = prompts.tokenize(tokenizer, TEXTS, max_tokens=128)
    reading = Reading(Stream.PATTERN, Measure.TO_FIRST)
    with capturing(model, [reading]) as read:
        found = read(Batch.of(texts))[reading]
    for place, text in enumerate(texts):
        with torch.no_grad():
            patterns = bare.base_model(torch.tensor([text.ids]), output_attentions=True, use_cache=False).attentions
        wanted = torch.stack([pattern[0, :, :, 0].mean(dim=1) for pattern in patterns])
        torch.testing.assert_close(found[:, place], wanted, rtol=1e-4, atol=1e-5)


def sunk() -> Model:
    """A model whose begin-of-sequence token, 2, has a huge state at every block."""
    network = tiny.network("llama")
    with torch.no_grad():
        network.get_input_embeddings().weight[2] *= 500
    return loading.wrap(network, tiny.tokenizer(), name="sunk")


def test_a_mean_of_hidden_states_comes_with_its_shares_and_warns_of_a_sink(tmp_path):
    model = sunk()
    done = extract.plan(model, TEXTS, [HS.reading, VA.reading, HS_BUT_FIRST.reading], store=tmp_path).run()
    shares = done.token_shares["first"]
    vectors = {layer: done.vectors(HS.reading, layer).astype(float) for layer in (1, 2, 3)}
    for layer, means in vectors.items():
        rest = done.vectors(HS_BUT_FIRST.reading, layer).astype(float)
        n = np.array([[9], [3], [7]])  # with the begin-of-sequence token
        first = n * means - (n - 1) * rest
        wanted = np.median((first * means).sum(axis=1) / (n[:, 0] * (means * means).sum(axis=1)))
        assert shares[str(layer)] == pytest.approx(wanted, abs=2e-3)
        assert wanted > 0.5
    (note,) = done.notes
    assert note.startswith("At layers 1-3 the mean of hidden states (HS) is mostly the first token: at layer")
    assert done.facts()["notes"] == [note]


def test_embeddings_of_such_layers_come_with_the_warning_and_others_do_not(recwarn):
    model = sunk()
    encode(model, TEXTS, representation="VA", layers="1-3")
    encode(model, TEXTS, representation="HS-but-first", layers="1-3")
    encode(model, TEXTS, representation="HS", layers="0")
    assert not [warning for warning in recwarn if warning.category is ValensWarning]
    with pytest.warns(ValensWarning, match="At layers 2,3 the mean of hidden states .HS. is mostly the first token"):
        encode(model, TEXTS, representation="HS", layers="2,3")


def test_what_few_tokens_make_of_a_mean_is_no_sink(tmp_path):
    """Of two tokens one is half of any mean, whatever the model."""
    done = extract.plan(sunk(), ["w5", "w6", "w7 w8"], [HS.reading], store=tmp_path).run()
    assert max(done.token_shares["first"].values()) > 0.5
    assert done.notes == ()


def test_without_a_mean_of_hidden_states_nothing_is_measured(tmp_path):
    model = loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="llama")
    done = extract.plan(model, TEXTS, [VA.reading], store=tmp_path).run()
    assert (done.token_shares, done.notes) == ({}, ())


def test_texts_without_a_token_beyond_the_first_are_counted(tmp_path):
    model = loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="llama")
    done = extract.plan(model, TEXTS, [Reading.parse("values/but-first:4")], store=tmp_path).run()
    assert done.notes == ("1 text has no token beyond the first 4: but-first:4 pools all that it has.",)


def test_attention_is_read_into_a_collection_of_its_own(tmp_path):
    model = loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="llama")
    plain = extract.plan(model, TEXTS, [VA.reading], store=tmp_path)
    both = extract.plan(model, TEXTS, [VA.reading, Reading(Stream.PATTERN, Measure.TO_FIRST)], store=tmp_path)
    assert plain.collection.key != both.collection.key
    assert both.run().vectors(VA.reading, 2) == pytest.approx(plain.run().vectors(VA.reading, 2), rel=1e-4, abs=1e-5)


def test_what_has_no_vectors_is_refused(tmp_path):
    for stream, pooling in (("pattern", "unit"), ("pattern", "lengths"), ("hidden", "to-first")):
        with pytest.raises(
            RepresentationError, match=f"{stream}/{pooling} cannot be read: {stream} has no vectors for"
        ):
            Reading.parse(f"{stream}/{pooling}")
    with pytest.raises(RepresentationError, match="hidden/lengths is a few numbers about a text's tokens"):
        representation("hidden/lengths")
    model = loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="llama")
    with pytest.raises(CaptureError, match="Attention patterns are as wide as a text is long"):
        extract.plan(model, TEXTS, [Reading.parse("pattern/mean")], store=tmp_path)
