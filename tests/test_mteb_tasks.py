"""mteb's tasks as ours: judged by mteb itself, which reads the same mirror by its own road."""

from __future__ import annotations

import json
import random
import re
import warnings

import datasets
import mteb
import numpy as np
import pandas as pd
import pytest
import torch
from mirrors import build, describe, emotions, search, splits, write
from mteb.models.model_meta import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim
from tiny import one_blas_thread, one_thread  # noqa: F401

from probes.layer_sweep.command import _cautions
from valens import tasks
from valens.corpora.duplicates import normalised
from valens.errors import MissingPackageError, TaskDataError, TaskError
from valens.evaluation.evaluate import evaluate
from valens.mteb.held_out import held_out
from valens.mteb.library import preserve_rng_state
from valens.mteb.suites import PAPER
from valens.mteb.tasks import load_task
from valens.suites import named

N_LAYERS, WIDTH = 2, 12


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return build(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """What the judge read of one mirror it would give for another."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


class Given:
    """An encoder that looks each text's vector up; a text that was not expected is a KeyError, or 0 if it may be."""

    mteb_model_meta = ModelMeta.create_empty()

    def __init__(self, texts, vectors, *, others=False):
        self.vectors = dict(zip(texts, vectors, strict=True))
        self.other = np.zeros_like(vectors[0]) if others else None

    def encode(self, inputs, **_):
        return np.stack([self._vector(text) for batch in inputs for text in batch["text"]])

    def _vector(self, text):
        return self.vectors[text] if self.other is None else self.vectors.get(text, self.other)

    def similarity(self, first, second):
        return cos_sim(first, second)

    def similarity_pairwise(self, first, second):
        return pairwise_cos_sim(first, second)


def by_mteb(name, split, texts, layer):
    """The main score that mteb gives when it reads the working directory as its hub."""
    task = mteb.get_task(name, eval_splits=[split])
    given = Given(texts, layer, others=task.metadata.type == "Reranking")  # there it encodes what no query is shown
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lbfgs failed to converge|The task .* is superseded")
        results = mteb.evaluate(given, task, cache=None, show_progress_bar=False)
    return results.task_results[0].scores[split][0]["main_score"]


def some_vectors(texts):
    """Two layers: one at random; one in which words are seen, and in which all cosines are above .99."""
    rng = np.random.default_rng(0)
    words = {word: rng.normal(size=WIDTH) for text in texts for word in text.split()}
    seen = np.stack([np.mean([words[word] for word in text.split()], axis=0) for text in texts])
    return np.stack([rng.normal(size=(len(texts), WIDTH)), 10 + 0.5 * seen]).astype(np.float32)


JUDGED = [
    ("STS15", "test", tasks.Sts),
    ("TwitterURLCorpus", "test", tasks.PairClassification),
    ("NFCorpus", "dev", tasks.Retrieval),
    ("ArguAna", "test", tasks.Retrieval),
    ("AskUbuntuDupQuestions", "test", tasks.Reranking),
    ("BiorxivClusteringP2P.v2", "test", tasks.Clustering),
    ("StackExchangeClusteringP2P", "test", tasks.Clustering),
    ("EmotionClassification", "test", tasks.Classification),
]


@pytest.mark.parametrize(("name", "split", "kind"), JUDGED, ids=[name for name, *_ in JUDGED])
def test_scores_are_those_of_mteb_itself(name, split, kind, root, monkeypatch):
    """Search is rounded to five decimals by both; what is fitted sees the same numbers in the same order."""
    monkeypatch.setattr(
        type(mteb.get_task("BiorxivClusteringP2P.v2")), "max_documents_per_cluster", 300
    )  # it is 16,384
    task = load_task(f"{name}@{split}", data_root=root).task
    assert isinstance(task, kind)
    assert task.name == f"{name}@{split}"
    vectors = some_vectors(task.texts)
    monkeypatch.chdir(root)
    judged = [by_mteb(name, split, task.texts, layer) for layer in vectors]
    assert evaluate(task, vectors, resamples=2).score == pytest.approx(np.array(judged), abs=1e-9)
    assert evaluate(task, vectors, resamples=2, exact=True).score == pytest.approx(np.array(judged), abs=1e-9)
    assert judged[0] != judged[1]


def test_a_held_out_part_is_scored_as_mteb_scores_it_as_a_test_set(root, tmp_path, monkeypatch):
    """Mteb is given a mirror in which the two parts of the training set are its training and test set."""
    task = load_task("EmotionClassification@train", data_root=root).task
    rows = emotions()
    out = held_out([row["text"] for row in rows])
    learnt, tested = ([row for row, flag in zip(rows, out, strict=True) if flag is wanted] for wanted in (False, True))
    splits(tmp_path / "mteb/emotion", train=learnt, test=tested)
    vectors = some_vectors(task.texts)
    monkeypatch.chdir(tmp_path)
    judged = [by_mteb("EmotionClassification", "test", task.texts, layer) for layer in vectors]
    assert evaluate(task, vectors, resamples=2).score == pytest.approx(np.array(judged), abs=1e-9)


def test_what_is_held_out_says_nothing_that_is_learnt(root):
    loaded = load_task("EmotionClassification@train", data_root=root)
    said = [{normalised(loaded.task.texts[loaded.task.rows[item]]) for item in part} for part in _parts(loaded.task)]
    assert not said[0] & said[1]
    assert "learns from" in loaded.notes[0]


def _parts(task):
    return task.train, task.test


def test_a_quarter_of_many_texts_is_held_out():
    """The share of 4,000 texts has a standard deviation of .7 %."""
    texts = [f"text {place}" for place in range(4000)]
    assert np.mean(held_out(texts)) == pytest.approx(0.25, abs=0.03)
    assert held_out(["A b!"]) == held_out(["ab"])


def test_labels_in_levels_are_clustered_level_by_level(root, monkeypatch):
    """A judge with a mock task of mteb's own class, whose labels have two levels; some rows lack the second."""
    from mteb.mocks import mock_tasks

    from valens.mteb.labelled import clustering

    texts = [f"text {place}" for place in range(60)]
    labels = [["ab"[n % 2]] if n % 5 == 0 else ["ab"[n % 2], "cde"[n % 3]] for n in range(60)]

    def judge():
        task = mock_tasks.LegacyMockClusteringFastTask()
        task.max_document_to_embed, task.max_fraction_of_documents_to_embed = 50, None
        task.max_documents_per_cluster, task.n_clusters = 80, 3
        table = datasets.Dataset.from_dict({"sentences": texts, "labels": labels})
        task.dataset, task.data_loaded = {"test": table}, True
        return task, table

    task = clustering(*judge(), "levels")
    vectors = some_vectors(texts)
    places = [texts.index(text) for text in task.texts]
    expected = [
        judge()[0].evaluate(Given(texts, layer), split="test", encode_kwargs={})["default"]["v_measure"]
        for layer in vectors
    ]
    for exact in (False, True):
        score = evaluate(task, vectors[:, places], resamples=2, exact=exact).score
        assert score == pytest.approx(np.array(expected), abs=1e-12)


# --- what is left behind ----------------------------------------------------------------------------------------------


def drawn():
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


def test_the_process_is_left_as_it_was(root):
    """A task that mteb makes seeds the generators of the process, so that the same would be drawn again."""
    first = drawn()
    with preserve_rng_state() as library:
        library.get_task("STS15")
    assert drawn() != first
    load_task("STS15", data_root=root)
    assert mteb.get_task("STS15").metadata.dataset["path"] == "mteb/sts15-sts"
    assert not datasets.are_progress_bars_disabled()


def test_a_mirror_that_changes_is_read_again(tmp_path):
    for score in (1.0, 3.0):
        splits(tmp_path / "mteb/sts15-sts", test=[ONE, ONE | {"sentence1": "c", "score": score + 1}])
        assert load_task("STS15", data_root=tmp_path).task.gold == (1.0, score + 1)


# --- suites -----------------------------------------------------------------------------------------------------------


def test_the_papers_suite_names_what_it_lacks(root):
    suite = named.suite("paper", data_root=root)
    left_out = {missing.name: missing.reason for missing in suite.left_out}
    assert {task.name for task in suite.tasks} | set(left_out) == set(PAPER)
    assert "no folder mteb/scifact" in left_out["SciFact@train"]
    assert any(note.startswith("EmotionClassification@train learns from") for note in suite.notes)
    with pytest.raises(TaskDataError, match="no folder mteb/medrxiv"):
        named.suite("paper", data_root=root, strict=True)


def test_named_tasks_are_a_suite_in_that_order(root):
    suite = named.suite("mteb: STS15, ArguAna", data_root=root)
    assert [task.name for task in suite.tasks] == ["STS15", "ArguAna"]
    assert suite.left_out == ()


def test_a_split_may_be_called_by_its_other_name(root):
    named, other = (load_task(f"NFCorpus@{split}", data_root=root).task for split in ("dev", "validation"))
    assert (named.texts, named.relevant) == (other.texts, other.relevant)


def test_a_main_score_that_is_another_is_said(root, monkeypatch):
    metadata = type(mteb.get_task("STS15")).metadata.model_copy(update={"main_score": "cosine_pearson"})
    monkeypatch.setattr(type(mteb.get_task("STS15")), "metadata", metadata)
    assert load_task("STS15", data_root=root).notes == (
        "STS15 is scored by cosine_spearman; mteb's main score for it is cosine_pearson.",
    )


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("STS155", "has no task 'STS155'. Did you mean STS15"),
        ("sts15", "has no task 'sts15'. Did you mean STS15"),
        ("zzzzzzzz", "lists all there are"),
        ("BornholmBitextMining", "BitextMining of text; valens scores text tasks of the families STS, PairClass"),
        ("CIFAR10", "of image; valens scores text tasks"),
        ("CQADupstackRetrieval", "mean over 12 tasks. Name them instead: CQADupstackAndroidRetrieval,"),
        ("STS17", "11 subsets: .* Name one of them, as in STS17/en-en"),
        ("STS17/xx@test", "'xx' was asked for.*as in STS17/en-en@test"),
        ("STS15@", "is written NAME, NAME@split or NAME/subset@split; got 'STS15@'"),
    ],
)
def test_what_is_no_task_is_refused(name, message, root):
    with pytest.raises(TaskError, match=message) as raised:
        load_task(name, data_root=root)
    assert not isinstance(raised.value, TaskDataError)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("STS15@validation", "no split 'validation' here; it has test"),
        ("ArguAna@train", r"no split 'train' here. mteb says: Split train not found in \['test', 'other'\]"),
        ("SciFact", "the mirror .* has no folder mteb/scifact"),
    ],
)
def test_data_that_cannot_be_had_are_told_from_what_is_no_task(name, message, root):
    with pytest.raises(TaskDataError, match=message):
        load_task(name, data_root=root)


