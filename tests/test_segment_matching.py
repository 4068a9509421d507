"""Segment matching on a tiny model: its ranks are those of a bare forward, and its numbers follow from the ranks."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from matplotlib.colors import to_rgb
from scipy.stats import binomtest, false_discovery_control
from tiny import one_thread  # noqa: F401

from probes.segment_matching.figure import matching_curves
from probes.segment_matching.metrics import CHANCE
from probes.segment_matching.probe import SegmentMatching, segment_matching
from probes.segment_matching.recall import DIRECTIONS
from probes.segment_matching.result import SegmentMatchingResult
from probes.segment_matching.segments import cut
from valens.corpora import Corpus
from valens.errors import CorpusError, PromptError, ResultError, SelectionError
from valens.evaluation.tfidf import LEXICAL
from valens.layers.layer_set import LayerSet
from valens.model import loading
from valens.model.model import Model
from valens.plotting.style import REPRESENTATION_COLOURS
from valens.representations.named import HS, LT, VA, Representation
from valens.representations.prompts import Prompt
from valens.results.result import Result

N = 24
SETTINGS = {"resamples": 200, "ks": (1, 5)}


def documents(n: int = N, *, seed: int = 0) -> tuple[str, ...]:
    """Texts of 30 to 60 words that keep to a vocabulary of their own, so that ends resemble beginnings."""
    chance = random.Random(seed)
    texts = []
    for _ in range(n):
        own = chance.sample(range(5, 97), 12)
        texts.append(" ".join(f"w{chance.choice(own)}" for _ in range(chance.randint(30, 60))))
    return tuple(texts)


def corpus(texts: tuple[str, ...] = documents()) -> Corpus:
    return Corpus("small", texts, tuple(f"text {place}" for place in range(len(texts))), "made up")


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def found(model: Model, tmp_path_factory: pytest.TempPathFactory) -> SegmentMatchingResult:
    store = tmp_path_factory.mktemp("store")
    return segment_matching(model, corpus(), [VA, HS], store=store, resplits=2, **SETTINGS)


def bare_ranks(model: Model, representation: Representation, layer: int, resplit: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranks in both directions from each segment's own bare forward, in float64."""
    segments = cut(model.tokenizer, corpus().texts, max_tokens=model.n_ctx, resplits=2)
    bare = tiny.network("llama")
    bare.set_attn_implementation("eager")
    stream, means = representation.reading.stream, []
    for side in ("prefix", "suffix"):
        vectors = [
            tiny.token_vectors("llama", bare, torch.tensor([getattr(pair, side).ids]))[stream, layer]
            for pair in segments.resplits[resplit]
        ]
        unit = np.stack([vector[0].double().mean(dim=0).numpy() for vector in vectors])
        means.append(unit / np.linalg.norm(unit, axis=1, keepdims=True))
    similarity = means[0] @ means[1].T
    return tuple((matrix >= np.diag(matrix)[:, None]).sum(axis=1) for matrix in (similarity, similarity.T))


@pytest.mark.parametrize("representation", [VA, HS], ids=str)
def test_ranks_are_those_of_a_bare_forward(
    model: Model, found: SegmentMatchingResult, representation: Representation
) -> None:
    for layer in (1, 3):
        for direction, expected in zip(DIRECTIONS, bare_ranks(model, representation, layer, resplit=1), strict=True):
            ranks = found.ranks
            part = ranks[(ranks.representation == representation.name) & (ranks.layer == layer) & (ranks.resplit == 1)]
            part = part[part.direction == direction]
            assert list(part.document) == list(range(N))
            assert list(part.id) == [f"text {place}" for place in range(N)]
            # Float32 vectors may swap two all but equal neighbours.
            assert np.abs(part["rank"].to_numpy() - expected).max() <= 1
            assert (part["rank"].to_numpy() == expected).mean() > 0.9


def test_every_number_is_the_mean_over_documents_and_resplits(found: SegmentMatchingResult) -> None:
    table = found.table[found.table.layer.notna()]
    assert len(table) == 3 * 2 * (3 + 4)
    for row in table.itertuples():
        ranks = found.ranks
        part = ranks[(ranks.representation == row.representation) & (ranks.direction == row.direction)]
        part = part[part.layer == row.layer]
        scores = 1 / part["rank"] if row.metric == "MRR" else part["rank"] <= int(row.metric[7:])
        assert row.score == pytest.approx(scores.mean())
        assert row.between_resplits == pytest.approx(scores.groupby(part.resplit).mean().std())
        assert row.low <= row.score <= row.high
        assert (row.n, row.model, row.corpus, row.depth) == (N, "tiny", "small", pytest.approx(row.layer / 3))


def test_the_best_layer_is_among_the_best(found: SegmentMatchingResult) -> None:
    curves = found.table[found.table.layer.notna()]
    for _, curve in curves.groupby(["representation", "direction", "metric"]):
        assert curve.among_best[curve.score.idxmax()]


