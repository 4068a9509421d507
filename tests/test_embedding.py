"""The averaged embedding is what a bare forward pass gives, kept or not; layers of another model are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from tiny import one_thread  # noqa: F401

from valens.corpora import Corpus
from valens.errors import LayerSetError, PromptError, RepresentationError, ResultError, SiteError
from valens.extraction import embedding
from valens.extraction.embedding import averaged, encode
from valens.extraction.extract import plan
from valens.extraction.layers_file import as_chosen, layers_for, model_facts, read_chosen
from valens.extraction.manifest import about_of
from valens.extraction.texts import text_list
from valens.layers.layer_set import LayerSet
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import HS, VA, WVA, Representation
from valens.representations.prompts import Prompt
from valens.store.store import ActivationStore

TEXTS = ["w5 w6 w7 w8", "w9 w10", "w5 w6 w7 w8", "w11 w12 w13", " ".join(f"w{i}" for i in range(20, 60))]
TOLERANCE = 2e-5
"""Relative, in float32: what another batch may change."""


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def by_hand() -> dict[str, np.ndarray]:
    """VA and HS of each text alone at the layers 1 to 3, [layer, text, d], by plain hooks on a bare forward."""
    network, tokenizer = tiny.network("llama"), tiny.tokenizer()
    network.set_attn_implementation("eager")
    seen = [tiny.token_vectors("llama", network, torch.tensor([tokenizer(text)["input_ids"]])) for text in TEXTS]
    return {
        name: np.array([[vectors[stream, layer][0].mean(dim=0).numpy() for vectors in seen] for layer in (1, 2, 3)])
        for name, stream in (("VA", "values"), ("HS", "hidden"))
    }


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max())


# --- vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("representation", [VA, HS], ids=str)
@pytest.mark.parametrize("layers", ["2", "1,3", "all"])
def test_it_is_the_mean_over_layers_of_a_bare_forward(
    model: Model, by_hand: dict[str, np.ndarray], representation: Representation, layers: str
) -> None:
    found = encode(model, TEXTS, representation=representation, layers=layers)
    wanted = [layer - 1 for layer in LayerSet.parse(layers, 3)]
    assert found.dtype == np.float32
    assert close(found, by_hand[representation.name][wanted].mean(axis=0))


def test_it_is_the_mean_of_the_stored_vectors_of_single_layers(model: Model, tmp_path: Path) -> None:
    extraction = plan(model, TEXTS, [VA.reading], store=ActivationStore(tmp_path)).run()
    single = [extraction.vectors(VA.reading, layer) for layer in (1, 3)]
    kept = encode(model, TEXTS, layers="1,3", store=tmp_path)
    np.testing.assert_allclose(kept, np.mean(single, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(averaged(extraction, VA.reading, [1, 3], [4, 0]), kept[[4, 0]])


def test_what_a_store_has_is_not_read_again_and_without_one_nothing_stays(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    bare = encode(model, TEXTS, layers="2-3")
    assert list((tmp_path / "temporary").iterdir()) == []
    kept = encode(model, TEXTS, layers="2-3", store=tmp_path / "store")
    monkeypatch.setattr(Model, "run_body", lambda *_: pytest.fail("A forward pass was made."))
    np.testing.assert_array_equal(encode(model, TEXTS, layers="2-3", store=tmp_path / "store"), kept)
    np.testing.assert_array_equal(encode(model, TEXTS, layers="2-3", store=ActivationStore(tmp_path / "store")), kept)
    assert close(bare, kept)


def test_many_texts_are_read_some_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(model, TEXTS, layers="all")
    monkeypatch.setattr(embedding, "_AT_ONCE", 2)
    assert close(encode(model, TEXTS, layers="all"), whole)


def test_normalized_vectors_have_length_one_and_the_same_direction(model: Model) -> None:
    bare, unit = (encode(model, TEXTS, layers="all", normalize=normalize) for normalize in (False, True))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit * np.linalg.norm(bare, axis=1, keepdims=True), bare, rtol=1e-5)


def test_no_texts_have_no_vectors(model: Model) -> None:
    assert encode(model, [], layers="all").shape == (0, 16)
    assert encode(model, [], representation=HS, layers="all").shape == (0, 32)


@pytest.mark.parametrize("texts", ["hello", b"hello", ["w5", None], ["w5", 5], 5])
def test_what_is_no_list_of_texts_is_refused(texts: object) -> None:
    with pytest.raises(PromptError, match=r"The texts are a list of texts|Text 1 \(from 0\) is not a string: (None|5)"):
        text_list(texts)


def test_texts_may_come_one_by_one_and_a_representation_by_its_name(model: Model) -> None:
    with pytest.raises(PromptError, match=r"a list of texts, as \[\"one text\"\], or a vl.Corpus; got 'hello'"):
        encode(model, "hello", layers="2")
    expected = encode(model, TEXTS, representation=HS, layers="2")
    np.testing.assert_array_equal(encode(model, iter(TEXTS), representation="hs", layers="2"), expected)
    np.testing.assert_array_equal(encode(model, np.array(TEXTS), representation="hidden/mean", layers="2"), expected)
    with pytest.raises(RepresentationError, match="no representation 'VB'"):
        encode(model, TEXTS, representation="VB", layers="2")


def test_a_corpus_is_embedded_as_its_texts(model: Model) -> None:
    corpus = Corpus("three", tuple(TEXTS[:2]), ("a", "b"), source="here")
    np.testing.assert_array_equal(encode(model, corpus, layers="2"), encode(model, TEXTS[:2], layers="2"))


def test_settings_reach_the_reading(model: Model) -> None:
    asked = Representation("asked", VA.reading, Prompt("w90 {text}"))
    assert close(encode(model, ["w5 w6"], representation=asked, layers="2"), encode(model, ["w90 w5 w6"], layers="2"))
    assert close(encode(model, TEXTS[-1:], layers="2", max_tokens=4), encode(model, ["w20 w21 w22"], layers="2"))
    with pytest.raises(PromptError, match="have more than 4 tokens"):
        encode(model, TEXTS, layers="2", max_tokens=4, on_long="error")
    with pytest.raises(PromptError, match="text 1"):
        encode(model, ["w5", " "], layers="2")


# --- layers -----------------------------------------------------------------------------------------------------------


def layers_json(path: Path, model: Model, **changes: object) -> Path:
    facts = model_facts(about_of(model), {"weights_hash": model.weights_hash}, model.rounded_weights_hash) | changes
    sets = {"VA": {"layers": "2,3", "list": [2, 3]}, "HS": {"layers": "1", "list": [1]}}
    path.write_text(json.dumps({"model": facts, "representations": sets}), encoding="utf-8")
    return path


def test_layers_come_as_a_set_in_words_or_from_a_sweep(model: Model, tmp_path: Path) -> None:
    path = layers_json(tmp_path / "layers.json", model)
    for layers in (LayerSet.of([2, 3]), "2,3", " 2-3", path, str(path)):
        assert layers_for(model, VA, layers) == LayerSet.of([2, 3])
    assert layers_for(model, HS, path) == LayerSet.of([1])
    assert layers_for(model, HS, "0,3") == LayerSet.of([0, 3])
    assert list(read_chosen(path).sets) == ["VA", "HS"]


def test_a_sweep_s_prompt_goes_with_its_layers(model: Model, tmp_path: Path) -> None:
    path, asked = layers_json(tmp_path / "layers.json", model), Prompt(bos="never", pool_over="text")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert as_chosen(VA, path) == VA  # an older file says nothing of it
    path.write_text(json.dumps(content | {"prompt": asked.identity()}), encoding="utf-8")
    assert read_chosen(path).prompt == asked
    never = replace(VA, prompt=asked)
    assert close(encode(model, TEXTS, layers=path), encode(model, TEXTS, representation=never, layers="2,3"))
    assert not close(encode(model, TEXTS, layers=path), encode(model, TEXTS, layers="2,3"))
    assert close(encode(model, TEXTS, representation=never, layers=path), encode(model, TEXTS, layers=path))
    with pytest.raises(LayerSetError, match=r"made with Prompt\(.*bos='never'.*bos='always'.* was asked for\. Read"):
        encode(model, TEXTS, representation=replace(VA, prompt=Prompt(bos="always")), layers=path)


UNKNOWN = {"weights_hash": "others", "rounded_weights_hash": None}
"""What older files say of weights that are not these."""


@pytest.mark.parametrize(
    "same", [{"weights_hash": "another dtype"}, {"name": "renamed"}, {"name": "renamed", "rounded_weights_hash": None}]
)
def test_a_local_model_is_known_by_its_weights(model: Model, tmp_path: Path, same: dict[str, object]) -> None:
    assert layers_for(model, VA, layers_json(tmp_path / "layers.json", model, **same)) == LayerSet.of([2, 3])


@pytest.mark.parametrize(
    ("name", "swept"), [("Owner/Model", "Owner/Model"), ("qwen3-8b", "Qwen/Qwen3-8B"), ("smollm2-135m", "smollm2-135m")]
)
def test_a_model_of_the_hub_or_the_catalogue_is_known_by_its_name(
    model: Model, tmp_path: Path, name: str, swept: str
) -> None:
    path = layers_json(tmp_path / "layers.json", model, name=swept, **UNKNOWN)
    assert layers_for(replace(model, name=name), VA, path) == LayerSet.of([2, 3])


@pytest.mark.parametrize(
    "other", [{"n_layers": 4}, UNKNOWN, UNKNOWN | {"name": "other"}], ids=["depth", "weights_hash", "name and weights"]
)
def test_another_model_s_layers_are_refused(model: Model, tmp_path: Path, other: dict[str, object]) -> None:
    with pytest.raises(LayerSetError, match=r"was made with .* this is tiny \(3 layers\).* Sweep this model"):
        layers_for(model, VA, layers_json(tmp_path / "layers.json", model, **other))


def test_a_folder_s_name_does_not_make_two_models_one(model: Model, tmp_path: Path) -> None:
    """The same weights in bfloat16 are the same model; other weights in a folder of that name are not."""
    path = layers_json(tmp_path / "layers.json", model)
    half, other = tiny.network("llama").to(torch.bfloat16), tiny.network("llama")
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight[0, 0] += 0.1
    half, other = (loading.wrap(network, tiny.tokenizer(), name="tiny") for network in (half, other))
    assert half.weights_hash != model.weights_hash
    assert layers_for(half, VA, path) == LayerSet.of([2, 3])
    with pytest.raises(
        LayerSetError, match=r"and their weights differ. If it is the same model, load both in float32 or"
    ):
        layers_for(other, VA, path)


def test_the_unembedding_is_no_part_of_a_vector(model: Model) -> None:
    network = tiny.network("llama")
    with torch.no_grad():
        network.lm_head.weight += 1
    assert loading.wrap(network, tiny.tokenizer(), name="tiny").rounded_weights_hash == model.rounded_weights_hash


def test_a_file_that_names_no_model_or_not_this_representation_is_refused(model: Model, tmp_path: Path) -> None:
    path = layers_json(tmp_path / "layers.json", model)
    with pytest.raises(LayerSetError, match="has layers for VA, HS, not for WVA"):
        layers_for(model, WVA, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["model"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(LayerSetError, match="a model that it does not name"):
        layers_for(model, VA, path)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "{}",
        '{"representations": {}}',
        '{"representations": {"VA": {}}}',
        '{"representations": {"VA": {"list": "13"}}}',
        '{"representations": {"VA": {"list": [1.7]}}}',
        '{"representations": {"VA": {"list": []}}}',
        '{"representations": {"VA": {"list": [1]}}, "model": "tiny"}',
        '{"representations": {"VA": {"list": [1]}}, "model": [1]}',
        '{"representations": {"VA": {"list": [1]}}, "prompt": "{text}"}',
        '{"representations": {"VA": {"list": [1]}}, "prompt": {"bos": []}}',
        '{"representations": {"VA": {"list": [1]}}, "prompt": {"template": "{text}", "bos": "b", "pool_over": "all"}}',
        '{"representations": {"VA": {"list": [1]}}, "prompt": {"template": 1, "bos": "never", "pool_over": "all"}}',
        '{"representations": {"VA": {"list": [1]}}, "model": {"n_layers": 3, "weights_hash": "w"}}',
        '{"representations": {"VA": {"list": [1]}}, "model": {"name": "tiny", "n_layers": "3", "weights_hash": "w"}}',
    ],
)
def test_a_file_that_is_no_sweep_s_is_refused(model: Model, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "layers.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultError, match=r"layers\.json does not hold a sweep's layer sets \(.+\)\. Give") as refused:
        layers_for(model, VA, path)
    assert "\n" not in str(refused.value)


def test_the_paper_s_sets_are_for_the_paper_s_models(model: Model) -> None:
    named = {name: loading.Model(**{**vars(model), "name": name}) for name in ("Qwen/Qwen3-8B", "smollm2-135m")}
    with pytest.raises(LayerSetError, match=r"for qwen3-8b and llama-2-7b, not for tiny\..*transfer-layers"):
        layers_for(model, VA, "preset")
    with pytest.raises(LayerSetError, match="not for smollm2-135m"):
        layers_for(named["smollm2-135m"], VA, "preset")
    with pytest.raises(LayerSetError, match="The paper's layer sets are for VA; HS was asked for"):
        layers_for(named["Qwen/Qwen3-8B"], HS, "preset")


@pytest.mark.parametrize(("name", "n_layers", "layers"), [("qwen3-8b", 36, "26,27,29-31"), ("llama-2-7b", 32, "20-27")])
def test_the_paper_s_sets_by_alias(model: Model, name: str, n_layers: int, layers: str) -> None:
    deep = loading.Model(
        **{**vars(model), "name": name, "sizes": type(model.sizes)(**{**vars(model.sizes), "n_layers": n_layers})}
    )
    assert str(layers_for(deep, VA, "preset")) == layers


@pytest.mark.parametrize("layers", ["0,2", LayerSet.of([0, 2]), LayerSet.of([3, 4])], ids=str)
def test_layers_at_which_there_is_no_vector_are_refused(model: Model, layers: LayerSet | str) -> None:
    with pytest.raises(SiteError, match=r"tiny has VA at the layers 1\.\.3; [04] was asked for"):
        encode(model, TEXTS, layers=layers)