def test_without_a_hub_the_mirror_is_pointed_to():
    with pytest.raises(TaskDataError, match=r"mteb/sts12-sts cannot be loaded .* name its folder with --data-root"):
        load_task("STS12")
    with pytest.raises(TaskError, match=r"Of mteb:STS12,STS13, no task can be had \(2 asked for"):
        named.suite("mteb:STS12,STS13")


def test_a_mirror_that_is_not_there(tmp_path):
    with pytest.raises(TaskError, match=r"There is no folder .*nowhere"):
        load_task("STS15", data_root=tmp_path / "nowhere")


ONE = {"sentence1": "a", "sentence2": "b", "score": 1.0}
LABELLED = {"text": "a", "label": 1}


@pytest.mark.parametrize(
    ("name", "folder", "rows", "message"),
    [
        (
            "STS15",
            "sts15-sts",
            [{"sentence1": "a", "score": 1.0}],
            "no column 'sentence2'; the columns are 'sentence1', 'score'",
        ),
        ("STS15", "sts15-sts", [ONE, ONE | {"sentence1": " "}], r"row 1 \(from 0\) of 'sentence1' is an empty text"),
        (
            "STS15",
            "sts15-sts",
            [ONE, ONE | {"sentence2": None}],
            r"row 1 .* of 'sentence2' is not text \(None\).* 1 of 2",
        ),
        ("STS15", "sts15-sts", [ONE, ONE | {"score": float("nan")}], r"pair 1 \(from 0\) has no judgement \(nan\)"),
        ("STS15", "sts15-sts", [ONE, ONE | {"score": None}], r"pair 1 \(from 0\) has no judgement"),
        ("STS15", "sts15-sts", [ONE, ONE], "all judged alike"),
        ("EmotionClassification@train", "emotion", [{"text": "a"}], "has no column 'label'"),
        ("EmotionClassification@train", "emotion", [LABELLED, LABELLED | {"label": None}], r"row 1 .* has no 'label'"),
        (
            "EmotionClassification@train",
            "emotion",
            [LABELLED, {"text": None, "label": 2}],
            "row 1 .* of 'text' is not text",
        ),
        ("EmotionClassification", "emotion", [{"text": "a", "label": 1}], "learns from the split 'train'"),
        (
            "TwitterURLCorpus",
            "twitterurlcorpus-pairclassification",
            [{"sent1": ["a"]}],
            "not what mteb expects .*sent2",
        ),
    ],
)
def test_a_mirror_of_other_data_is_refused_in_a_line(name, folder, rows, message, tmp_path):
    splits(tmp_path / "mteb" / folder, **{name.partition("@")[2] or "test": rows})
    with pytest.raises(TaskError, match=message) as raised:
        load_task(name, data_root=tmp_path)
    assert "\n" not in str(raised.value)


