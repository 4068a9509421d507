"""Anisotropy: its cosines are those of every pair, its intervals hold the truth, and it keeps a probe's promises."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

from probes.anisotropy.probe import Anisotropy, anisotropy
from probes.anisotropy.result import AnisotropyResult
from probes.anisotropy.section import CENTRED, RAW
from probes.catalogue import read_result
from valens.corpora import Corpus
from valens.errors import CorpusError, ProbeError, ResultError
from valens.metrics.anisotropy import effective_rank, mean_cosine
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import HS, VA
from valens.statistics import percentile_interval, resample_counts
from valens.testing import check_probe, check_result

TEXTS = tuple(
    " ".join(f"w{(start * 7 + step * step) % 92 + 5}" for step in range(4 + start % 5)) for start in range(12)
)


def corpus(texts: tuple[str, ...] = TEXTS) -> Corpus:
    return Corpus("small", texts, tuple(map(str, range(len(texts)))), "made up")


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def result(model: Model, tmp_path_factory: pytest.TempPathFactory) -> AnisotropyResult:
    return anisotropy(model, corpus(), store=tmp_path_factory.mktemp("store"), resamples=100)


def by_pairs(vectors: np.ndarray) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float(np.mean([one @ other for one, other in combinations(unit, 2)]))


@pytest.mark.parametrize("representation", [VA, HS], ids=str)
@pytest.mark.parametrize("layer", [1, 3])
def test_scores_are_the_mean_cosine_of_all_pairs_by_a_bare_forward(result, representation, layer) -> None:
    bare = tiny.network("llama")
    bare.set_attn_implementation("eager")
    means = []
    for text in TEXTS:
        ids = torch.tensor([tiny.tokenizer()(text)["input_ids"]])
        tokens = tiny.token_vectors("llama", bare, ids)[representation.reading.stream, layer]
        means.append(tokens[0].double().mean(dim=0).numpy())
    vectors = np.stack(means)
    rows = result.table[(result.table.representation == representation.name) & (result.table.layer == layer)]
    scores = rows.set_index("metric").score
    assert scores[RAW] == pytest.approx(by_pairs(vectors), abs=1e-5)
    assert scores[CENTRED] == pytest.approx(by_pairs(vectors - vectors.mean(axis=0)), abs=1e-5)


def test_a_resample_compares_no_text_with_its_own_copy() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    counts = np.array([[3, 0, 2, 1, 0, 0]])
    drawn = [0, 0, 0, 2, 2, 3]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [unit[a] @ unit[b] for a in drawn for b in drawn if a != b]
    _, resampled = mean_cosine(vectors, counts, centred=False)
    assert resampled[0] == pytest.approx(np.mean(pairs))


def test_a_vector_without_length_is_alike_to_none() -> None:
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert mean_cosine(vectors, np.ones((1, 3), dtype=int), centred=False)[0] == pytest.approx(1 / 3)


def test_directions_without_structure_score_nothing_and_a_shared_one_is_taken_off() -> None:
    chance = np.random.default_rng(1)
    free = chance.normal(size=(300, 64))
    counts = resample_counts(300, 200, 0)
    assert abs(mean_cosine(free, counts, centred=False)[0]) < 0.01
    assert mean_cosine(free + 5, counts, centred=False)[0] > 0.9
    assert mean_cosine(free + 5, counts, centred=True)[0] == pytest.approx(-1 / 299, abs=0.002)


def test_the_effective_rank_counts_directions() -> None:
    assert effective_rank(np.eye(5, 9)) == pytest.approx(5)
    assert effective_rank(np.eye(9, 5)) == pytest.approx(5)
    assert effective_rank(np.ones((7, 3))) == pytest.approx(1)
    assert effective_rank(np.zeros((7, 3))) == 0
    chance = np.random.default_rng(0).normal(size=(40, 12))
    shares = np.square(np.linalg.svd(chance, compute_uv=False)) / np.square(chance).sum()
    assert effective_rank(chance) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_95_percent_intervals_cover_the_truth() -> None:
    """The mean cosine of two draws of N(mu, I) in 8 dimensions, by a large sample; 120 data sets of 40 texts."""
    chance = np.random.default_rng(2)
    large = chance.normal(size=(40_000, 8)) + 0.4
    truth, _ = mean_cosine(large, np.ones((1, 40_000), dtype=int), centred=False)
    counts, hits = resample_counts(40, 400, 0), 0
    for _ in range(120):
        _, resampled = mean_cosine(chance.normal(size=(40, 8)) + 0.4, counts, centred=False)
        low, high = percentile_interval(resampled)
        hits += bool(low <= truth <= high)
    assert 0.88 <= hits / 120 <= 1  # a binomial of 120 at .95 leaves this range in 1 of 500


def test_comparisons_are_paired_and_change_their_sign(result: AnisotropyResult) -> None:
    ahead, behind = result.compare("VA", "HS"), result.compare("HS", "VA")
    np.testing.assert_allclose(ahead.difference, -behind.difference, rtol=0, atol=1e-12)
    scores = result.table[result.table.metric == RAW].pivot(index="layer", columns="representation", values="score")
    np.testing.assert_allclose(ahead.difference, (scores.VA - scores.HS)[ahead.layer], rtol=0, atol=1e-12)
    with pytest.raises(ResultError, match="There is no 'mean cosine' of 'LT'"):
        result.compare("VA", "LT")


def test_equal_texts_count_once(model: Model, tmp_path: Path) -> None:
    once = anisotropy(model, corpus(), [VA], store=tmp_path, resamples=20)
    twice = anisotropy(model, corpus((*TEXTS, *TEXTS[:5])), [VA], store=tmp_path, resamples=20)
    np.testing.assert_allclose(once.table.score, twice.table.score, rtol=0, atol=1e-7)
    assert twice.provenance["documents"] == {"used": len(TEXTS), "repeated": 5}


def test_it_keeps_the_promises_of_a_probe_and_of_a_result(model: Model) -> None:
    check_result(check_probe(Anisotropy(resamples=30, layers="1-2"), model, corpus(), [VA, HS]))


def test_too_few_texts_are_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="small has 2 different texts as they are read; 3 or more"):
        anisotropy(model, corpus((TEXTS[0], TEXTS[1], TEXTS[0])), store=tmp_path)
    with pytest.raises(ProbeError, match="--resamples is 1 or more"):
        Anisotropy(resamples=0)


def test_the_command_writes_and_says_what_was_found(shell: Shell, tiny_folder: Path) -> None:  # noqa: F811
    Path("texts").mkdir()
    for number, text in enumerate(TEXTS):
        Path(f"texts/{number}.txt").write_text(text)
    words = ("anisotropy", "--model", tiny_folder, "--corpus", "texts", "--resamples", "50", "--out", "out")
    said = shell(*words)
    assert (said.code, said.err) == (0, "")
    for part in (
        "Do all texts point the same way?",
        "12 different texts",
        "The mean cosine of VA is",
        "Centred, 12 directions",
    ):
        assert part in " ".join(said.out.split())
    assert max(map(len, said.out.splitlines()[:-1])) <= 80
    assert isinstance(read_result("out"), AnisotropyResult)
    assert {path.name for path in Path("out").iterdir()} == {
        "scores.parquet",
        "replicates.parquet",
        "provenance.json",
        "anisotropy.pdf",
        "anisotropy.png",
    }
    assert "No forward pass" in shell(*words).out
    assert {row["second"] for row in shell(*words, "--json").json["compared"]} == {"HS"}


def test_the_table_is_tidy(result: AnisotropyResult) -> None:
    assert isinstance(result.table, pd.DataFrame)
    assert set(result.table.metric) == {RAW, CENTRED}
    assert result.table.score.between(-1, 1).all()
    assert (result.table.low <= result.table.score + 1e-9).all()
    assert (result.table.score <= result.table.high + 1e-9).all()
