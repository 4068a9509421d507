"""Sinks: every number is numpy's on a bare forward, and a made sink is found where it was put."""

from __future__ import annotations

import copy
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from scipy import stats
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

from probes.catalogue import read_result
from probes.sinks.names import (
    ACTIVATIONS,
    FIRST_IS_LONGEST,
    FIRST_LENGTH,
    FIRST_SHARE,
    LARGEST_SHARE,
    LENGTH_CORRELATION,
    LONGEST_LENGTH,
    MEAN_COSINE,
    METRICS,
    RANK,
    SINK_SCORE,
    SINKS,
)
from probes.sinks.probe import Sinks, sinks
from probes.sinks.result import SinksResult
from valens.corpora import Corpus
from valens.errors import CorpusError, ProbeError, SelectionError
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import VA
from valens.testing import check_probe, check_result

TEXTS = tuple(
    " ".join(f"w{(start * 7 + step * step) % 92 + 5}" for step in range(3 + start % 6 * 2)) for start in range(12)
)


def corpus(texts: tuple[str, ...] = TEXTS) -> Corpus:
    return Corpus("small", texts, tuple(map(str, range(len(texts)))), "made up")


def sunk_network() -> torch.nn.Module:
    """A random model whose begin-of-sequence token has one huge number, and so a long hidden state wherever it stands."""
    network = tiny.network("llama")
    with torch.no_grad():
        network.get_input_embeddings().weight[2] *= 20
        network.get_input_embeddings().weight[2, 11] = 30_000
    return network


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(sunk_network(), tiny.tokenizer(), name="sunk")


@pytest.fixture(scope="module")
def result(model: Model, tmp_path_factory: pytest.TempPathFactory) -> SinksResult:
    return sinks(model, corpus(), store=tmp_path_factory.mktemp("store"), resamples=60)


@cache
def bare(text: str) -> dict:
    """The judge: every stream of a text, token by token, and the attention, by plain hooks."""
    network = copy.deepcopy(sunk_network())
    network.set_attn_implementation("eager")
    ids = torch.tensor([tiny.tokenizer()(text)["input_ids"]])
    return {site: tensor[0].double().numpy() for site, tensor in tiny.token_vectors("llama", network, ids).items()}


def tokens(stream: str, layer: int) -> list[np.ndarray]:
    return [bare(text)[stream, layer] for text in TEXTS]


def lengths(stream: str, layer: int) -> list[np.ndarray]:
    return [np.linalg.norm(each, axis=1) for each in tokens(stream, layer)]


def lower_median(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.5, method="lower"))


def shares(stream: str, layer: int) -> list[np.ndarray]:
    means = [each.mean(axis=0) for each in tokens(stream, layer)]
    return [each @ mean / (len(each) * mean @ mean) for each, mean in zip(tokens(stream, layer), means, strict=True)]


def is_massive(layer: int) -> list[np.ndarray]:
    return [(abs(each) > 100) & (abs(each) > 1000 * lower_median(abs(each))) for each in tokens("hidden", layer)]


def means(stream: str, layer: int, first: int = 0) -> np.ndarray:
    return np.stack([each[first:].mean(axis=0) for each in tokens(stream, layer)])


def cosines(vectors: np.ndarray) -> list[float]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return [one @ other for one, other in combinations(unit, 2)]


BY_HAND = {
    ("hidden", FIRST_LENGTH): lambda at: np.median(
        [each[0] / lower_median(each[1:]) for each in lengths("hidden", at)]
    ),
    ("values", FIRST_LENGTH): lambda at: np.median(
        [each[0] / lower_median(each[1:]) for each in lengths("values", at)]
    ),
    ("keys", LONGEST_LENGTH): lambda at: np.median(
        [each.max() / lower_median(each[1:]) for each in lengths("keys", at)]
    ),
    ("hidden", FIRST_SHARE): lambda at: np.median([each[0] for each in shares("hidden", at)]),
    ("values", LARGEST_SHARE): lambda at: np.median([each.max() for each in shares("values", at)]),
    ("hidden", SINKS): lambda at: np.mean([(each > 5 * lower_median(each)).sum() for each in lengths("hidden", at)]),
    ("hidden", FIRST_IS_LONGEST): lambda at: np.mean([each.argmax() == 0 for each in lengths("hidden", at)]),
    ("hidden", ACTIVATIONS): lambda at: np.mean([each.sum() for each in is_massive(at)]),
    ("attention", SINK_SCORE): lambda at: np.mean(
        np.mean([each[:, :, 0].mean(axis=1) for each in tokens("pattern", at)], axis=0) > 0.3
    ),
    ("HS", MEAN_COSINE): lambda at: np.mean(cosines(means("hidden", at))),
    ("HS-but-first", MEAN_COSINE): lambda at: np.mean(cosines(means("hidden", at, first=1))),
}


