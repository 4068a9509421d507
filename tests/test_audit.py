"""The audit finds what is there: nothing between equal readings, something between unequal ones, drift where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from valens.errors import StoreError
from valens.extraction import audit
from valens.extraction.extract import plan
from valens.extraction.per_token import TokenReading, plan_tokens
from valens.layers.sites import Stream
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import HS, VA
from valens.representations.poolings import CustomPooling
from valens.representations.readings import Reading
from valens.store.shards import Shard, write_shard
from valens.store.store import ActivationStore

TEXTS = ["w5 w6 w7 w8 w9", "w6 w7 " * 9, "w9"]


@pytest.fixture(scope="module", params=["llama", "gemma2", "gpt2", "phi3"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    tiny.network(request.param).save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


def test_readings_that_should_be_equal_are_and_half_precision_is_not(folder: Path) -> None:
    result = audit.audit(str(folder), TEXTS, device="cpu")
    found = audit.summary(result.table).set_index(["comparison", "reading"])
    exact = {"alone and batched", "left and right padding", "valens and bare Hugging Face"}
    assert exact <= set(found.index.get_level_values(0))
    for comparison in set(found.index.get_level_values(0)) - {"float32 and bfloat16"}:
        assert found.loc[comparison].relative.max() < 2e-5
        assert found.loc[comparison].cosine_gap.max() < 1e-9
    half = found.loc["float32 and bfloat16"]
    assert set(half.index) == {f"{stream}/mean" for stream in Stream if stream is not Stream.PATTERN}
    assert half.relative.min() > 1e-4
    assert half.relative.max() < 0.1
    assert result.table.layer.max() == 3


def test_a_model_that_is_not_the_same_when_padded_is_found_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A position that counts the padding, as a careless harness does, must show as a difference."""
    real = Model.run_body

    def careless(self: Model, ids: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        real(self, ids if mask is None else ids.flip(1), mask)

    monkeypatch.setattr(Model, "run_body", careless)
    table = audit.audit(str(folder), TEXTS, device="cpu").table
    assert table[table.comparison == "left and right padding"].relative.max() > 0.01


@pytest.fixture
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


def test_no_drift_where_nothing_changed_and_drift_where_a_vector_did(model: Model, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path)
    plan(model, TEXTS, [VA.reading, HS.reading], store=store).run()
    (collection,) = store.collections()
    assert audit.drift(collection, model, sample=3).relative.max() < 2e-5
    (path,) = collection.paths
    shard = Shard(path)
    spoilt = {
        name: torch.stack([torch.from_numpy(shard.layer(name, layer)) for layer in range(shard.shape(name)[0])])
        for name in shard.readings
    }
    spoilt["values/mean"][1] *= 1.5
    write_shard(collection.folder, shard.tokens(), spoilt, made_by="a test")
    path.unlink()
    (again,) = store.collections()
    table = audit.drift(again, model, sample=3).set_index(["reading", "layer"]).relative
    assert table["values/mean", 2] == pytest.approx(1 / 3, rel=1e-3)
    assert table.drop(("values/mean", 2)).max() < 2e-5


def test_what_cannot_be_read_again_is_named_and_passed_over(model: Model, tmp_path: Path) -> None:
    first = CustomPooling("first", lambda pooling_mask: ((pooling_mask.cumsum(1) == 1) & pooling_mask).float())
    store = ActivationStore(tmp_path)
    own = Reading(Stream.VALUES, first)
    plan(model, TEXTS, [own], store=store).run()
    plan_tokens(model, TEXTS, [TokenReading.parse("values@2/tokens")], store=store).run()
    (collection,) = store.collections()
    assert audit.not_read_again(collection) == [str(own), "values@2/tokens"]
    with pytest.raises(StoreError, match=r"None of the 3 rows drawn .* values@2/tokens\. Single tokens"):
        audit.drift(collection, model)
    plan(model, TEXTS, [VA.reading], store=store).run()
    (collection,) = store.collections()
    assert set(audit.drift(collection, model).reading) == {"values/mean"}


def test_a_store_made_by_another_model_is_refused(model: Model, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path)
    plan(model, TEXTS, [VA.reading], store=store).run()
    other = loading.wrap(tiny.network("llama", seed=1), tiny.tokenizer(), name="another")
    with pytest.raises(StoreError, match=r"was made by tiny; another as loaded here differs in weights"):
        audit.drift(store.collections()[0], other)