def test_chance_is_what_random_ranks_score(found: SegmentMatchingResult) -> None:
    chance = found.table[found.table.representation == CHANCE].set_index(["metric", "direction"]).score
    assert chance["recall@5", DIRECTIONS[0]] == pytest.approx(5 / N)
    assert chance["MRR", DIRECTIONS[1]] == pytest.approx(sum(1 / rank for rank in range(1, N + 1)) / N)


def test_words_alone_find_documents_that_keep_to_their_own_words(found: SegmentMatchingResult) -> None:
    words = found.table[(found.table.representation == LEXICAL) & (found.table.metric == "recall@5")]
    assert (words.score > 0.8).all()
    assert (words.low > 5 / N).all()


def test_a_second_run_reads_nothing_and_finds_the_same(model: Model, tmp_path: Path) -> None:
    first, again = (segment_matching(model, corpus(), store=tmp_path, **SETTINGS) for _ in range(2))
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(first.ranks, again.ranks)
    assert first.provenance["forward_passes"] == 2 * N
    assert again.provenance["forward_passes"] == 0


def test_another_seed_cuts_elsewhere(model: Model, found: SegmentMatchingResult, tmp_path: Path) -> None:
    other = segment_matching(model, corpus(), store=tmp_path, seed=5, **SETTINGS)
    mine = found.ranks[found.ranks.resplit == 0]
    assert not np.array_equal(other.ranks["rank"], mine["rank"])


def test_bca_moves_the_bounds_and_nothing_else(model: Model, tmp_path: Path) -> None:
    percentile, bca = (
        segment_matching(model, corpus(), store=tmp_path, interval=kind, **SETTINGS).table
        for kind in ("percentile", "bca")
    )
    pd.testing.assert_frame_equal(percentile.drop(columns=["low", "high"]), bca.drop(columns=["low", "high"]))
    assert not percentile.low.equals(bca.low)


def test_recall_has_wilson_s_interval_and_what_is_no_proportion_has_bca(
    model: Model, found: SegmentMatchingResult, tmp_path: Path
) -> None:
    once = segment_matching(model, corpus(), store=tmp_path, **SETTINGS).table
    for row in once[(once.metric != "MRR") & once.low.notna()].itertuples():
        bounds = binomtest(round(row.score * N), N).proportion_ci(0.95, method="wilson")
        assert (row.low, row.high) == pytest.approx(tuple(bounds), abs=1e-12)
    bca = segment_matching(model, corpus(), store=tmp_path, interval="bca", **SETTINGS).table
    pd.testing.assert_frame_equal(once[once.metric == "MRR"], bca[bca.metric == "MRR"])
    twice = segment_matching(model, corpus(), store=tmp_path, interval="bca", resplits=2, **SETTINGS).table
    pd.testing.assert_frame_equal(found.table, twice)


def test_layers_and_representations_are_what_was_asked_for(model: Model, tmp_path: Path) -> None:
    found = segment_matching(model, corpus(), [LT], store=tmp_path, layers=LayerSet.of([2, 3]), **SETTINGS)
    assert found.representations == ("LT",)
    assert set(found.table.layer.dropna()) == {2, 3}
    assert found.metrics == ("recall@1", "recall@5", "MRR")


class TestComparing:
    def test_recall_is_compared_by_mcnemars_exact_test(self, model: Model, tmp_path: Path) -> None:
        found = segment_matching(model, corpus(), store=tmp_path, **SETTINGS)
        compared = found.compare("VA", "HS", metric="recall@1")
        assert list(compared.layer) == [1, 2, 3]
        for row in compared.itertuples():
            one, other = (self.hits(found, name, row.layer) for name in ("VA", "HS"))
            wins, losses = (one & ~other).sum(), (other & ~one).sum()
            assert row.difference == pytest.approx((wins - losses) / N)
            assert row.p == pytest.approx(binomtest(wins, wins + losses).pvalue if wins + losses else 1.0)
            assert row.low <= row.difference <= row.high

    @staticmethod
    def hits(found: SegmentMatchingResult, name: str, layer: int) -> np.ndarray:
        part = found.ranks[(found.ranks.representation == name) & (found.ranks.layer == layer)]
        return part["rank"][part.direction == DIRECTIONS[0]].to_numpy() == 1

    def test_one_comparison_is_the_other_turned_round(self, found: SegmentMatchingResult) -> None:
        there, back = found.compare("VA", "HS"), found.compare("HS", "VA")
        np.testing.assert_allclose(there.difference, -back.difference)
        np.testing.assert_allclose(there.p, back.p)

    def test_correction_never_makes_a_difference_surer(self, found: SegmentMatchingResult) -> None:
        compared = found.compare("VA", "HS", metric="MRR")
        assert (compared.p_holm >= compared.p).all()
        assert (compared.p_holm.to_numpy() >= false_discovery_control(compared.p) - 1e-12).all()

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"second": "LT"}, "no layers of 'LT'"),
            ({"second": "HS", "metric": "recall"}, "recall@k"),
            ({"second": "HS", "metric": "ndcg@3"}, "recall@k"),
            ({"second": "HS", "direction": "sideways"}, "'sideways'"),
        ],
        ids=str,
    )
    def test_what_was_not_measured_is_refused(self, found: SegmentMatchingResult, asked: dict, said: str) -> None:
        with pytest.raises(ResultError, match=said):
            found.compare("VA", **asked)


