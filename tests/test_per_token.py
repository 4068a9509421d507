"""Token-level readings: what a bare forward shows at each token, kept ragged, counted before it is written."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from valens.corpora import Corpus
from valens.errors import CaptureError, RepresentationError, SiteError
from valens.extraction.extract import plan
from valens.extraction.per_token import TokenReading, plan_tokens
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import VA
from valens.store.store import ActivationStore

TEXTS = ["w5 w6 w7 w8 w9", "w6 w7", "w9 w8 w7 w6 w5 w4 w9 w9"]
NAMES = ["values@2/tokens", "hidden@0/tokens", "hidden@3:norm/tokens", "heads@1/tokens", "attn_out@3/tokens"]
PATTERNS = ["pattern@2/last", "pattern@1/0,2", "pattern@3/all"]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2", "phi3"])
def test_every_token_is_what_a_bare_forward_shows(architecture: str, tmp_path: Path) -> None:
    network = tiny.network(architecture)
    bare = copy.deepcopy(network)
    bare.set_attn_implementation("eager")
    model = loading.wrap(network, tiny.tokenizer(), name="tiny")
    readings = [TokenReading.parse(name) for name in NAMES + PATTERNS]
    job = plan_tokens(model, TEXTS, readings, store=ActivationStore(tmp_path))
    found = job.run()
    assert found.passes == 3
    for place, text in enumerate(found.texts):
        ids = torch.tensor([text.ids])
        streams = tiny.token_vectors(architecture, bare, ids)
        with torch.no_grad():
            last = bare.base_model(input_ids=ids).last_hidden_state[0]
        for reading in readings:
            expected = last if reading.site.norm else streams[reading.site.stream, reading.site.layer][0]
            if reading.site.stream == "pattern":
                expected = expected[:, reading.queries(len(text))].permute(1, 2, 0)
            vectors = found.of(reading, place)
            assert vectors.shape == expected.shape
            assert np.linalg.norm(vectors - expected.numpy()) <= 2e-5 * np.linalg.norm(expected.numpy())


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


def test_the_bytes_are_known_before_and_a_second_run_reads_nothing(model: Model, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path / "store")
    readings = [TokenReading.parse(name) for name in NAMES + PATTERNS]
    job = plan_tokens(model, TEXTS, readings, store=store)
    job.run()
    corpus = Corpus("three", tuple(TEXTS), ("a", "b", "c"), source="here")
    assert plan_tokens(model, corpus, readings, store=str(store.path)).n_bytes == 0
    (collection,) = store.collections()
    kept = sum(path.stat().st_size for path in collection.paths)
    assert job.n_bytes == 0  # nothing is lacking any more
    fresh = plan_tokens(model, TEXTS, readings, store=ActivationStore(tmp_path / "other"))
    assert 0 <= kept - fresh.n_bytes < 3000  # the header and what the rows are
    assert plan_tokens(model, TEXTS, readings, store=store).run().passes == 0


def test_a_job_that_is_too_large_is_refused_before_it_runs(model: Model, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"make [\d,]+ bytes, more than the 1,000 allowed"):
        plan_tokens(
            model, TEXTS, [TokenReading.parse("hidden@1/tokens")], store=ActivationStore(tmp_path / "s"), max_bytes=1000
        )
    assert not (tmp_path / "s").exists()


def test_pooled_and_token_readings_share_a_collection(model: Model, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path)
    pooled = plan(model, TEXTS, [VA.reading], store=store).run()
    found = plan_tokens(model, TEXTS, [TokenReading.parse("values@2/tokens")], store=store).run()
    (collection,) = store.collections()
    assert set(collection.readings()) == {"values/mean", "values@2/tokens"}
    for place in range(3):
        mean = found.of(TokenReading.parse("values@2/tokens"), place).mean(axis=0)
        np.testing.assert_allclose(mean, pooled.vectors(VA.reading, 2)[place], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["values@2/last", "pattern@2/tokens", "values/mean", "pattern@1/-1", "values@2", "x@2/tokens"]
)
def test_what_is_no_reading_of_tokens(name: str) -> None:
    with pytest.raises((RepresentationError, SiteError)):
        TokenReading.parse(name)


def test_layers_and_queries_that_are_not_there(model: Model, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path / "s")
    with pytest.raises(SiteError, match=r"layers 1..3 for values; 4 was asked for"):
        plan_tokens(model, TEXTS, [TokenReading.parse("values@4/tokens")], store=store)
    with pytest.raises(CaptureError, match=r"a query that text 1 \(from 0\) does not have: it has 3 tokens"):
        plan_tokens(model, TEXTS, [TokenReading.parse("pattern@1/5")], store=store)
