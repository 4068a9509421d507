"""Where models are found, and what is known of those with an alias."""

import re
from pathlib import Path

import pytest

from valens.errors import MissingPackageError, ModelError
from valens.files.wheels import find_in_wheel
from valens.layers.layer_set import LayerSet
from valens.model.catalog import CATALOG, known, locate


@pytest.mark.parametrize("alias", CATALOG)
def test_an_alias_says_where_the_model_is(alias):
    entry = known(alias.upper())
    assert entry is CATALOG[alias]
    where, file = locate(alias)
    if file is None:
        assert (where, file) == (entry.source, None)
        assert known(entry.source) is entry  # the hub name says as much as the alias
    else:
        assert (Path(where) / file).is_file()


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_sizes_fit_together_and_the_papers_layers_exist(entry):
    assert entry.n_heads % entry.n_kv_heads == 0
    assert entry.d_values <= entry.n_heads * entry.d_head
    if entry.paper_layers:
        assert str(LayerSet.parse(entry.paper_layers, entry.n_layers)) == entry.paper_layers


def test_qwen3_8b_has_the_papers_1024_value_dimensions():
    assert CATALOG["qwen3-8b"].d_values == 1024


def test_a_folder_a_gguf_file_and_a_hub_name_are_told_apart(tmp_path):
    (tmp_path / "config.json").touch()
    (tmp_path / "weights.gguf").touch()
    assert locate(str(tmp_path)) == (str(tmp_path), None)
    assert locate(str(tmp_path / "weights.gguf")) == (str(tmp_path), "weights.gguf")
    assert locate("owner/name") == ("owner/name", None)


def test_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    assert locate("~/mine") == (str(tmp_path / "mine"), None)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("qwen3-8", "Did you mean .*qwen3-8b"),
        ("smolm2-135m", "Did you mean smollm2-135m"),
        ("xyzzy", "There is no model 'xyzzy'. Give an alias"),
        ("./nowhere/at/all", "no folder or file ./nowhere/at/all"),
        ("/nowhere/model.gguf", "no folder or file"),
        ("~nobody-of-this-name/model", "no folder or file"),
    ],
)
def test_a_name_that_is_nothing_is_told_what_is_near(name, what):
    with pytest.raises(ModelError, match=what):
        locate(name)


def test_a_folder_without_a_model_and_a_file_that_is_none(tmp_path):
    with pytest.raises(ModelError, match=re.escape(f"folder {tmp_path} has no config.json")):
        locate(str(tmp_path))
    (tmp_path / "model.bin").touch()
    with pytest.raises(ModelError, match=r"is a file, but not a .gguf file. Give the model's folder"):
        locate(str(tmp_path / "model.bin"))


def test_a_missing_wheel_is_named_with_how_to_install_it():
    with pytest.raises(MissingPackageError, match=r"package is not installed. Run: pip install no-such-thing"):
        find_in_wheel("no_such_package", "file.gguf", install="pip install no-such-thing")
    with pytest.raises(MissingPackageError, match=r"installed without it. Run: pip install numpy"):
        find_in_wheel("numpy", "file.gguf", install="pip install numpy")


def test_a_file_is_found_without_importing_its_package():
    assert find_in_wheel("numpy", "py.typed", install="").is_file()