class TestSaving:
    def test_what_is_saved_is_read_back(self, found: SegmentMatchingResult, tmp_path: Path) -> None:
        found.save(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            "scores.parquet",
            "ranks.parquet",
            "provenance.json",
            "figure2.pdf",
            "figure2.png",
        }
        back = SegmentMatchingResult.read(tmp_path)
        pd.testing.assert_frame_equal(back.compare("VA", "HS"), found.compare("VA", "HS"))
        pd.testing.assert_frame_equal(back.table, found.table)

    def test_another_probes_result_is_refused(self, found: SegmentMatchingResult, tmp_path: Path) -> None:
        Result("layer-sweep", found.table, {}).save(tmp_path)
        with pytest.raises(ResultError, match=r"layer-sweep, not a SegmentMatchingResult"):
            SegmentMatchingResult.read(tmp_path)

    def test_provenance_says_what_was_used(self, found: SegmentMatchingResult) -> None:
        facts = found.provenance
        assert facts["documents"] == {"used": N, "repeated": 0, "too_short": 0, "truncated": 0}
        assert (facts["resplits"], facts["seed"], facts["similarity"]) == (2, 0, "cosine")
        assert facts["corpus"]["name"] == "small"


class TestFigure:
    def test_a_panel_a_k_with_lines_bands_and_baselines(self, found: SegmentMatchingResult) -> None:
        figure = found.plot()
        panels = figure.axes
        assert [axis.get_title(loc="left") for axis in panels] == ["recall@1", "recall@5"]
        assert panels[0].get_ylabel() == "recall (band: 95 % interval)"
        for axis, metric in zip(panels, ("recall@1", "recall@5"), strict=True):
            assert axis.get_xlabel() == "layer"
            lines = {line.get_color(): line for line in axis.lines}
            for name in ("VA", "HS"):
                table = found.table
                curve = table[(table.representation == name) & (table.metric == metric)]
                curve = curve[curve.direction == DIRECTIONS[0]]
                line = lines[REPRESENTATION_COLOURS[name]]
                np.testing.assert_allclose(line.get_ydata(), curve.score)
                np.testing.assert_array_equal(line.get_xdata(), curve.layer)
            assert [to_rgb(c.get_facecolor()[0][:3]) for c in axis.collections] == [
                to_rgb(REPRESENTATION_COLOURS[name]) for name in ("VA", "HS")
            ]
            assert {text.get_text() for text in axis.texts} == {"VA", "HS", LEXICAL, CHANCE}

    def test_its_labels_do_not_touch(self, found: SegmentMatchingResult) -> None:
        figure = found.plot()
        figure.canvas.draw()
        for axis in figure.axes:
            boxes = sorted((text.get_window_extent().y0, text.get_window_extent().y1) for text in axis.texts)
            for (_, top), (bottom, _) in pairwise(boxes):
                assert bottom >= top - 2

    def test_a_table_without_layers_is_refused(self, found: SegmentMatchingResult) -> None:
        with pytest.raises(ResultError, match="no recall by layer"):
            matching_curves(found.table[found.table.layer.isna()])


class TestBadInput:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"ks": (1, 30)}, "recall@30 among 24 documents"),
            ({"ks": ()}, "different k of 1 or more"),
            ({"ks": (0,)}, "different k of 1 or more"),
            ({"ks": (5, 5)}, "different k of 1 or more"),
            ({"similarity": "euclid"}, "'euclid' was asked for"),
            ({"interval": "wald"}, "'wald' was asked for"),
        ],
        ids=str,
    )
    def test_settings(self, model: Model, tmp_path: Path, settings: dict, said: str) -> None:
        with pytest.raises((ResultError, CorpusError), match=said):
            segment_matching(model, corpus(), store=tmp_path, **(SETTINGS | settings))

    def test_too_few_documents_are_counted_by_reason(self, model: Model, tmp_path: Path) -> None:
        texts = (*documents(9), "w5 w6", documents(1)[0].upper().lower())
        with pytest.raises(CorpusError, match=r"9 usable documents \(1 repeated and 1 too short"):
            segment_matching(model, corpus(texts), store=tmp_path)

    def test_a_limit_beyond_the_model(self, model: Model, tmp_path: Path) -> None:
        with pytest.raises(PromptError, match="--max-tokens 100,000"):
            segment_matching(model, corpus(), store=tmp_path, max_tokens=100_000)

    def test_a_representation_with_a_prompt(self, model: Model, tmp_path: Path) -> None:
        asked = Representation("asked", VA.reading, Prompt("Say: {text}"))
        with pytest.raises(SelectionError, match=r"asked has 'Say: \{text\}'"):
            SegmentMatching().plan(model, corpus(), [VA, asked], store=tmp_path)
