"""Next-token probing on a tiny model: vectors of a bare forward, splits without leaks, baselines worked by hand."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from tiny import one_thread  # noqa: F401

from probes.next_token import examples, scores, training
from probes.next_token.baselines import bigram, most_frequent, own, unigram
from probes.next_token.comparison import compared
from probes.next_token.examples import PARTS, Examples, choose_classes, control_classes, draw
from probes.next_token.figure import learning_curves, next_token_layers
from probes.next_token.probe import NextToken, next_token
from probes.next_token.result import NextTokenResult
from probes.next_token.scores import Curve, Held, Site, notes_of
from valens import cli
from valens.corpora import Corpus
from valens.errors import CorpusError, LayerSetError, ProbeError, ResultError, SelectionError, SiteError
from valens.extraction.extract import plan as extraction_plan
from valens.layers.layer_set import LayerSet
from valens.linear_probes.learning import Block, Labels
from valens.linear_probes.recipe import Recipe
from valens.linear_probes.training import train
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import LT, VA, Representation
from valens.representations.prompts import Prompt
from valens.statistics import resample_counts
from valens.store.store import ActivationStore
from valens.testing import check_probe

RECIPE = Recipe(steps=80, batch=64, lr=0.02, checkpoints=5)
SETTINGS = {"n_classes": 30, "prefixes": 12, "recipe": RECIPE, "seeds": 2, "resamples": 200, "repeat": "all"}


def documents(n: int = 40) -> tuple[str, ...]:
    """Texts in which a word is followed by one of two, whatever came before."""
    chance = random.Random(0)
    follow = {word: [chance.randrange(5, 97) for _ in range(2)] for word in range(5, 97)}
    texts = []
    for _ in range(n):
        words = [chance.randrange(5, 97)]
        while len(words) < 30:
            words.append(chance.choice(follow[words[-1]]))
        texts.append(" ".join(f"w{word}" for word in words))
    return tuple(texts)


TEXTS = documents()


def corpus(texts: tuple[str, ...] = TEXTS) -> Corpus:
    return Corpus("small", texts, tuple(f"text {place}" for place in range(len(texts))), "made up")


def examples_of(model: Model, *, prefixes: int = 64) -> Examples:
    return draw(model.tokenizer, TEXTS, max_tokens=128, prefixes=prefixes)


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def found(model: Model, store: Path) -> NextTokenResult:
    return next_token(model, corpus(), store=store, **SETTINGS)


def score(found: NextTokenResult, name: str, metric: str, layers: str | None = None) -> float:
    table = found.table[(found.table.representation == name) & (found.table.metric == metric)]
    rows = table[table.layers.isna()] if layers is None else table[table.layers == layers]
    return float(rows.score.iloc[0])


class TestExamples:
    def drawn(self, texts: tuple[str, ...] = TEXTS, **settings: int | str):
        return draw(tiny.tokenizer(), texts, **({"max_tokens": 128, "prefixes": 6} | settings))

    def test_the_target_is_the_token_after_the_prefix(self) -> None:
        drawn = self.drawn()
        row = 0
        for text, ends in zip(drawn.tokens, drawn.lengths, strict=True):
            assert text.ids[0] == 2  # what the tokenizer puts first counts
            assert list(ends) == sorted(set(ends))
            assert 8 <= min(ends) <= max(ends) < len(text)
            for end in ends:
                assert (drawn.last[row], drawn.following[row]) == (text.ids[end - 1], text.ids[end])
                row += 1
        assert row == len(drawn.last) == len(drawn.part) == len(drawn.document)

    def test_other_texts_change_neither_the_prefixes_nor_the_order(self) -> None:
        whole, fewer = self.drawn(), self.drawn(TEXTS[:20])
        assert whole.lengths[:20] == fewer.lengths
        assert self.drawn(seed=1).lengths != whole.lengths

    def test_windows_begin_anywhere_in_their_text_whatever_is_beside_it(self) -> None:
        whole = self.drawn().tokens
        windows = self.drawn(start="random", max_tokens=12).tokens
        begins = []
        for text, window in zip(whole, windows, strict=True):
            assert (len(window), window.ids[0], window.truncated) == (12, 2, True)
            places = [n for n in range(1, len(text)) if text.ids[n : n + 11] == window.ids[1:]]
            assert places
            begins.append(places[0])
        assert min(begins) < 5
        assert 15 < max(begins) <= 31 - 11
        assert self.drawn(TEXTS[:15], start="random", max_tokens=12).tokens == windows[:15]
        assert self.drawn(start="random", max_tokens=12, seed=1).tokens != windows
        assert self.drawn(start="random", max_tokens=128).tokens == whole  # texts that fit are read whole

    @pytest.mark.parametrize("start", ["beginning", "random"])
    @pytest.mark.parametrize("pool_over", ["all", "text"])
    def test_prefixes_begin_as_the_policy_has_it(self, start: str, pool_over: str) -> None:
        """And end with a token that is pooled, so that there is something to pool and the last one is the prefix's own."""
        prompts = {bos: Prompt(bos=bos, pool_over=pool_over) for bos in ("auto", "always", "never")}
        drawn = {
            bos: self.drawn(start=start, max_tokens=12, min_prefix=1, prefixes=12, prompt=prompt)
            for bos, prompt in prompts.items()
        }
        assert drawn["always"].tokens == drawn["auto"].tokens
        for text, ends in zip(drawn["auto"].tokens, drawn["auto"].lengths, strict=True):
            assert text.ids[0] == 2
            assert text.pooling_mask == (pool_over == "all", *(True,) * 11)
            assert ends == tuple(range(1 if pool_over == "all" else 2, 12))
        for text in drawn["never"].tokens:
            assert 2 not in text.ids
            assert text.pooling_mask == (True,) * 12

    def test_a_start_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(ProbeError, match="--start is beginning or random; 'middle' was asked for"):
            NextToken(start="middle")

    def test_short_texts_give_all_they_have_or_are_counted(self) -> None:
        texts = (*TEXTS[:12], "w5 w6 w7 w8 w9 w10 w11 w12 w13", "w5 w6 w7 w8 w9 w10 w11")
        drawn = self.drawn(texts)
        assert drawn.short == 1
        assert drawn.lengths[-1] == (8, 9)

    def test_documents_are_split_and_equal_beginnings_stay_together(self) -> None:
        twins = tuple(text.upper().lower().replace(" w", "  w") + " w50" for text in TEXTS)  # equal up to 31 tokens
        drawn = draw(tiny.tokenizer(), TEXTS + twins, max_tokens=31, prefixes=6)
        assert [drawn.documents(part) for part in range(3)] == [28, 4, 8]
        for document in np.unique(drawn.document):
            assert len(set(drawn.part[drawn.document == document])) == 1
            assert (drawn.document == document).sum() == 12
        assert set(drawn.document) == set(range(40))

    def test_too_few_documents_are_named(self) -> None:
        with pytest.raises(CorpusError, match=r"9 documents can be used, 0 texts are too short"):
            self.drawn(TEXTS[:9] + TEXTS[:9])
        with pytest.raises(CorpusError, match=r"0 documents can be used, 40 texts are too short .* lower --min-prefix"):
            self.drawn(min_prefix=90)