def test_a_search_whose_mirror_lacks_a_column_is_refused(tmp_path):
    folder = tmp_path / "mteb/arguana"
    write(folder, "corpus", [{"_id": "d1", "title": "x"}])
    write(folder, "queries", [{"_id": "q1", "text": "x"}])
    write(folder, "qrels", [{"query-id": "q1", "corpus-id": "d1", "score": 1}])
    parts = {"corpus": {"corpus": "corpus"}, "queries": {"queries": "queries"}, "default": {"test": "qrels"}}
    describe(folder, parts)
    with pytest.raises(TaskError, match="its corpus has no column 'text'"):
        load_task("ArguAna", data_root=tmp_path)


@pytest.mark.parametrize(
    ("part", "changed", "message"),
    [
        ("corpus", {"_id": "d1", "title": "A title", "text": None}, r"document 'd1' is not text \(None\)"),
        ("corpus", {"_id": "d1", "title": "", "text": " "}, "document 'd1' is an empty text.* In all 1 of 56"),
        ("queries", {"_id": "q3", "text": None}, r"query 'q3' is not text \(None\)"),
    ],
)
def test_a_search_with_what_is_no_text_names_it(part, changed, message, tmp_path):
    """mteb itself stumbles on a document without a text, title or not."""
    folder = tmp_path / "mteb/nfcorpus"
    search(folder, split="dev")
    rows = [json.loads(line) for line in (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]
    write(folder, part, [changed if row["_id"] == changed["_id"] else row for row in rows])
    with pytest.raises(TaskDataError, match=message):
        load_task("NFCorpus@dev", data_root=tmp_path)


def test_files_that_hold_nothing_or_are_broken_are_data_that_cannot_be_had(tmp_path):
    folder = tmp_path / "mteb/sts15-sts"
    splits(folder, test=[])
    with pytest.raises(TaskDataError, match=r"STS15: a file in .* holds no rows"):
        load_task("STS15", data_root=tmp_path)
    (folder / "test.jsonl").unlink()
    (folder / "README.md").unlink()
    pd.DataFrame({"sentence1": ["a"], "sentence2": ["b"], "score": [1.0]})[:0].to_parquet(folder / "test.parquet")
    with pytest.raises(TaskDataError, match=r"STS15: a file in .* holds no rows"):
        load_task("STS15", data_root=tmp_path)
    (folder / "test.parquet").write_bytes(b"PAR1xxxx")
    with pytest.raises(TaskDataError, match=r"STS15: a file in .* cannot be read \(ArrowInvalid: Parquet magic bytes"):
        load_task("STS15", data_root=tmp_path)


def test_a_column_that_one_file_alone_has_is_named(tmp_path):
    splits(tmp_path / "mteb/emotion", train=[{"text": row["text"]} for row in emotions()], test=emotions(100))
    with pytest.raises(TaskError, match=r"have different columns \(one alone has 'label'\)"):
        load_task("EmotionClassification@train", data_root=tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("STS15@test,STS15", r"STS15@test and STS15 are the same data \(STS15/default@test\)"),
        ("NFCorpus@dev,ArguAna,NFCorpus@validation", "NFCorpus@dev and NFCorpus@validation are the same data"),
        ("STS15,ArguAna, STS15", "mteb:STS15,ArguAna, STS15 names STS15 2 times"),
        ("STS15,", "written NAME, NAME@split or NAME/subset@split; got ''"),
    ],
)
def test_data_under_two_names_would_count_twice(names, message, root):
    with pytest.raises(TaskError, match=message):
        named.suite(f"mteb:{names}", data_root=root)