@pytest.mark.parametrize("curve", BY_HAND, ids=" ".join)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_every_number_is_that_of_a_bare_forward(result: SinksResult, curve: tuple[str, str], layer: int) -> None:
    found = result.of(*curve).set_index("layer").score[layer]
    assert found == pytest.approx(BY_HAND[curve](layer), rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("layer", [1, 3])
def test_how_the_cosine_follows_the_length_is_scipys_rank_correlation(tmp_path: Path, layer: int) -> None:
    """Of a model without a sink: with one, cosines differ by less than rounding."""
    network = tiny.network("llama")
    judge = copy.deepcopy(network)
    judge.set_attn_implementation("eager")
    found = sinks(loading.wrap(network, tiny.tokenizer(), name="plain"), corpus(), store=tmp_path, resamples=5)
    ids = [tiny.tokenizer()(text)["input_ids"] for text in TEXTS]
    likeness = [round(-abs(np.log(len(one) / len(other))), 9) for one, other in combinations(ids, 2)]
    for name, stream in (("HS", "hidden"), ("VA", "values")):
        vectors = [tiny.token_vectors("llama", judge, torch.tensor([each]))[stream, layer][0].mean(0) for each in ids]
        wanted = stats.spearmanr(cosines(torch.stack(vectors).double().numpy()), likeness).statistic
        row = found.of(name, LENGTH_CORRELATION).set_index("layer").loc[layer]
        assert row.score == pytest.approx(wanted, abs=2e-3)
        assert row.low < row.high


def test_the_sink_that_was_made_is_found_with_its_dimension(result: SinksResult) -> None:
    assert (result.of("hidden", FIRST_LENGTH).score > 20).all()
    assert (result.of("hidden", FIRST_SHARE).score > 0.9).all()
    assert result.dimensions[result.dimensions.layer == 0].dimension.tolist() == [11]
    assert result.tokens[result.tokens.layer == 1].iloc[0].tolist() == [1, "any", "first", 1.0]
    (note,) = result.notes()
    assert note.startswith("At layers 1-3 the mean of hidden states (HS) is mostly the first token")


def test_a_sink_that_is_not_the_first_token_is_found_by_its_name(tmp_path: Path) -> None:
    network = tiny.network("llama")
    with torch.no_grad():
        network.get_input_embeddings().weight[33] *= 500
    model = loading.wrap(network, tiny.tokenizer(), name="later")
    texts = tuple(f"w5 w{6 + n} w33 w{40 + n} w{50 + n}" for n in range(6))
    found = sinks(model, corpus(texts), store=tmp_path, resamples=20)
    assert found.tokens[found.tokens.layer == 0].iloc[0].tolist() == [0, "w33", "later", 1.0]
    assert found.of("hidden", FIRST_IS_LONGEST).score[0] == 0
    assert "mostly one token, not always the first" in found.notes()[0]


def test_intervals_are_about_the_scores_and_the_rank_has_none(result: SinksResult) -> None:
    table = result.table.dropna(subset=["low"])
    assert (table.low <= table.score + 1e-9).mean() > 0.95
    assert (table.high >= table.score - 1e-9).mean() > 0.95
    assert result.of("HS", RANK).low.isna().all()
    assert set(result.table.metric) == set(METRICS)


def test_it_keeps_the_promises_of_a_probe_and_of_a_result(model: Model) -> None:
    check_result(check_probe(Sinks(resamples=20), model, corpus(), ()))


def test_what_cannot_be_measured_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="small has 2 different texts as they are read; 3 or more"):
        sinks(model, corpus((TEXTS[0], TEXTS[1], TEXTS[0])), store=tmp_path)
    with pytest.raises(SelectionError, match="Leave --representations out"):
        Sinks().plan(model, corpus(), [VA], store=tmp_path)
    with pytest.raises(ProbeError, match="--resamples is 1 or more"):
        Sinks(resamples=0)


def test_texts_whose_tokens_are_equal_count_once(model: Model, tmp_path: Path) -> None:
    once = sinks(model, corpus(), store=tmp_path, resamples=20)
    twice = sinks(model, corpus((*TEXTS, *TEXTS[:4])), store=tmp_path, resamples=20)
    pd.testing.assert_series_equal(once.table.score, twice.table.score)
    assert twice.provenance["documents"] == {"used": 12, "repeated": 4}


def test_the_command_says_what_was_found(shell: Shell, tiny_folder: Path) -> None:  # noqa: F811
    Path("texts").mkdir()
    for number, text in enumerate(TEXTS):
        Path(f"texts/{number}.txt").write_text(text)
    said = shell("sinks", "--model", tiny_folder, "--corpus", "texts", "--resamples", "20", "--out", "out")
    assert (said.code, said.err) == (0, "")
    for part in ("Is a mean one token?", "The longest token of a text", "rank correlations up to HS"):
        assert part in " ".join(said.out.split())
    assert isinstance(read_result("out"), SinksResult)
    assert {"sinks.png", "sinks.pdf"} <= {path.name for path in Path("out").iterdir()}
