"""The logit lens: ranks against bare models and scipy, numbers against hand-worked ranks, and runs that are stopped."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import transformers as hf
from readable import assert_readable
from scipy.stats import rankdata
from tiny import one_thread  # noqa: F401

from probes.logit_lens import reading
from probes.logit_lens.figure import LENS_COLOURS
from probes.logit_lens.names import BEST, HELD_OUT, UNIGRAM
from probes.logit_lens.prefixes import Continuations
from probes.logit_lens.probe import LensJob, LogitLens, logit_lens
from probes.logit_lens.ranks import LHS, NAMES, NORMS, VA, VA_SUM, VA_UNIFORM, WHS, WHS_BUT_FIRST, text_ranks
from probes.logit_lens.reading import RankReading
from probes.logit_lens.restricted_pass import pack, read_restricted
from probes.logit_lens.result import LogitLensResult
from probes.logit_lens.tables import LensTables, curves_of, rank_table, unigram_ranks
from valens import cli
from valens.corpora import Corpus
from valens.errors import CaptureError, CorpusError, ModelError, ProbeError, ResultError, StoreError
from valens.extraction.embedding import encode
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import HS
from valens.representations.named import VA as VALUES
from valens.representations.prompts import Tokens
from valens.results.result import Result
from valens.store.partial_results import PartialResults
from valens.store.shards import row_of
from valens.store.store import ActivationStore
from valens.testing import check_probe

ARCHITECTURES = ("llama", "qwen3", "gemma2", "gemma3", "mistral", "gpt2", "gpt-neox", "phi3")
WIDE = {name: {"sliding_window": 64} for name in ("gemma2", "gemma3", "mistral")}

PREFIXES, OFFSETS = (5, 9, 12), (1, 2, 3, 5)
TEXT = Tokens(
    tuple(torch.randint(3, tiny.VOCABULARY, (20,), generator=torch.Generator().manual_seed(2)).tolist()),
    (True,) * 20,
    truncated=True,
)


@functools.cache
def wrapped(architecture: str) -> Model:
    network = tiny.network(architecture, **WIDE.get(architecture, {}))
    return loading.wrap(network, tiny.tokenizer(), name=architecture)


def corpus(n: int = 12) -> Corpus:
    chance = np.random.default_rng(0)
    texts = tuple(" ".join(f"w{word}" for word in chance.integers(4, 97, chance.integers(20, 50))) for _ in range(n))
    return Corpus("random", texts, tuple(f"text {place}" for place in range(n)), "here")


SETTINGS = {"prefix_tokens": (4, 26), "prefixes": 3, "offsets": (1, 2, 4)}


@functools.cache
def found() -> LogitLensResult:
    return logit_lens(wrapped("llama"), corpus(), resamples=200, **SETTINGS)


def lens_kept_in(store: Path) -> LogitLensResult:
    """The same as `found`, with its ranks kept there."""
    return logit_lens(wrapped("llama"), corpus(), store=store, resamples=200, **SETTINGS)


def without_the_control() -> LogitLensResult:
    """What a lens found before it had the control."""

    def left(table: pd.DataFrame) -> pd.DataFrame:
        named = [column for column in ("representation", "first", "second") if column in table]
        return table[(table[named].astype(str) != WHS_BUT_FIRST).all(axis=1)].reset_index(drop=True)

    details = {name: left(table) for name, table in found().details.items()}
    return replace(found(), table=left(found().table), details=details)


def planned(model: Model, texts: Corpus, *, store: Path | None = None, **settings) -> LensJob:
    return LogitLens(**settings).plan(model, texts, store=store)


class TestRanks:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_lhs_has_the_ranks_of_the_models_ordinary_logits(self, architecture):
        """A bare model reads x_1 … x_t; its logits at the last token rank x_{t+1}, and any later token as well."""
        network = tiny.network(architecture, **WIDE.get(architecture, {}))
        ranks = text_ranks(wrapped(architecture), TEXT, PREFIXES, OFFSETS)[NAMES.index(LHS), NORMS.index(True)]
        for row, t in enumerate(PREFIXES):
            with torch.no_grad():
                logits = network(input_ids=torch.tensor([TEXT.ids[:t]])).logits[0, -1].numpy()
            expected = rankdata(-logits, method="min")[[TEXT.ids[t + offset - 1] for offset in OFFSETS]]
            assert ranks[-1, row].tolist() == expected.tolist()
            assert not ranks[:-1].any()

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_packed_ranks_are_those_of_one_pass_each(self, architecture):
        model = wrapped(architecture)
        ranks = text_ranks(model, TEXT, PREFIXES, OFFSETS)
        for row, t in enumerate(PREFIXES):
            for column, offset in enumerate(OFFSETS):
                alone = text_ranks(model, TEXT, (t,), (offset,))
                assert ranks[..., row, column].tolist() == alone[..., 0, 0].tolist()

    @pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt-neox"])
    def test_every_vector_is_ranked_by_the_models_own_norm_and_unembedding(self, architecture):
        model = wrapped(architecture)
        head, packing = model.bridge.original_model.get_output_embeddings(), pack(TEXT.ids, PREFIXES, OFFSETS)
        read = read_restricted(model, packing)
        ranks = text_ranks(model, TEXT, PREFIXES, OFFSETS)
        vectors = {VA: read.attn_out, WHS: read.pooled, WHS_BUT_FIRST: read.pooled_but_first}
        vectors[VA_UNIFORM] = read.uniform[:, :, None].expand_as(read.attn_out)
        vectors[VA_SUM] = torch.stack([read.attn_out[: layer + 1].sum(dim=0) for layer in range(model.n_layers)])
        for name, line in vectors.items():
            for column, norm in enumerate(NORMS):
                with torch.no_grad():
                    logits = head(model.final_norm(line) if norm else line).numpy()
                every = rankdata(-logits, method="min", axis=-1)
                targets = np.broadcast_to(packing.targets[None, ..., None], (*logits.shape[:-1], 1))
                expected = np.take_along_axis(every, targets, axis=-1)[..., 0]
                assert ranks[NAMES.index(name), column].tolist() == expected.tolist()


class TestNumbers:
    def test_hand_worked_ranks(self):
        """Two documents, one prefix, two offsets, two layers: MRR@100 is the mean of 1/rank, 0 beyond 100."""
        ranks = np.zeros((2, len(NAMES), len(NORMS), 2, 1, 2), dtype=np.int32)
        ranks[:, :] = 200
        ranks[:, NAMES.index(LHS), :, 0] = 0
        ranks[:, NAMES.index(VA), 1, :, 0] = [[[1, 101], [4, 100]], [[2, 5], [4, 1]]]
        curves = curves_of(ranks, np.full((2, 1, 2), 10))
        table = LensTables(curves, (1, 3), n_layers=2, resplits=2, resamples=50, seed=0).by_layer()
        scores = table[(table.representation == VA) & table.norm].set_index(["layer", "offset"]).score.to_dict()
        assert scores == pytest.approx({(1, 1): 0.75, (1, 3): 0.1, (2, 1): 0.25, (2, 3): 0.505})
        assert set(table[(table.representation == VA) & ~table.norm].score) == {0.0}
        assert table[table.representation == LHS].layer.tolist() == [2] * 4
        assert table[table.representation == UNIGRAM].score.tolist() == pytest.approx([0.1, 0.1])

    def test_prefixes_are_averaged_before_documents(self):
        """Ranks 1, 1, 2 and 4, 4, 4: document means 5/6 and 1/4; no interval is wider than these two allow."""
        ranks = np.full((2, len(NAMES), len(NORMS), 1, 3, 1), 1000, dtype=np.int32)
        ranks[:, 0, 0, 0, :, 0] = [[1, 1, 2], [4, 4, 4]]
        curves = curves_of(ranks, np.full((2, 3, 1), 1))
        table = LensTables(curves, (1,), n_layers=1, resplits=1, resamples=500, seed=0).by_layer()
        row = table[(table.representation == VA) & ~table.norm].iloc[0]
        assert (row.score, row.low, row.high, row.n) == pytest.approx(((5 / 6 + 1 / 4) / 2, 1 / 4, 5 / 6, 2))

    def test_best_layers(self):
        """The maximum over layers is that of the table by layer, and never below what the other half chooses."""
        lens = found()
        assert set(lens.best().columns) == set(lens.best(BEST).columns)
        merged = lens.best(BEST).merge(lens.best(HELD_OUT), on=["representation", "norm", "offset"])
        assert (merged.score_x >= merged.score_y - 1e-12).all()
        one = merged[merged.representation.isin([LHS, UNIGRAM])]
        assert one[["score_x", "low_x", "high_x"]].to_numpy() == pytest.approx(one[["score_y", "low_y", "high_y"]])
        by_layer = lens.table.groupby(["representation", "norm", "offset"]).score.max()
        best = lens.best(BEST).set_index(["representation", "norm", "offset"]).score
        pd.testing.assert_series_equal(best.sort_index(), by_layer.sort_index())
        with pytest.raises(ResultError, match="not as 'worst'"):
            lens.best("worst")

    def test_differences_are_those_of_the_lines(self):
        best = found().best().set_index(["representation", "norm", "offset"]).score
        for row in found().differences.itertuples():
            second = best[row.second, {LHS: True, UNIGRAM: False}.get(row.second, row.norm), row.offset]
            assert row.difference == pytest.approx(best[row.first, row.norm, row.offset] - second)

    def test_scores_follow_from_the_ranks_that_are_kept(self):
        """From the stored table of ranks alone, by pandas."""
        ranks = found().ranks.assign(score=lambda table: (1 / table["rank"]).where(table["rank"] <= 100, 0.0))
        keys = ["representation", "norm", "layer", "offset"]
        by_document = ranks.groupby([*keys, "document"], observed=True).score.mean()
        expected = by_document.groupby(keys, observed=True).mean()
        table = found().table[found().table.layer.notna()].set_index(keys).score
        assert len(table) == len(expected)
        for key, score in table.items():
            assert score == pytest.approx(expected[key])

    def test_frequencies_are_counted_in_the_other_half(self):
        """Two documents: each token's rank is by the other's counts, and those that never came share the last rank."""
        texts = tuple(Tokens(ids, (True,) * 4, truncated=False) for ids in ((7, 7, 7, 3), (3, 3, 7, 5)))
        given = Continuations((0, 1), texts, ((2,), (2,)), short=0, repeated=0)
        ranks = unigram_ranks(given, (1, 2), vocabulary=10, seed=0)
        # By (3, 3, 7, 5): 3 is first, 7 and 5 share rank 3. By (7, 7, 7, 3): 7 first, 3 second, all others rank 10.
        assert ranks.tolist() == [[[3, 1]], [[1, 10]]]

    def test_ids_that_come_twice_stay_apart(self):
        given = Continuations((0, 2), (TEXT, TEXT), ((3,), (4,)), short=0, repeated=0)
        ranks = np.ones((2, len(NAMES), len(NORMS), 1, 1, 1), dtype=np.int32)
        table = rank_table(ranks, given, (1,), ["same", "x", "same"], n_layers=1)
        assert table.groupby("id", observed=True).prefix_tokens.first().to_dict() == {"same": 3, "same (2)": 4}
        assert set(table.document) == {0, 2}

    def test_an_id_that_looks_like_a_repeated_one_stays_apart_too(self):
        given = Continuations((0, 1, 2), (TEXT,) * 3, ((3,), (4,), (5,)), short=0, repeated=0)
        ranks = np.ones((3, len(NAMES), len(NORMS), 1, 1, 1), dtype=np.int32)
        table = rank_table(ranks, given, (40_000,), ["a", "a (2)", "a"], n_layers=1)
        assert table.groupby("id", observed=True).prefix_tokens.first().to_dict() == {"a": 3, "a (2)": 4, "a (3)": 5}
        assert set(table.offset) == {40_000}


class TestRuns:
    def test_a_run_that_was_stopped_goes_on(self, tmp_path, monkeypatch):
        whole, ranks_of, done = found(), RankReading.ranks_of, []

        def until_killed(self, place):
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(place)
            return ranks_of(self, place)

        with monkeypatch.context() as patch:
            patch.setattr(RankReading, "ranks_of", until_killed)
            with pytest.raises(KeyboardInterrupt):
                lens_kept_in(tmp_path)
        assert len(list(tmp_path.glob("ranks/*/*.npy"))) == 3
        n_texts = whole.provenance["documents"]["used"]
        again = lens_kept_in(tmp_path)
        assert again.provenance["forward_passes"] == n_texts - 3
        pd.testing.assert_frame_equal(again.table, whole.table)
        pd.testing.assert_frame_equal(again.ranks, whole.ranks)
        broken, odd, *_ = sorted(tmp_path.glob("ranks/*/*.npy"))
        broken.write_bytes(b"PK")
        np.save(odd, np.zeros((2, 2), dtype=np.int32))
        mended = lens_kept_in(tmp_path)
        assert mended.provenance["forward_passes"] == 2
        pd.testing.assert_frame_equal(mended.ranks, whole.ranks)
        other = planned(wrapped("llama"), corpus(), store=tmp_path, seed=1, **SETTINGS)
        assert len(other.reading.pending()) == n_texts
        assert planned(wrapped("llama"), corpus(), store=tmp_path, **SETTINGS).estimate().passes == 0

    def test_what_was_kept_without_the_control_is_read_again(self, tmp_path):
        """Ranks of five lines, where a run before kept them: they are neither used nor taken for those of six."""
        job = planned(wrapped("llama"), corpus(), store=tmp_path, **SETTINGS).reading
        names = [name for name in NAMES if name != WHS_BUT_FIRST]
        older = PartialResults.of(tmp_path / "ranks", job.identity | {"format": 1, "representations": names})
        older.begin()
        texts = job.continuations.texts
        for text in texts:
            older.write(row_of(text), np.ones((len(names), len(NORMS), 3, 3, 3), dtype=np.int32))
        assert older.folder != job.partial_results.folder
        assert job.pending() == list(range(len(texts)))
        pd.testing.assert_frame_equal(lens_kept_in(tmp_path).ranks, found().ranks)
        assert len(list(older.folder.glob("*.npy"))) == len(texts)

    def test_it_keeps_what_every_probe_promises(self):
        check_probe(LogitLens(resamples=50, **SETTINGS), wrapped("llama"), corpus(), [])

    def test_what_it_would_cost(self, tmp_path):
        job, used = (
            planned(wrapped("llama"), corpus(), store=tmp_path / "kept", **SETTINGS),
            found().provenance["documents"],
        )
        cost = job.estimate()
        assert cost.texts == cost.different_texts == cost.passes == used["used"]
        assert cost.pass_tokens == cost.tokens == 30 * used["used"]
        assert cost.notes == (f"left out: {used['too_short']} too short, 0 repeated", f"{3 * used['used']} prefixes")
        assert not (tmp_path / "kept").exists()
        job.run()
        files = list((tmp_path / "kept").glob("ranks/*/*.npy"))
        assert cost.stored_bytes == sum(np.load(path).nbytes for path in files)
        assert planned(wrapped("llama"), corpus(), **SETTINGS).estimate().stored_bytes == 0

    def test_it_has_lines_of_its_own_and_keeps_ranks_in_a_store_alone(self, tmp_path):
        with pytest.raises(
            ProbeError,
            match="has lines of its own, VA, VA-uniform, WHS, WHS-but-first, LHS, VA-sum; VA, HS was asked for",
        ):
            LogitLens(**SETTINGS).plan(wrapped("llama"), corpus(), [VALUES, HS])
        (tmp_path / "note.txt").touch()
        with pytest.raises(StoreError, match="has files in it, and none of them is an activation store's"):
            LogitLens(**SETTINGS).plan(wrapped("llama"), corpus(), store=tmp_path)

    def test_ranks_and_vectors_share_a_store(self, tmp_path):
        model = wrapped("llama")
        lens_kept_in(tmp_path)
        encode(model, corpus(), layers="1", store=tmp_path)
        again = logit_lens(model, corpus(), store=ActivationStore(tmp_path), **SETTINGS)
        assert again.provenance["forward_passes"] == 0
        assert len(ActivationStore(tmp_path).collections()) == 1

    def test_short_texts_are_counted_and_left_out(self):
        used = found().provenance["documents"]
        lengths = [len(text.split()) + 1 for text in corpus().texts]
        assert used == {"used": sum(n >= 30 for n in lengths), "too_short": sum(n < 30 for n in lengths), "repeated": 0}
        assert used["too_short"] > 0
        assert found().ranks.prefix_tokens.between(4, 26).all()
        assert found().provenance["instances"] == 3 * used["used"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"offsets": (0, 1)}, "Offsets count from 1"),
            ({"offsets": ()}, "Offsets count from 1"),
            (
                {"prefix_tokens": (4, 125)},
                "llama reads 128 tokens; the longest prefix and its farthest offset need 129",
            ),
            ({"prefix_tokens": (4, 90)}, "None of the 12 texts of random has 94 tokens"),
            ({"prefix_tokens": (4, 44)}, "One text of random can be used"),
        ],
    )
    def test_settings_that_are_refused(self, changes, message):
        with pytest.raises(CorpusError, match=message):
            planned(wrapped("llama"), corpus(), **(SETTINGS | changes))

    def test_a_model_whose_attention_cannot_be_restricted_is_refused_before_anything_is_kept(self, tmp_path):
        network = tiny.network("mistral", sliding_window=8)
        model = loading.wrap(network, tiny.tokenizer(), name="mistral")
        with pytest.raises(CaptureError, match="looks back over 8 tokens"):
            logit_lens(model, corpus(), store=tmp_path, **SETTINGS)
        assert not list(tmp_path.glob("ranks/*/*.npy"))

    def test_a_window_that_counts_places_in_the_packed_row_is_refused(self):
        """Wider than every text that is read, and narrower than its packed row."""
        settings = {"num_layers": 2, "num_heads": 4, "intermediate_size": 64, "max_position_embeddings": 128}
        kinds = {"attention_types": [[["global", "local"], 1]], "window_size": 30}
        config = hf.GPTNeoConfig(vocab_size=tiny.VOCABULARY, hidden_size=32, **settings, **kinds)
        model = loading.wrap(tiny.random_network(config), tiny.tokenizer(), name="gpt-neo")
        with pytest.raises(CaptureError, match="comes out otherwise when it is packed"):
            logit_lens(model, corpus(), **SETTINGS)

    def test_a_model_without_an_unembedding_and_a_token_without_an_embedding_are_refused(self, tmp_path):
        tiny.network("llama").model.save_pretrained(tmp_path)
        tiny.tokenizer().save_pretrained(tmp_path)
        with pytest.raises(ModelError, match="has no unembedding"):
            planned(loading.load(str(tmp_path), device="cpu"), corpus(), **SETTINGS)
        tokenizer = tiny.tokenizer()
        tokenizer.add_tokens(["beyond"])
        model = loading.wrap(tiny.network("llama"), tokenizer, name="small")
        texts = tuple(text.replace("w10 ", "beyond ") for text in corpus().texts)
        with pytest.raises(ModelError, match="makes the token 'beyond', number 97"):
            planned(model, replace(corpus(), texts=texts), **SETTINGS)

    def test_a_text_that_cannot_be_read_is_named(self, monkeypatch):
        def broken(*_):
            raise CaptureError("A vector has NaN.")

        monkeypatch.setattr(reading, "text_ranks", broken)
        job = planned(wrapped("llama"), corpus(), **SETTINGS).reading
        with pytest.raises(CaptureError, match=rf"Text {job.continuations.documents[1]} \(from 0\): A vector has NaN"):
            job.ranks_of(1)

    @pytest.mark.parametrize("none", [{"resplits": 0}, {"resamples": 0}], ids=str)
    def test_no_split_and_no_resample_are_refused_before_anything_is_read(self, tmp_path, none):
        with pytest.raises(ProbeError, match=r"--[a-z]+ is 1 or more; "):
            logit_lens(wrapped("llama"), corpus(), store=tmp_path, **none, **SETTINGS)
        assert not list(tmp_path.iterdir())


class TestFiles:
    def test_what_is_saved_is_read_and_drawn_again_without_a_model(self, tmp_path):
        out = found().save(tmp_path / "out")
        names = ("figure8", "figure8-layers", "figure8-map")
        assert all((out / f"{name}.{suffix}").stat().st_size > 5000 for name in names for suffix in ("pdf", "png"))
        again = LogitLensResult.read(out)
        for name, table in found().details.items():
            pd.testing.assert_frame_equal(again.details[name], table, check_categorical=False)
        script = Path(__file__).resolve().parents[1] / "figures" / "figure8.py"
        program = (
            f"import runpy, sys; sys.path.insert(0, {str(script.parent)!r})\n"
            f"sys.argv = ['figure8.py', {str(out)!r}, '--out', {str(tmp_path / 'new')!r}]\n"
            f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
            "assert not {'torch', 'transformers', 'transformer_lens'} & set(sys.modules)"
        )
        drawn = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        assert [Path(line).name for line in drawn.splitlines()] == [f"{n}.{s}" for n in names for s in ("pdf", "png")]
        for name in names:
            assert (tmp_path / "new" / f"{name}.png").read_bytes() == (out / f"{name}.png").read_bytes()

    def test_what_has_one_layer_has_no_maximum_over_layers(self):
        """A circle for each line of several layers; LHS and the frequencies, which are equal but for rounding, have none."""
        left, right, *_ = found().plot().axes
        colours = [[line.get_color() for line in axis.lines if line.get_marker() == "o"] for axis in (left, right)]
        several = VA, VA_UNIFORM, VA_SUM, WHS, WHS_BUT_FIRST
        assert set(colours[0]) | set(colours[1]) == {LENS_COLOURS[name] for name in several}

    @pytest.mark.parametrize("width", ["one", "two"])
    def test_the_control_has_a_line_and_a_label_of_its_own(self, width):
        for figure in (found().figures()[name](width=width) for name in ("figure8", "figure8-layers", "figure8-map")):
            assert_readable(figure)
        for axis in found().figures()["figure8"](width=width).axes:
            (label,) = [text for text in axis.texts if "".join(text.get_text().split()) == WHS_BUT_FIRST]
            assert label.get_color() == LENS_COLOURS[WHS_BUT_FIRST]
            assert LENS_COLOURS[WHS_BUT_FIRST] in {line.get_color() for line in axis.lines}
        assert len(set(LENS_COLOURS.values())) == len(LENS_COLOURS)

    def test_the_control_is_compared_and_put_into_words(self):
        pairs = set(found().differences[["first", "second"]].itertuples(index=False, name=None))
        assert {(VA, WHS_BUT_FIRST), (WHS_BUT_FIRST, LHS), (WHS_BUT_FIRST, WHS)} <= pairs
        said = " ".join(found().section().findings)
        assert f"{VA} against {WHS_BUT_FIRST}: " in said
        assert f"{WHS_BUT_FIRST} against {WHS}: " in said

    def test_a_result_without_the_control_is_read_drawn_and_told_as_it_was(self, tmp_path):
        older = LogitLensResult.read(without_the_control().save(tmp_path))
        for draw in older.figures().values():
            assert not any(WHS_BUT_FIRST in text.get_text() for axis in draw().axes for text in axis.texts)
        assert not any(WHS_BUT_FIRST in line for line in older.section().findings)
        assert set(older.headlines()) == set(found().headlines()) - {WHS_BUT_FIRST}
        pd.testing.assert_frame_equal(older.compare(VA, WHS), found().compare(VA, WHS))
        with pytest.raises(
            ResultError, match=r"no ranks of 'WHS-but-first'; there are VA, VA-uniform, WHS, LHS, VA-sum\."
        ):
            older.compare(VA, WHS_BUT_FIRST)

    def test_any_two_are_compared_as_the_stored_pairs_are(self):
        result = found()
        for (first, second, norm), rows in result.differences.groupby(["first", "second", "norm"]):
            if UNIGRAM not in {first, second}:
                again = result.compare(first, second, norm=norm)
                columns = ["offset", "difference", "low", "high", "p", "p_holm"]
                expected = rows[columns].reset_index(drop=True)
                pd.testing.assert_frame_equal(again, expected, check_dtype=False, rtol=1e-9)
        other = result.compare("VA", LHS, resplits=1)
        assert (other.difference != result.compare("VA", LHS).difference).any()
        with pytest.raises(
            ResultError, match=r"no ranks of 'unigram'; there are VA, .* `.differences` has other lines"
        ):
            result.compare("VA", UNIGRAM)

    def test_another_result_is_refused(self, tmp_path):
        Result("layer-sweep", found().table, {}).save(tmp_path)
        with pytest.raises(ResultError, match="holds a result of layer-sweep"):
            LogitLensResult.read(tmp_path)


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch, capsys):
        tiny.network("llama").save_pretrained(tmp_path / "tiny-llama")
        tiny.tokenizer().save_pretrained(tmp_path / "tiny-llama")
        (tmp_path / "texts").mkdir()
        for place, text in enumerate(corpus().texts):
            (tmp_path / "texts" / f"{place:02}.txt").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)

        def called(*words):
            settings = ["--model", "tiny-llama", "--corpus", "texts", "--prefixes", "3", "--resamples", "200"]
            monkeypatch.setattr(sys, "argv", ["valens", "logit-lens", *settings, *words])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            captured = capsys.readouterr()
            return int(ended.value.code or 0), captured.out, captured.err

        return called

    def test_from_texts_to_words(self, run, monkeypatch):
        monkeypatch.setattr("valens.plotting.style.save_figure", lambda *_: [])  # drawn above, and slow
        small = ("--prefix-tokens", "4-26", "--offsets", "1,2,4", "--out", "out")
        code, out, _ = run(*small, "--dry-run", "--json")
        cost, used = json.loads(out), found().provenance["documents"]
        assert (code, cost["passes"]) == (0, used["used"])
        assert cost["notes"][0] == f"left out: {used['too_short']} too short, 0 repeated"
        assert not Path("out").exists()
        code, out, _ = run(*small, "--json")
        first = json.loads(out)
        assert first["provenance"]["forward_passes"] == used["used"]
        expected = found().table.score.tolist()
        assert [row["score"] for row in first["scores"]] == pytest.approx(expected)
        code, out, _ = run(*small)
        assert code == 0
        assert "No forward pass: all of it had been read before." in out
        said = " ".join(out.split())
        best = found().best()
        for offset in (1, 2, 4):
            lines = best[(best.offset == offset) & (best.representation != UNIGRAM)]
            top = lines.loc[lines.score.idxmax()]
            assert said.count(f"Offset {offset}: of all vectors {top.representation} is highest, {top.score:.3f}") == 1

    @pytest.mark.parametrize(
        ("high", "p_holm", "verdict"),
        [
            (-0.001, 0.049, "behind at offsets {gaps}"),
            (0.001, 0.051, "not told apart at offsets {gaps}"),
            (0.001, 0.049, "the test rejects, and the interval holds 0, at offsets {gaps}"),
            (
                -0.001,
                0.051,
                "the interval alone excludes 0, which after Holm’s correction over 3 comparisons does not hold, at "
                "offsets {gaps}",
            ),
        ],
    )
    def test_who_is_ahead_is_said_after_the_correction(self, high, p_holm, verdict):
        """And where the interval, which is not corrected, excludes 0 and the test does not call it, that is said."""
        numbers = {"difference": -0.02, "low": -0.04, "high": high, "p_holm": p_holm}
        result = replace(found(), details=found().details | {"differences": found().differences.assign(**numbers)})
        said = [line for line in result.section().findings if line.startswith("VA against LHS: ")]
        tested = f", p = {p_holm}" if "interval" in verdict else ""
        gap = f"−0.020 [−0.040, {'−' if high < 0 else '+'}0.001]{tested}"
        gaps = ", ".join(f"{offset} ({gap})" for offset in (1, 2, 4))
        assert said == [f"VA against LHS: {verdict.format(gaps=gaps)}."]

    def test_the_best_of_each_offset_is_marked(self):
        table, *_ = found().section().tables
        best = found().best()
        for index, offset in enumerate((1, 2, 4), start=2):
            marked = [row[index].key for row in table.rows if row[index].best]
            assert set(marked) == {best[best.offset == offset].score.max()}

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--offsets", "five"), "--offsets takes whole numbers, as 1-5 or 1,2,8; got 'five'"),
            (("--prefix-tokens", "20-4"), "--prefix-tokens takes a range of whole numbers, as 50-150"),
            (("--prefix-tokens", "5,8,12"), "or one number; got '5,8,12'"),
            (("--prefix-tokens", "150-200"), "the longest prefix and its farthest offset need 205"),
            ((), "the longest prefix and its farthest offset need 155"),
        ],
    )
    def test_what_is_refused(self, run, words, message):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert message in " ".join(err.split())