def test_names_are_read_before_anything_is_loaded(root, monkeypatch):
    monkeypatch.setattr("valens.mteb.suites.load_task", lambda *_, **__: pytest.fail("A task was loaded."))
    for names in ("STS15,ArguAna,STS15", "STS15,"):
        with pytest.raises(TaskError):
            named.suite(f"mteb:{names}", data_root=root)


def test_a_suite_cut_down_knows_it_and_names_no_number_that_was_not_used(root):
    whole = named.suite("mteb:EmotionClassification@train,ArguAna", data_root=root)
    assert whole.data_root == str(root)
    cut = whole.limited(120)
    assert (cut.limit, max(len(task.texts) for task in cut.tasks)) == (120, 120)
    assert cut.notes == whole.notes
    (held,) = whole.notes
    assert "is tested on the rest (25%" in held
    assert re.findall(r"\d+", held) == ["25"]


def test_what_is_not_compared_with_the_selection_is_said_or_refused(root):
    suite = named.suite("mteb:STS15", data_root=root)
    (lacking, shared) = _cautions(suite, [named.suite("mteb:STS15,SciFact", data_root=root)])
    assert lacking.startswith("SciFact is not compared with the selection. SciFact: the mirror")
    assert "mteb:STS15 and mteb:STS15,SciFact have texts in common" in shared
    with pytest.raises(TaskDataError, match="no folder mteb/scifact"):
        named.suite("mteb:STS15,SciFact", data_root=root, strict=True)


def test_without_mteb_the_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mteb", None)
    with pytest.raises(MissingPackageError, match=r'pip install "valens-lm\[mteb\]"'):
        load_task("STS15")
