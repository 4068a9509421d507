"""A layer set as mteb's encoder: what unmodified mteb finds with it is what we find from the same vectors."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import tiny
from tiny import one_thread  # noqa: F401

from valens.errors import LayerSetError, SiteError
from valens.evaluation.evaluate import evaluate
from valens.extraction.embedding import encode
from valens.model import loading
from valens.model.model import Model
from valens.mteb import Encoder
from valens.representations.named import HS, VA, Representation
from valens.representations.prompts import Prompt
from valens.representations.readings import Reading
from valens.tasks import Retrieval, Sts

N = 40


def _texts() -> tuple[str, ...]:
    chance = random.Random(0)
    return tuple(" ".join(f"w{chance.randrange(5, 97)}" for _ in range(chance.choice((3, 8, 20)))) for _ in range(N))


TEXTS = _texts()
STS = Sts("MockSTS", TEXTS, tuple(range(0, N, 2)), tuple(range(1, N, 2)), tuple(float(i % 6) for i in range(N // 2)))
RETRIEVAL = Retrieval(
    "MockRetrieval",
    TEXTS,
    tuple(range(10)),
    tuple(range(10, N)),
    tuple({(3 * query) % 30: 1, (7 * query) % 30: 2} for query in range(10)),
)


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


def sts_of_mteb() -> object:
    from datasets import Dataset
    from mteb.mocks import mock_tasks

    columns = {"sentence1": [TEXTS[i] for i in STS.first], "sentence2": [TEXTS[i] for i in STS.second]}
    return filled(mock_tasks.MockSTSTask(), {"test": Dataset.from_dict(columns | {"score": list(STS.gold)})})


def retrieval_of_mteb() -> object:
    from datasets import Dataset
    from mteb.mocks import mock_tasks

    def table(positions: tuple[int, ...]) -> Dataset:
        return Dataset.from_dict({"id": [f"{i:02d}" for i in positions], "text": [TEXTS[i] for i in positions]})

    relevant = {
        f"{query:02d}": {f"{10 + document:02d}": grade for document, grade in grades.items()}
        for query, grades in zip(RETRIEVAL.queries, RETRIEVAL.relevant, strict=True)
    }
    parts = {"queries": table(RETRIEVAL.queries), "corpus": table(RETRIEVAL.documents)}
    split = parts | {"relevant_docs": relevant, "top_ranked": None}
    return filled(mock_tasks.MockRetrievalTask(), {"default": {"test": split}})


def filled(task: object, splits: dict) -> object:
    """A task class of mteb's own, with these texts instead of those that it would load."""
    task.dataset, task.data_loaded = splits, True
    task.load_data = lambda **_: None
    return task.filter_eval_splits(["test"])


def mtebs(encoder: Encoder, task: object, folder: Path) -> dict:
    import mteb

    cache = mteb.ResultCache(folder)
    result = mteb.evaluate(encoder, task, cache=cache, co2_tracker=False, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


@pytest.mark.parametrize("representation", [VA, HS], ids=str)
def test_unmodified_mteb_finds_the_score_that_we_find(
    model: Model, representation: Representation, tmp_path: Path
) -> None:
    encoder = Encoder(model, representation, layers="2-3", store=tmp_path / "store")
    vectors = encode(model, TEXTS, representation=representation, layers="2-3", store=tmp_path / "store")[None]
    found = mtebs(encoder, sts_of_mteb(), tmp_path)["cosine_spearman"]
    assert found == pytest.approx(evaluate(STS, vectors, resamples=1).score[0], abs=1e-6)
    found = mtebs(encoder, retrieval_of_mteb(), tmp_path)["ndcg_at_10"]
    assert found == pytest.approx(evaluate(RETRIEVAL, vectors, resamples=1).score[0], abs=1e-6)


def test_its_facts_are_in_the_metadata_and_in_what_mteb_keeps(model: Model, tmp_path: Path) -> None:
    encoder = Encoder(model, layers="1,3", max_tokens=64)
    mtebs(encoder, sts_of_mteb(), tmp_path)
    (kept,) = tmp_path.rglob("model_meta.json")
    facts = json.loads(kept.read_text(encoding="utf-8"))
    assert (facts["name"], facts["revision"]) == ("valens/tiny", model.weights_hash[:16])
    assert (facts["embed_dim"], facts["max_tokens"]) == (16, 64)
    assert facts["experiment_kwargs"] == {
        "representation": "VA",
        "stream": "values",
        "layers": "1,3",
        "norm": "none",
        "pooling": "mean",
        "max_tokens": 64,
        "dtype": "float32",
    }


def test_mteb_never_mixes_two_layer_sets(model: Model, tmp_path: Path) -> None:
    """Equal names would let the second find the first's result in mteb's cache."""
    found = [
        mtebs(Encoder(model, representation, layers=layers), sts_of_mteb(), tmp_path)["cosine_spearman"]
        for representation, layers in ((VA, "1"), (VA, "3"), (HS, "3"))
    ]
    assert len(set(found)) == 3
    assert len([path for path in tmp_path.rglob("*.json") if path.name != "model_meta.json"]) == 3


def test_what_changes_a_vector_changes_the_facts(model: Model) -> None:
    asked = Representation("VA", VA.reading, Prompt("Meaning: {text}"))
    normed = Representation("HS", Reading(HS.reading.stream, HS.reading.pooling, norm=True))
    made = [Encoder(model, layers="1"), Encoder(model, asked, layers="1"), Encoder(model, layers="1", max_tokens=9)]
    made += [Encoder(model, HS, layers="1"), Encoder(model, normed, layers="1"), Encoder(model, layers="1-2")]
    assert len({encoder.mteb_model_meta.experiment_name for encoder in made}) == len(made)


def test_a_model_of_the_hub_keeps_its_name(model: Model) -> None:
    named = Model(**{**vars(model), "name": "qwen3-0.6b", "revision": "abc123"})
    meta = Encoder(named, layers="1").mteb_model_meta
    assert (meta.name, meta.revision) == ("Qwen/Qwen3-0.6B", "abc123")


def test_batches_are_read_in_order_and_their_size_changes_nothing(model: Model) -> None:
    encoder = Encoder(model, layers="2")
    batches = [{"text": list(TEXTS[:3])}, {"text": list(TEXTS[3:4])}, {"text": list(TEXTS[4:])}]
    settings = {"task_metadata": None, "hf_split": "test", "hf_subset": "default"}
    found = encoder.encode(batches, **settings, batch_size=7)
    np.testing.assert_allclose(found, encode(model, TEXTS, layers="2"), rtol=1e-4, atol=1e-5)


def test_layers_are_refused_when_it_is_made(model: Model) -> None:
    with pytest.raises(SiteError, match=r"VA at the layers 1\.\.3; 0 was asked for"):
        Encoder(model, layers="0")
    with pytest.raises(LayerSetError, match="not for tiny"):
        Encoder(model, layers="preset")
