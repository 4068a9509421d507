"""Extraction: every text once, nothing lost when killed, the same numbers whatever the batch, and no stale key."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import one_thread  # noqa: F401  a forked child can use one thread of the many that its parent had

from valens.corpora import Corpus
from valens.errors import CaptureError, PromptError, StoreError
from valens.extraction import manifest
from valens.extraction.batching import Passage, fill_batches
from valens.extraction.capture import Batch, capturing
from valens.extraction.extract import Extraction, Job, plan
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import HS, LT, VA, WMP
from valens.representations.prompts import Prompt, Tokens, tokenize
from valens.representations.readings import Reading
from valens.store.shards import intact
from valens.store.store import ActivationStore

READINGS = [VA.reading, HS.reading, LT.reading]

# Alone and in any batch a vector is the same up to the order in which float32 sums are taken.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    return ActivationStore(tmp_path / "store")


def texts(n: int, *, seed: int = 0, longest: int = 40) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(f"w{chance.randrange(5, 97)}" for _ in range(chance.randint(1, longest))) for _ in range(n)]


def alone(model: Model, text: str, reading: Reading) -> torch.Tensor:
    """[layer, d] of a text read by itself."""
    with capturing(model, [reading]) as read:
        return read(Batch.of(tokenize(model.tokenizer, [text], max_tokens=128)))[reading][:, 0]


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    gap = np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert gap.max() < TOLERANCE


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each forward pass reads, from now on."""
    seen: list[int] = []
    real = Model.run_body

    def counted(self: Model, ids: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        seen.append(len(ids))
        real(self, ids, mask)

    monkeypatch.setattr(Model, "run_body", counted)
    return seen


def test_stored_vectors_are_those_of_each_text_alone(model: Model, store: ActivationStore) -> None:
    given_texts = texts(30)
    found = plan(model, given_texts, READINGS, store=store, batch_tokens=100).run()
    for reading in READINGS:
        expected = torch.stack([alone(model, text, reading) for text in given_texts], dim=1).numpy()
        for place, layer in enumerate(reading.layers(model.n_layers)):
            assert_near(found.vectors(reading, layer), expected[place])


def test_every_different_text_is_read_once(
    model: Model, store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_texts = texts(12)
    passes = count_passes(monkeypatch)
    found = plan(
        model, given_texts + given_texts[:5] + ["  ".join(given_texts[0].split())], READINGS, store=store
    ).run()
    assert sum(passes) == found.passes == 12
    again = plan(model, given_texts[::-1], READINGS, store=store).run()
    assert (again.passes, again.tokens, sum(passes)) == (0, 0, 12)
    np.testing.assert_array_equal(again.vectors(VA.reading, 2), found.vectors(VA.reading, 2)[11::-1])


def test_a_text_that_comes_as_tokens_is_read_as_it_is(model: Model, store: ActivationStore) -> None:
    (whole,) = texts(1, seed=3)
    text = tokenize(model.tokenizer, [whole], max_tokens=64)[0]
    half = Tokens(text.ids[: len(text) // 2], text.pooling_mask[: len(text) // 2], truncated=False)
    plan(model, [whole, half, text], [VA.reading], store=store).run()
    again = plan(model, [half, whole], [VA.reading], store=store).run()
    assert again.passes == 0
    part = plan(model, [whole], [VA.reading], store=store, prefixes=[[len(half)]]).run()
    assert np.array_equal(part.vectors(VA.reading, 2), again.vectors(VA.reading, 2, [0]))
    with pytest.raises(PromptError, match=rf"Text 1 \(from 0\) was given as {len(text)} tokens"):
        plan(model, ["a b", text], [VA.reading], store=store, max_tokens=len(text) - 1)


def test_a_corpus_and_the_path_of_a_store_are_taken_as_they_are(model: Model, tmp_path: Path) -> None:
    corpus = Corpus("three", tuple(texts(3)), ("a", "b", "c"), source="here")
    found = plan(model, corpus, [VA.reading], store=str(tmp_path / "store")).run()
    again = plan(model, corpus.texts, [VA.reading], store=ActivationStore(tmp_path / "store")).run()
    assert (found.passes, again.passes) == (3, 0)
    assert np.array_equal(found.vectors(VA.reading, 2), again.vectors(VA.reading, 2))


def test_one_bare_text_is_not_read_letter_by_letter(model: Model, store: ActivationStore) -> None:
    with pytest.raises(
        PromptError, match=r"The texts are a list of texts, as \[\"one text\"\], or a vl.Corpus; got 'w5 w6'"
    ):
        plan(model, "w5 w6", [VA.reading], store=store)


def test_a_new_reading_reads_again_and_keeps_only_what_was_lacking(model: Model, store: ActivationStore) -> None:
    given_texts = texts(6)
    plan(model, given_texts, [VA.reading], store=store).run()
    found = plan(model, given_texts, [VA.reading, WMP.reading], store=store).run()
    assert found.passes == 6
    (collection,) = store.collections()
    assert collection.readings() == {"hidden/weighted": 6, "values/mean": 6}
    assert sorted(path.stat().st_size for path in collection.paths) == sorted(
        {path.stat().st_size for path in collection.paths}
    )


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 300))
def test_batches_keep_to_the_budget_and_hold_every_passage_once(lengths: list[int], budget: int) -> None:
    passages = [
        Passage(Tokens((number, *range(length - 1)), (True,) * length, truncated=False), (length,))
        for number, length in enumerate(lengths)
    ]
    batches = fill_batches(passages, budget, max_rows=7)
    assert sorted(passage.tokens.ids for batch in batches for passage in batch) == sorted(
        p.tokens.ids for p in passages
    )
    for batch in batches:
        assert len(batch) == 1 or (len(batch) * max(map(len, batch)) <= budget and len(batch) <= 7)
    assert fill_batches(passages[::-1], budget, max_rows=7) == batches


def test_real_lengths_make_little_padding(model: Model, store: ActivationStore) -> None:
    """Word counts of the sample's paragraphs and articles stand for token counts."""
    from valens.corpora import wikipedia

    paragraphs = [
        paragraph for article in wikipedia() for section in article.sections for paragraph in section.paragraphs
    ]
    lengths = [min(len(text.split()), 126) for text in paragraphs[:3000]]
    given_texts = [f"w{5 + number % 90} w{5 + number // 90} " + "w9 " * length for number, length in enumerate(lengths)]
    estimate = dataclasses.replace(plan(model, given_texts, [VA.reading], store=store)).estimate()
    assert estimate.padding < 0.05
    assert estimate.padding == pytest.approx(1 - estimate.pass_tokens / _computed(model, given_texts, store), abs=1e-9)


def _computed(model: Model, given_texts: list[str], store: ActivationStore) -> int:
    return sum(
        len(batch) * max(map(len, batch)) for batch in plan(model, given_texts, [VA.reading], store=store).batches
    )


class TestPrefixes:
    def test_one_pass_gives_every_prefix_as_if_read_alone(
        self, model: Model, store: ActivationStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given_texts = texts(5, longest=30)
        tokens = tokenize(model.tokenizer, given_texts, max_tokens=128)
        prefixes = [[1, max(1, len(text) // 2), len(text)][: 1 + place % 3] for place, text in enumerate(tokens)]
        passes = count_passes(monkeypatch)
        found = plan(model, given_texts, READINGS, store=store, prefixes=prefixes).run()
        assert sum(passes) == 5
        assert len(found.rows) == sum(map(len, prefixes))
        cut = [
            Tokens(text.ids[:end], text.pooling_mask[:end], truncated=False)
            for text, ends in zip(tokens, prefixes, strict=True)
            for end in ends
        ]
        for reading in READINGS:
            with capturing(model, [reading]) as read:
                expected = np.stack([read(Batch.of([prefix]))[reading][:, 0].numpy() for prefix in cut], axis=1)
            for place, layer in enumerate(reading.layers(model.n_layers)):
                assert_near(found.vectors(reading, layer), expected[place])

    def test_a_prefix_and_the_same_text_are_one_row(self, model: Model, store: ActivationStore) -> None:
        plan(model, ["w5 w6 w7 w8"], [VA.reading], store=store, prefixes=[[4, 5]]).run()
        assert plan(model, ["w5 w6 w7", "w5 w6 w7 w8"], [VA.reading], store=store).run().passes == 0

    @pytest.mark.parametrize("prefixes", [[[0]], [[9]], [[]]])
    def test_a_prefix_that_is_not_there(self, model: Model, store: ActivationStore, prefixes: list[list[int]]) -> None:
        with pytest.raises(PromptError, match=r"Text 0 \(from 0\) has 3 tokens; .* was asked for"):
            plan(model, ["w5 w6"], [VA.reading], store=store, prefixes=prefixes)


class TestRefusals:
    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_a_number_that_is_none_names_text_and_layer(self, store: ActivationStore, bad: float) -> None:
        model = loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")
        block = model.bridge.original_model.base_model.layers[1]
        # What this hook changes is read where it enters the next block, at layer 3.
        block.register_forward_hook(lambda module, args, output: _spoilt(output, bad))
        with pytest.raises(CaptureError, match=r"NaN or infinity for hidden/mean at layer 3 of text 1 \(from 0\)"):
            plan(model, ["w5", "w5 w6 w7"], [HS.reading], store=store).run()
        assert not store.path.exists()

    def test_float16_on_disk_refuses_what_it_cannot_hold(self, store: ActivationStore) -> None:
        model = loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")
        model.bridge.original_model.base_model.layers[1].register_forward_hook(
            lambda module, args, output: (
                output * 1e6 if isinstance(output, torch.Tensor) else (output[0] * 1e6, *output[1:])
            )
        )
        with pytest.raises(CaptureError, match=r"layer \d reaches [\d,]+, above 65,504, the most that float16"):
            plan(model, ["w5 w6 w7"], [HS.reading], store=store, stored="float16").run()
        assert not store.path.exists()
        plan(model, ["w5 w6 w7"], [HS.reading], store=store, stored="bfloat16").run()

    def test_long_texts(self, model: Model, store: ActivationStore) -> None:
        given_texts = ["w5 w6", "w5 " * 50, "w6 " * 60]
        assert plan(model, given_texts, READINGS, store=store, max_tokens=10).run().truncated == 2
        with pytest.raises(PromptError, match=r"2 of 3 texts have more than 10 tokens; the first is text 1"):
            plan(model, given_texts, READINGS, store=store, max_tokens=10, on_long="error")
        with pytest.raises(PromptError, match="reads 1 to 128 tokens"):
            plan(model, given_texts, READINGS, store=store, max_tokens=129)

    def test_patterns_have_no_one_width(self, model: Model, store: ActivationStore) -> None:
        with pytest.raises(CaptureError, match="as wide as a text is long"):
            plan(model, ["w5"], [Reading.parse("pattern/mean")], store=store)

    def test_a_text_cut_and_one_that_ends_there_are_one_row(self, model: Model, store: ActivationStore) -> None:
        found = plan(model, ["w5 w6 w7 w8", "w5 w6 w7"], [VA.reading], store=store, max_tokens=4).run()
        assert (found.passes, found.truncated, found.rows[0] == found.rows[1]) == (1, 1, True)


def _spoilt(output: torch.Tensor | tuple, bad: float) -> torch.Tensor | tuple:
    """A block's output with one bad number in the longer text's last token."""
    hidden = (output if isinstance(output, torch.Tensor) else output[0]).clone()
    if hidden.shape[1] > 2:
        hidden[0, -1, 0] = bad
    return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])


class TestMemory:
    def test_too_large_a_batch_is_halved_and_the_rest_goes_on(
        self, model: Model, store: ActivationStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, seen = Model.run_body, []

        def small(self: Model, ids: torch.Tensor, mask: torch.Tensor | None = None) -> None:
            if len(ids) > 8:
                raise torch.OutOfMemoryError("out of memory")
            seen.append(len(ids))
            real(self, ids, mask)

        monkeypatch.setattr(Model, "run_body", small)
        given_texts = texts(16, longest=5)
        with pytest.warns(UserWarning, match="Out of memory with 16 texts at once; going on with half as many"):
            found = plan(model, given_texts, READINGS, store=store).run()
        assert sum(seen) == len(set(given_texts))
        monkeypatch.undo()
        assert_near(
            found.vectors(VA.reading, 3), np.stack([alone(model, text, VA.reading)[2].numpy() for text in given_texts])
        )

    def test_one_text_too_large_is_an_error(
        self, model: Model, store: ActivationStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Model, ids: torch.Tensor, mask: torch.Tensor | None = None) -> None:
            raise torch.OutOfMemoryError("out of memory")

        monkeypatch.setattr(Model, "run_body", refuse)
        with pytest.raises(CaptureError, match="does not fit into the memory of cpu"):
            plan(model, ["w5 w6"], READINGS, store=store).run()


class TestKeys:
    """What can change a number changes the key; what cannot does not."""

    @staticmethod
    def key(model: Model, store: ActivationStore, **settings: object) -> str:
        return plan(model, ["w5 w6"], [VA.reading], store=store, **settings).collection.key

    @pytest.mark.parametrize(
        "change",
        ["weights_hash", "config_hash", "tokenizer_hash", "revision", "dtype", "attn_implementation"],
    )
    def test_the_model(self, model: Model, store: ActivationStore, change: str) -> None:
        other = dataclasses.replace(model, **{change: "other"})
        assert self.key(other, store) != self.key(model, store)

    @pytest.mark.parametrize(
        "settings",
        [
            {"prompt": Prompt("w7 {text}")},
            {"prompt": Prompt(bos="never")},
            {"prompt": Prompt(pool_over="text")},
            {"max_tokens": 17},
            {"stored": "bfloat16"},
        ],
    )
    def test_the_settings(self, model: Model, store: ActivationStore, settings: dict) -> None:
        assert self.key(model, store, **settings) != self.key(model, store)

    @pytest.mark.parametrize("library", ["torch", "transformers", "transformer-lens"])
    def test_the_libraries(
        self, model: Model, store: ActivationStore, library: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, real = self.key(model, store), manifest.version
        monkeypatch.setattr(manifest, "version", lambda name: "0.0" if name == library else real(name))
        assert self.key(model, store) != before

    def test_one_changed_weight_and_one_changed_number_of_the_config(self, store: ActivationStore) -> None:
        def made(change) -> str:
            network = tiny.network("llama")
            change(network)
            return self.key(loading.wrap(network, tiny.tokenizer(), name="tiny"), store)

        def nudge(network) -> None:
            with torch.no_grad():
                network.base_model.layers[2].mlp.up_proj.weight[0, 0] += 1e-3

        same = made(lambda network: None)
        assert made(lambda network: None) == same
        assert made(nudge) != same
        assert made(lambda network: setattr(network.config, "rms_norm_eps", 1e-4)) != same
        assert made(lambda network: network.to(torch.bfloat16)) != same

    def test_pooling_and_stream_are_kept_apart_under_their_names(self, model: Model, store: ActivationStore) -> None:
        names = {str(reading) for reading in (*READINGS, WMP.reading, Reading.parse("hidden:norm/mean"))}
        assert len(names) == 5
        plan(model, ["w5 w6"], [VA.reading], store=store).run()
        assert plan(model, ["w5 w6"], [Reading.parse("values/last")], store=store).pending()

    def test_what_cannot_matter_does_not_change_the_key(
        self, model: Model, store: ActivationStore, tmp_path: Path
    ) -> None:
        same = self.key(model, store)
        assert self.key(model, store, batch_tokens=17) == same
        assert self.key(model, ActivationStore(tmp_path / "elsewhere")) == same
        assert self.key(dataclasses.replace(model, name="another name"), store) == same
        assert plan(model, ["w9", "w5"], [HS.reading], store=store).collection.key == same

    def test_the_path_of_a_model_does_not_matter(self, store: ActivationStore, tmp_path: Path) -> None:
        keys = set()
        for place in ("a", "b/c"):
            folder = tmp_path / place
            tiny.network("qwen2").save_pretrained(folder)
            tiny.tokenizer().save_pretrained(folder)
            keys.add(self.key(loading.load(str(folder)), store))
        assert len(keys) == 1


def job(model: Model, store: Path, *, n: int) -> Job:
    return plan(model, texts(n), READINGS, store=ActivationStore(store), batch_tokens=60)


def all_vectors(found: Extraction) -> list[np.ndarray]:
    return [found.vectors(reading, layer) for reading in READINGS for layer in reading.layers(found.model.n_layers)]


class TestKilled:
    def test_killed_at_any_moment_nothing_is_lost_or_different(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Twenty kills at random moments; each resume meets the same batches and computes those that are not stored."""
        n, chance = 300, random.Random(1)
        whole = all_vectors(job(model, tmp_path / "whole", n=n).run())
        store = tmp_path / "killed"
        interrupted = 0
        for _ in range(20):
            pending = job(model, store, n=n).pending()
            begun = run_and_be_killed(job(model, store, n=n), tmp_path / "begun", after=chance.uniform(0, 0.08))
            left = job(model, store, n=n).pending()
            batches = [len(batch) for batch in job(model, store, n=n).batches]
            assert len(pending) - len(left) >= sum(begun[:-1])  # all but the batch in flight is kept
            assert len(left) >= len(pending) - sum(begun)
            assert max(begun, default=0) <= max(batches)
            interrupted += bool(left)
        assert interrupted >= 10
        passes, expected = count_passes(monkeypatch), len(job(model, store, n=n).pending())
        found = job(model, store, n=n).run()
        assert sum(passes) == expected
        for one, other in zip(all_vectors(found), whole, strict=True):
            np.testing.assert_array_equal(one, other)
        assert not [path for path in store.rglob("*") if path.name.startswith(".")]
        assert all(intact(path) for path in store.rglob("*.safetensors"))


def run_and_be_killed(work: Job, begun: Path, *, after: float) -> list[int]:
    """Fork, run the job in the child, and kill it after so many seconds of work; gives the sizes of the batches begun."""
    begun.write_text("")
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        real_keep, real_sync = Job._keep, os.fsync

        def keep(self: Job, passages: list) -> None:
            with begun.open("a") as file:
                file.write(f"{len(passages)}\n")
            real_keep(self, passages)

        def slow_sync(handle: int) -> None:  # so that many of the kills hit a shard that is being written
            time.sleep(0.01)
            real_sync(handle)

        Job._keep, os.fsync = keep, slow_sync
        os.write(tell, b"x")
        work.run()
        os._exit(0)
    os.read(ready, 1)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    return [int(line) for line in begun.read_text().split()]


def test_many_workers_need_no_lock(model: Model, tmp_path: Path) -> None:
    """Four processes read overlapping texts into one store; every row is there, whole, and equal to one's alone."""
    store, given_texts = ActivationStore(tmp_path / "store"), texts(120)
    children = []
    for start in (0, 20, 40, 60):
        part = plan(model, given_texts[start : start + 60], READINGS, store=store, batch_tokens=60)
        children.append(os.fork())
        if children[-1] == 0:  # pragma: no cover
            part.run()
            os._exit(0)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
    checked = ActivationStore(store.path, check=True)
    found = plan(model, given_texts, READINGS, store=checked, batch_tokens=60).run()
    assert found.passes == 0
    alone_found = plan(model, given_texts, READINGS, store=ActivationStore(tmp_path / "alone"), batch_tokens=60).run()
    for one, other in zip(all_vectors(found), all_vectors(alone_found), strict=True):
        assert_near(one, other)
    assert not list(store.path.rglob(".*"))


def test_a_store_without_the_texts_that_cannot_be_written_to(
    model: Model, store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(model, ["w5 w6"], READINGS, store=store).run()
    before = sorted(path.name for path in store.path.rglob("*"))

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert plan(model, ["w5 w6"], READINGS, store=store).run().passes == 0
    with pytest.raises(StoreError, match="Read-only file system"):
        plan(model, ["w7 w8"], READINGS, store=store).run()
    monkeypatch.undo()
    assert sorted(path.name for path in store.path.rglob("*")) == before
    shutil.rmtree(store.path)