class TestClasses:
    def test_the_most_frequent_of_the_training_part_first(self, model: Model) -> None:
        drawn = examples_of(model)
        classes = choose_classes(drawn, 10, tiny.VOCABULARY)
        counts = pd.Series(drawn.following[drawn.part == 0]).value_counts()
        chosen = counts.loc[classes.ids]
        assert chosen.is_monotonic_decreasing
        assert chosen.iloc[-1] >= counts.drop(classes.ids).max()
        kept = classes.of_row >= 0
        np.testing.assert_array_equal(classes.ids[classes.of_row[kept]], drawn.following[kept])
        assert not set(drawn.following[~kept]) & set(classes.ids)
        share = np.isin(drawn.following[drawn.part == 2], classes.ids).mean()
        assert classes.coverage(drawn)["test"] == pytest.approx(share)

    def test_all_is_the_vocabulary(self, model: Model) -> None:
        drawn = examples_of(model)
        classes = choose_classes(drawn, "all", tiny.VOCABULARY)
        np.testing.assert_array_equal(classes.of_row, drawn.following)
        assert classes.coverage(drawn) == dict.fromkeys(PARTS, 1.0)

    def test_by_default_as_many_as_there_are_up_to_a_limit(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = examples_of(model)
        there = len(set(drawn.following[drawn.part == 0]))
        assert len(choose_classes(drawn, None, tiny.VOCABULARY).ids) == there < examples.MOST
        monkeypatch.setattr(examples, "MOST", there - 1)
        assert len(choose_classes(drawn, None, tiny.VOCABULARY).ids) == there - 1

    @pytest.mark.parametrize("n", [1, 96])
    def test_more_than_there_are(self, model: Model, n: int) -> None:
        with pytest.raises(ProbeError, match=rf"different next tokens; --classes {n} was asked for"):
            choose_classes(examples_of(model), n, tiny.VOCABULARY)

    def test_the_control_task_is_a_fixed_map_of_the_last_token(self) -> None:
        chance = np.random.default_rng(0)
        last, classes = chance.integers(0, 50, 4000), chance.choice(3, 4000, p=[0.6, 0.3, 0.1])
        mapped = control_classes(last, classes, np.arange(2000), 50_000, seed=3)
        assert all(len(set(mapped[last == token])) == 1 for token in range(50))
        everything = control_classes(np.arange(50_000), np.resize(classes, 50_000), np.arange(2000), 50_000, seed=3)
        np.testing.assert_allclose(np.bincount(everything) / 50_000, np.bincount(classes[:2000]) / 2000, atol=0.01)


class TestBaselines:
    def test_unigram_by_hand(self) -> None:
        # 4 occurrences of 2 classes: 2 / 6 of the mass goes to all three alike.
        np.testing.assert_allclose(unigram(np.array([0, 0, 0, 2]), 3), [3.667 / 6, 0.667 / 6, 1.667 / 6], atol=1e-3)
        losses, ranks = most_frequent(np.array([0, 0, 0, 2]), np.array([0, 1, 2]), 3)
        assert ranks.tolist() == [1, 3, 2]
        np.testing.assert_allclose(np.exp(-losses).sum(), 1)

    def test_bigram_by_hand(self) -> None:
        last, following = np.array([7, 7, 7, 8]), np.array([1, 1, 0, 2])
        shorter = unigram(following, 3)
        losses, ranks = bigram(last, following, np.array([7, 7, 8, 9]), np.array([1, 2, 2, 0]), 3)
        wanted = [(2 + 2 * shorter[1]) / 5, 2 * shorter[2] / 5, (1 + shorter[2]) / 2, shorter[0]]
        np.testing.assert_allclose(np.exp(-losses), wanted)
        assert ranks.tolist()[:3] == [1, 3, 1]

    @pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt-neox"])
    def test_the_model_s_own_are_those_of_its_logits(self, architecture: str, tmp_path: Path) -> None:
        network = tiny.network(architecture)
        ids = torch.randint(5, 97, (3, 12), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            logits = network(ids).logits[:, -1].double()
        wrapped = loading.wrap(network, tiny.tokenizer(), name="tiny")
        texts = [" ".join(f"w{number}" for number in row.tolist()) for row in ids]
        tokens = np.array([20, 30, 40])
        classes = np.arange(0, 97, 10)
        store = ActivationStore(tmp_path)
        job = extraction_plan(wrapped, texts, [LT.reading], store=store, prompt=Prompt(bos="never"))
        vectors = job.run().vectors(LT.reading, wrapped.n_layers)
        (losses, ranks), (all_losses, all_ranks) = own(wrapped, vectors, tokens, classes)
        for logit, found, rank in ((logits[:, classes], losses, ranks), (logits, all_losses, all_ranks)):
            place = tokens // 10 if len(logit[0]) == 10 else tokens
            true = logit[torch.arange(3), place]
            np.testing.assert_allclose(found, logit.logsumexp(1) - true, atol=1e-4)
            np.testing.assert_array_equal(rank, (logit >= true[:, None]).sum(1))


class TestScores:
    HELD = Held(np.array([4, 4, 4, 9, 9, 2]), 400, 1)

    def test_sums_and_ratios(self) -> None:
        ranks = np.array([[1, 2, 6, 1, 9, 1]])
        sums = self.HELD.sums(np.arange(6.0)[None], ranks)
        assert self.HELD.documents.tolist() == [2, 4, 9]
        np.testing.assert_array_equal(sums[:, 0], [[1, 1, 1], [1, 2, 1], [5, 3, 7]])
        np.testing.assert_allclose(self.HELD.score(sums)[:, 0], [3 / 6, 4 / 6, 15 / 6])

    def test_a_resample_is_the_mean_over_the_prefixes_of_the_documents_drawn(self) -> None:
        values = {2: [1.0], 4: [0.0, 1.0, 1.0], 9: [0.0, 0.0]}
        counts = resample_counts(3, 400, 1)
        drawn = [[value for d, k in zip((2, 4, 9), row, strict=True) for value in values[d] * k] for row in counts]
        wanted = [np.mean(values) for values in drawn]
        np.testing.assert_allclose(self.HELD.replicates(np.array([1.0, 2.0, 0.0])), wanted)

    def test_the_documents_are_drawn_once_for_all_numbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def noted(*given: int) -> np.ndarray:
            asked.append(given)
            return resample_counts(*given)

        monkeypatch.setattr(scores, "resample_counts", noted)
        monkeypatch.setattr(scores, "_HELD_COUNTS", 7)  # two resamples at a time
        held, sums = Held(self.HELD.document, 401, 1), np.random.default_rng(0).normal(size=(2, 4, 3))
        counts = resample_counts(3, 401, 1)
        wanted = sums @ counts.T / (counts @ held.sizes)
        np.testing.assert_allclose(held.replicates(sums), wanted, atol=1e-12)
        low, high = np.percentile(wanted[0, 0], [2.5, 97.5])
        assert held.numbers(sums[0, 0])["low"] == pytest.approx(low)
        assert held.numbers(sums[0, 0])["high"] == pytest.approx(high)
        assert asked == [(3, 401, 1)]

    def test_differences_are_paired(self) -> None:
        base = {"document": [0, 1, 2, 3] * 2, "prefixes": [2, 4, 2, 8] * 2, "layers": "1"}
        table = pd.DataFrame(base | {"representation": list("aaaabbbb"), "accuracy": [0.5, 0.25, 0.5, 0.5] + [0.0] * 4})
        row = compared(table, [(Site("a", "1"), Site("b", "1"))], "accuracy", resamples=500, seed=0).iloc[0]
        assert row.difference == pytest.approx(7 / 16)
        assert 0.25 <= row.low <= row.difference <= row.high <= 0.5
        assert row.p == pytest.approx(2 / 2**4)
        with pytest.raises(ResultError, match="A metric is accuracy"):
            compared(table, [(Site("a", "1"), Site("b", "1"))], "recall", resamples=5, seed=0)


def probe_rows(result: NextTokenResult, name: str, layers: str) -> pd.DataFrame:
    table = result.table
    return table[(table.representation == name) & (table.layers == layers)].reset_index(drop=True)


class TestProbe:
    def test_its_vectors_are_those_of_a_bare_forward_of_each_prefix_alone(
        self, model: Model, found: NextTokenResult
    ) -> None:
        drawn = examples_of(model, prefixes=12)
        classes = choose_classes(drawn, 30, tiny.VOCABULARY)
        network, values, last = tiny.network("llama"), [], []
        network.set_attn_implementation("eager")
        for text, ends in zip(drawn.tokens, drawn.lengths, strict=True):
            for end in ends:
                seen = tiny.token_vectors("llama", network, torch.tensor([text.ids[:end]]))
                values.append(seen["values", 2][0].mean(dim=0))
                last.append(seen["hidden", 3][0, -1])
        kept = classes.of_row >= 0
        parts = [torch.from_numpy(np.flatnonzero((drawn.part == part) & kept)) for part in range(3)]
        labels = Labels(torch.from_numpy(classes.of_row), 30, *parts)
        for name, layers, features in (("VA", "2", values), ("LT", "3", last)):
            runs = [train([Block((name,), torch.stack(features)[None])], labels, RECIPE, seed=k)[0] for k in (0, 1)]
            losses = [run.losses[run.best_checkpoint].mean() for run in runs]
            hits = [(run.ranks[run.best_checkpoint] == 1).mean() for run in runs]
            assert score(found, name, "cross-entropy", layers) == pytest.approx(np.mean(losses), abs=1e-3)
            assert score(found, name, "accuracy", layers) == pytest.approx(np.mean(hits), abs=0.02)

    def test_what_is_in_the_table(self, found: NextTokenResult) -> None:
        table = found.table
        single = table[table.layer.notna()]
        assert {name: sorted(set(part.layer)) for name, part in single.groupby("representation")} == {
            "VA": [1, 2, 3],
            "HS": [0, 1, 2, 3],
            "LT": [0, 1, 2, 3],
        }
        assert list(found.representations) == ["VA", "HS", "LT"]
        assert set(table.representation[table.layers.isna()]) == {
            "most frequent token",
            "bigram",
            "model",
            "model, all tokens",
        }
        scored = table[table.metric != "validation cross-entropy"]
        assert (scored.low <= scored.score).all()
        assert (scored.score <= scored.high).all()
        differences = single.pivot_table(index=["representation", "layer"], columns="metric", values="score")
        # The control task is trained with the first seed alone; with both seeds the difference is near.
        np.testing.assert_allclose(
            differences.selectivity, differences.accuracy - differences["control accuracy"], atol=1e-12
        )
        assert (differences["top-5 accuracy"] >= differences.accuracy).all()

    def test_where_the_best_alone_are_repeated_they_are_as_where_all_are(self, store, model, found) -> None:
        best = next_token(model, corpus(), store=store, **(SETTINGS | {"repeat": "best"}))
        once = next_token(model, corpus(), store=store, **(SETTINGS | {"seeds": 1, "control": False}))
        for name in best.representations:
            chosen = best.best(name)
            assert chosen == found.best(name)
            pd.testing.assert_frame_equal(probe_rows(best, name, chosen), probe_rows(found, name, chosen))
            for other in set(best.table.layers[best.table.representation == name]) - {chosen}:
                pd.testing.assert_frame_equal(probe_rows(best, name, other), probe_rows(once, name, other))
        measured = best.table[best.table.metric == "selectivity"]
        assert dict(zip(measured.representation, measured.layers, strict=True)) == {
            name: best.best(name) for name in best.representations
        }

    def test_where_the_last_token_says_all_the_last_token_s_vector_knows_most(self, found: NextTokenResult) -> None:
        assert score(found, "LT", "accuracy", "0") > score(found, "HS", "accuracy", "0") + 0.1
        assert score(found, "LT", "control accuracy", "0") > 0.9  # a map of the last token, which is all that it reads
        at = found.compare("LT", "HS", metric="accuracy").set_index("first_layers").loc["0"]
        wanted = score(found, "LT", "accuracy", "0") - score(found, "HS", "accuracy", "0")
        assert at.difference == pytest.approx(wanted)
        assert at.low > 0
        assert at.p_holm < 0.05

    def test_the_last_point_of_a_curve_is_the_score(self, model: Model, store: Path) -> None:
        recipe = replace(RECIPE, checkpoints=1)
        found = next_token(model, corpus(), [VA], store=store, **(SETTINGS | {"recipe": recipe, "control": False}))
        for row in found.curves.itertuples():
            assert row.score == pytest.approx(score(found, "VA", row.metric, row.layers))
            assert row.lowest <= row.score <= row.highest
        assert "selectivity" not in set(found.table.metric)

    def test_the_best_layers_are_those_of_the_validation_part(self, found: NextTokenResult) -> None:
        losses = found.table[found.table.metric == "validation cross-entropy"]
        for name in found.representations:
            part = losses[losses.representation == name].set_index("layers").score
            assert found.best(name) == part.idxmin()
        row = found.compare_best("VA", "LT", metric="cross-entropy").iloc[0]
        assert (row.first_layers, row.second_layers) == (found.best("VA"), found.best("LT"))
        with pytest.raises(ResultError, match="'WMP' was not probed; there are VA, HS, LT"):
            found.best("WMP")

    def test_again_without_a_forward_pass_and_bit_for_bit(
        self, model: Model, store: Path, found: NextTokenResult
    ) -> None:
        again = next_token(model, corpus(), store=store, **SETTINGS)
        assert again.provenance["forward_passes"] == 0
        pd.testing.assert_frame_equal(again.table, found.table, check_exact=True)
        pd.testing.assert_frame_equal(again.curves, found.curves, check_exact=True)

    def test_training_that_was_cut_short_needs_no_forward_pass(
        self, model: Model, tmp_path: Path, found: NextTokenResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def cut(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(training, "train", cut)
            with pytest.raises(KeyboardInterrupt):
                next_token(model, corpus(), store=tmp_path, **SETTINGS)
        resumed = next_token(model, corpus(), store=tmp_path, **SETTINGS)
        assert resumed.provenance["forward_passes"] == 0
        pd.testing.assert_frame_equal(resumed.table, found.table, check_exact=True)

    def test_groups_change_nothing(
        self, model: Model, store: Path, found: NextTokenResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(training, "_BUDGET_BYTES", 1)
        alone = next_token(model, corpus(), store=store, **SETTINGS)
        np.testing.assert_allclose(alone.table.score, found.table.score, atol=1e-4)
        assert alone.table.layers.equals(found.table.layers)

    def test_a_set_is_one_average(self, model: Model, store: Path, found: NextTokenResult) -> None:
        sets = [LayerSet((2,)), LayerSet((2, 3))]
        averaged = next_token(model, corpus(), [VA, LT], store=store, sets=sets, **SETTINGS)
        probed = averaged.table[averaged.table.metric == "accuracy"].dropna(subset="layers")
        assert list(zip(probed.representation, probed.layers, strict=True)) == [
            (name, layers) for name in ("VA", "LT") for layers in ("2", "2,3")
        ]
        assert score(averaged, "VA", "cross-entropy", "2") == pytest.approx(
            score(found, "VA", "cross-entropy", "2"), abs=1e-4
        )
        assert len(averaged.compare("VA", "LT")) == 2

    def test_the_whole_vocabulary(self, model: Model, store: Path) -> None:
        found = next_token(model, corpus(), [LT], store=store, **(SETTINGS | {"n_classes": "all", "seeds": 1}))
        facts = found.provenance
        assert (facts["classes"]["n"], facts["classes"]["kept"]["test"]) == (tiny.VOCABULARY, 1.0)
        assert score(found, "model", "cross-entropy") == pytest.approx(
            score(found, "model, all tokens", "cross-entropy")
        )

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"layers": LayerSet((9,))}, SiteError, "layers 1..3; 9 was asked for"),
            ({"layers": LayerSet((0,))}, SiteError, "VA has none of the layers that were asked for; it has 1..3"),
            ({"seed": 2**64 - 1}, ProbeError, "A seed is a whole number from 0 to"),
            ({"seed": -1}, ProbeError, "-1 was asked for"),
            ({"prefixes": 0}, ProbeError, "--prefixes is 1 or more; 0"),
            ({"seeds": 0}, ProbeError, "--seeds is 1 or more; 0"),
            ({"repeat": "some"}, ProbeError, "--repeat is best or all; 'some' was asked for"),
            ({"n_classes": 500}, ProbeError, "--classes 500 was asked for"),
            ({"n_classes": "many"}, ProbeError, "--classes takes a whole number, or all; got 'many'"),
            ({"sets": ["2-9"]}, LayerSetError, "layers 1..3"),
            ({"sets": [LayerSet((0, 1))]}, SiteError, "VA has layers 1..3; --sets 0,1 has others"),
            ({"recipe": Recipe(lr=50, steps=30)}, ProbeError, r"VA at layer 1 diverged: .* nats at its lowest, and"),
            ({"recipe": Recipe(lr=1e38, steps=30)}, ProbeError, r"VA at layer 1 diverged.*learning rate of 1e\+38"),
            (
                {"representations": [Representation("P", VA.reading, Prompt("Say {text}"))]},
                SelectionError,
                r"P has 'Say \{text\}'",
            ),
            ({"representations": []}, SelectionError, "none was given"),
        ],
    )
    def test_what_cannot_be_probed(
        self, model: Model, store: Path, settings: dict, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            next_token(model, corpus(), store=store, **(SETTINGS | settings))

    def test_a_plan_refuses_what_the_run_would(self, model: Model, store: Path) -> None:
        for settings in ({"layers": LayerSet((0,))}, {"n_classes": 500}, {"seed": -1}):
            with pytest.raises((SiteError, ProbeError)):
                NextToken(**settings).plan(model, corpus(), [VA], store=store)

    def test_what_is_doubtful_is_noted(self, found: NextTokenResult) -> None:
        sums = np.zeros((3, 2, 1, 4))
        good, bad = (
            Curve(Site(name, "1"), (5,), sums, (0, 0), np.array(losses), start=3.0)
            for name, losses in (("LT", [2.0, 2.9]), ("VA", [2.5, 3.2]))
        )
        assert notes_of([good], 30) == []
        few, idle = notes_of([good, bad], 2)
        assert few.startswith("2 prefixes decide when a probe stops")
        assert idle.startswith("1 of 2 probes have learnt less than how frequent the classes are")
        assert "VA at 1 ends at 3.20 nats on the validation documents, and the frequencies alone have 3.00" in idle
        assert all("have learnt less" in note for note in found.provenance["notes"])  # 36 prefixes are enough

    def test_one_pass_a_text(self, model: Model, tmp_path: Path) -> None:
        reading = NextToken().plan(model, corpus(), [VA], store=tmp_path).reading
        assert len(reading.pending()) == len(TEXTS)
        assert {str(one) for one in reading.readings} == {"values/mean", "hidden/last"}

    def test_layers_and_sets_in_their_notation(self, model: Model, store: Path) -> None:
        probed = NextToken(layers="1-2", sets=["2-3"]).plan(model, corpus(), [LT], store=store).probed
        assert [str(one.layers) for one in probed] == ["1", "2", "2,3"]

    def test_it_keeps_what_every_probe_promises(self, model: Model) -> None:
        check_probe(NextToken(layers="1,3", control=False, **SETTINGS), model, corpus(), [VA, LT])

    def test_what_reading_costs(self, model: Model, tmp_path: Path) -> None:
        texts = (*TEXTS, "w5 w6 w7")
        cost = NextToken(prefixes=3).plan(model, corpus(texts), [VA], store=tmp_path).estimate()
        assert (cost.texts, cost.passes) == (len(TEXTS), len(TEXTS))
        assert cost.notes[0] == "left out: 1 too short"
        assert f"{3 * len(TEXTS)} prefixes" in cost.notes[1]
        assert not list(tmp_path.iterdir())


class TestWords:
    def test_each_is_said_once_with_its_numbers(self, found: NextTokenResult) -> None:
        section = found.section()
        said = [*section.about, *section.notes, *section.findings]
        assert len(set(said)) == len(said)
        assert sum("chosen by the loss on the validation documents" in line for line in said) == 1
        for name in found.representations:
            own = [line for line in section.findings if line.startswith(f"{name} is at its best")]
            assert len(own) == 1
            assert (
                f"layer {found.best(name)}: accuracy is {score(found, name, 'accuracy', found.best(name)):.3f}"
                in own[0]
            )
        for other in ("HS", "LT"):
            row = found.compare_best("VA", other).iloc[0]
            (line,) = [line for line in section.findings if line.startswith(f"Each at its best, VA − {other} is ")]
            assert f"{row.difference:+.3f}".replace("-", "−") in line
        assert [table.title for table in section.tables if not table.folded] == ["Best layers, and what needs no probe"]
        names = [row[0].text for row in section.tables[0].rows]
        assert names == ["VA", "HS", "LT", "most frequent", "bigram", "model", "model, all"]
        assert set(found.headlines()) == {f"best {name}" for name in found.representations}

    def test_what_is_equal_is_neither_above_nor_below(self, found: NextTokenResult) -> None:
        def twins(table: pd.DataFrame) -> pd.DataFrame:
            own = table[table.representation == "VA"]
            return pd.concat([own, own.assign(representation="TWIN")], ignore_index=True)

        details = {name: twins(found.detail(name)) for name in ("curves", "documents")}
        result = replace(found, table=twins(found.table), details=details)
        at = found.best("VA")
        said = result.section().findings
        level = "+0.000 [+0.000, +0.000]"
        assert any(f"VA − TWIN is {level} in accuracy, p = 1.00" in line for line in said)
        assert any(line.startswith("accuracy: VA is ahead of TWIN at 0 of 3 layers") for line in said)
        assert result.best("TWIN") == at


class TestFigures:
    def test_from_what_is_stored_alone(self, found: NextTokenResult, tmp_path: Path) -> None:
        found.save(tmp_path / "kept")
        names = [f"figure6{part}.{kind}" for part in ("", "-layers") for kind in ("pdf", "png")]
        assert {*names, "scores.parquet", "curves.parquet", "documents.parquet", "provenance.json"} == {
            path.name for path in (tmp_path / "kept").iterdir()
        }
        again = NextTokenResult.read(tmp_path / "kept")
        assert again.compare("VA", "LT").equals(found.compare("VA", "LT"))

    def test_without_single_layers_there_is_one_figure(self, found: NextTokenResult, tmp_path: Path) -> None:
        """And none is left of a result that had them."""
        (tmp_path / "figure6-layers.png").touch()
        replace(found, table=found.table.assign(layer=pd.NA)).save(tmp_path)
        assert {path.name for path in tmp_path.glob("figure*")} == {"figure6.pdf", "figure6.png"}

    def test_lines_bands_and_references(self, found: NextTokenResult) -> None:
        figure = learning_curves(found.table, found.curves)
        assert [axis.get_ylabel() for axis in figure.axes] == ["accuracy", "cross-entropy (nats)"]
        for axis, metric in zip(figure.axes, ("accuracy", "cross-entropy"), strict=True):
            assert axis.get_xlabel() == "training step"
            assert len(axis.collections) == 3
            assert len(axis.lines) == 3 + 4
            line = found.curves[(found.curves.representation == "HS") & (found.curves.metric == metric)]
            line = line[line.layers == found.best("HS")].sort_values("step")
            assert any(np.array_equal(drawn.get_ydata(), line.score) for drawn in axis.lines)
            labels = {text.get_text() for text in axis.texts}
            assert {f"VA, layer {found.best('VA')}", "bigram", "most frequent", "model"} <= labels

    def test_by_layer(self, found: NextTokenResult) -> None:
        figure = next_token_layers(found.table)
        assert [axis.get_ylabel() for axis in figure.axes] == ["accuracy", "cross-entropy (nats)", "selectivity"]
        without = found.table[~found.table.metric.isin(["selectivity", "control accuracy"])]
        assert len(next_token_layers(without).axes) == 2
        with pytest.raises(ResultError, match="no single layers to draw"):
            next_token_layers(found.table.assign(layer=pd.NA))

    def test_another_table_is_named(self) -> None:
        with pytest.raises(ResultError, match="no validation cross-entropy"):
            learning_curves(pd.DataFrame({"metric": ["x"]}), pd.DataFrame())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny-llama")
    tiny.network("llama").save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    (path / "texts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    return path


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def called(words: str) -> tuple[int, str, str]:
        own = f"next-token --model {folder} --corpus {folder / 'texts.jsonl'} --classes 30 --prefixes 8 --steps 20 "
        monkeypatch.setattr(sys, "argv", ["valens", *own.split(), *words.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return called


class TestCommand:
    def test_in_words(self, run: Callable[..., tuple[int, str, str]]) -> None:
        code, out, _ = run("--seeds 1 --resamples 100 --out kept")
        assert code == 0
        said = " ".join(out.split())
        assert "30 classes, the most frequent next tokens" in said
        assert "VA is at its best at layer" in said
        assert "Each at its best, VA − HS is" in said
        assert "accuracy: VA is ahead of HS at" in said
        assert Path("kept/figure6.png").exists()

    def test_as_json_with_a_set(self, run: Callable[..., tuple[int, str, str]]) -> None:
        code, out, _ = run("--seeds 1 --resamples 50 --sets 2-3 --layers 1 --no-control --json --representations VA,HS")
        found = json.loads(out)
        assert code == 0
        assert {row["layers"] for row in found["scores"]} == {"1", "2,3", None}
        assert {row["at"] for row in found["compared"]} == {"best layers", "same layers"}
        assert found["provenance"]["recipe"]["steps"] == 20

    def test_what_it_would_cost(self, run: Callable[..., tuple[int, str, str]]) -> None:
        code, out, _ = run("--dry-run --json")
        assert (code, json.loads(out)["passes"]) == (0, len(TEXTS))
        assert not Path("results").exists()

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("--classes many", "--classes takes a whole number, or all"),
            ("--classes 2000 --dry-run", "--classes 2,000 was asked for"),
            ("--layers 0 --dry-run", "VA has none of the layers"),
            ("--seeds 0 --dry-run", "--seeds cannot be '0': it should be greater than or equal to 1"),
            ("--steps 0", "--steps is 1 or more"),
            ("--lr 0", "--lr 0.0 was asked for"),
            ("--limit 5", "5 documents can be used"),
            ("--sets 2-9", "layers 1..3"),
            ("--seed 18446744073709551615", "--seed cannot be"),
        ],
    )
    def test_what_a_user_can_mend_is_one_line(
        self, run: Callable[..., tuple[int, str, str]], words: str, message: str
    ) -> None:
        code, out, err = run(words)
        assert code == 2
        assert "accuracy" not in out
        assert message in err
        assert err.startswith("Error: ")
        assert len(err.splitlines()) == 1
