"""A model that was loaded before is known by its files: what is stored needs no weights, and nothing wrong is believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from tiny import one_thread  # noqa: F401

from valens.errors import ModelError, ResultError, ValensWarning
from valens.extraction.embedding import encode
from valens.files import user_cache
from valens.model import loading, sources
from valens.model.model import Model
from valens.model.sources import Source

looked_at = sources._looked_at
TEXTS = ["w5 w6 w7 w8 w9", "w20 w21"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(user_cache.ENVIRONMENT, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path / "small", seed=0)


def saved(folder: Path, *, seed: int) -> Path:
    tiny.network("llama", seed=seed).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def load(folder: Path, *, check: bool = False) -> Model:
    return loading.load(str(folder), device="cpu", check=check)


def embedded(model: Model, texts: list[str] = TEXTS, store: Path | None = None) -> np.ndarray:
    return encode(model, texts, layers="1-3", store=store)


def flip(path: Path, position: int) -> None:
    """Turn a bit of one byte round, and leave size and times as they were."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "fetch", lambda *_, **__: pytest.fail("weights were loaded"))


def test_what_is_stored_is_had_without_loading_the_weights(folder, tmp_path, monkeypatch):
    first = load(folder)
    given = embedded(first, store=tmp_path / "store")
    unloadable(monkeypatch)
    again = load(folder)
    assert again.identity == first.identity
    assert (again.name, again.device) == ("small", first.device)
    assert np.array_equal(embedded(again, store=tmp_path / "store"), given)


def test_weights_are_loaded_when_a_text_is_new_and_give_the_same_numbers(folder):
    given = embedded(load(folder))
    again = load(folder)
    assert "bridge" not in vars(again.network)
    assert np.array_equal(embedded(again), given)
    assert again.bridge is again.bridge


@pytest.mark.parametrize(
    "settings", [{"dtype": "bfloat16"}, {"attn_implementation": "eager"}], ids=["dtype", "attention"]
)
def test_another_way_of_loading_is_another_memory(folder, settings):
    load(folder)
    other = loading.load(str(folder), device="cpu", **settings)
    assert other.identity != load(folder).identity
    assert loading.load(str(folder), device="cpu", **settings).identity == other.identity


def test_files_of_another_size_are_another_model(folder, tmp_path):
    first = load(folder)
    shutil.rmtree(folder)
    saved(folder, seed=1)
    assert load(folder).weights_hash != first.weights_hash
    assert load(saved(tmp_path / "elsewhere", seed=0)).identity == first.identity


def test_a_flipped_byte_of_the_weights_is_another_model(folder, monkeypatch):
    """The time of the change tells it, where size and time of modification do not; `check` asks nothing of times."""
    first = load(folder)
    flip(folder / "model.safetensors", -5)
    assert load(folder).weights_hash != first.weights_hash
    flip(folder / "model.safetensors", -5)
    assert load(folder).identity == first.identity
    monkeypatch.setattr(sources, "_looked_at", lambda path, before: before.get(path.name) or looked_at(path, before))
    flip(folder / "model.safetensors", -5)
    assert load(folder).identity == first.identity  # were there no times at all
    assert load(folder, check=True).weights_hash != first.weights_hash


def test_weights_that_change_before_they_are_needed_are_not_read(folder):
    load(folder)
    model = load(folder)
    flip(folder / "model.safetensors", -5)
    with pytest.raises(ModelError, match="small are not those that it was known by when this began"):
        embedded(model)
    assert np.isfinite(embedded(load(folder))).all()


def test_files_that_change_while_they_are_loaded_are_not_remembered(folder, monkeypatch):
    """A checkpoint that is still being written must not be known by the numbers of the one before."""
    wrap = loading.wrap

    def slow(*given: object, **settings: object) -> Model:
        shutil.copy2(folder / "model.safetensors", folder / "next")
        flip(folder / "next", -5)
        (folder / "next").replace(folder / "model.safetensors")
        return wrap(*given, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "wrap", slow)
        before = load(folder)
    assert load(folder).weights_hash != before.weights_hash


def test_weights_in_a_folder_below_count_and_an_adapter_is_not_remembered(folder, cache):
    """What an index of weights names, wherever it is; the base of an adapter is in no file of its folder."""
    (folder / "sub").mkdir()
    (folder / "model.safetensors").rename(folder / "sub" / "a.safetensors")
    names = dict.fromkeys(tiny.network("llama").state_dict(), "sub/a.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    files = [path.relative_to(folder).as_posix() for path in Source.of(str(folder)).files()]
    assert "sub/a.safetensors" in files
    before = Source.of(str(folder)).digest()
    flip(folder / "sub" / "a.safetensors", -5)
    assert Source.of(str(folder)).digest() != before
    (folder / "adapter_config.json").write_text("{}")
    assert Source.of(str(folder)).digest() is None


def test_a_model_that_has_gone_is_remembered_for_what_is_stored_of_it(folder, tmp_path):
    given = embedded(load(folder), store=tmp_path / "store")
    shutil.rmtree(folder)
    with pytest.warns(ValensWarning, match="small is not on this machine any more"):
        model = load(folder)
    assert np.array_equal(embedded(model, store=tmp_path / "store"), given)
    with pytest.raises(ModelError, match=r"A forward pass is needed, and .*small is not on this machine any more"):
        embedded(model, ["w30"], store=tmp_path / "store")


def test_a_model_that_never_was_is_not_remembered(tmp_path):
    with pytest.raises(ModelError, match="There is no folder or file"):
        load(tmp_path / "nowhere")


def test_a_damaged_memory_is_worked_out_anew(folder, cache):
    """Each file of the cache in turn, at several places."""
    first = load(folder)
    for path in sorted(path for path in cache.rglob("*") if path.is_file()):
        for part in (1, 4):
            if not path.exists():  # another tokenizer's file, say, that is not written again
                continue
            flip(path, path.stat().st_size * part // 5)
            model = load(folder)
            assert (model.identity, embedded(model).tobytes()) == (first.identity, embedded(first).tobytes()), path


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"value": {}, "sha256": 3}', b"\xff\xfe", b"[" * 100_000])
def test_a_memory_that_is_something_else_is_none(folder, cache, content):
    first = load(folder)
    for path in cache.rglob("*.json"):
        path.write_bytes(content)
    assert load(folder).identity == first.identity


def test_no_cache_and_one_that_cannot_be_written_are_done_without(folder, tmp_path, monkeypatch):
    first = load(folder)
    (tmp_path / "a file").write_text("")
    for place in ("off", str(tmp_path / "a file"), "/proc/nowhere"):
        monkeypatch.setenv(user_cache.ENVIRONMENT, place)
        assert load(folder).identity == first.identity
        assert load(folder).identity == first.identity


def test_what_another_version_wrote_is_not_read(folder, cache, monkeypatch):
    first = load(folder)
    monkeypatch.setattr("valens.model.remembered.version", lambda _: "0")
    assert load(folder).identity == first.identity
    (models,) = (cache / "models").iterdir()
    assert len(list(models.glob("*.json"))) == 2


def test_unchanged_files_are_not_hashed_again(folder, monkeypatch):
    source = Source.of(str(folder))
    digest = source.digest()
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("a file was hashed"))
    assert source.digest() == digest


def test_a_relative_name_of_a_folder_that_has_gone_is_not_taken_for_the_hubs(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)
    name = f"{folder.parent.name}/{folder.name}"
    first = loading.load(name, device="cpu")
    shutil.rmtree(folder)
    with pytest.warns(ValensWarning, match="is not on this machine any more"):
        assert loading.load(name, device="cpu").identity == first.identity


def test_a_commit_of_the_hub_is_remembered_whether_it_was_named_or_not(tmp_path, monkeypatch):
    """A snapshot in the hub's own cache, as a download leaves it: read plain, by its commit, and when it has gone."""
    commit, hub = "a" * 40, tmp_path / "hub" / "models--owner--small"
    saved(hub / "snapshots" / commit, seed=0)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(commit)
    for module in ("transformers.utils.hub", "huggingface_hub.constants", "huggingface_hub.file_download"):
        for name in ("HF_HUB_CACHE", "TRANSFORMERS_CACHE"):
            monkeypatch.setattr(f"{module}.{name}", str(hub.parent), raising=False)
    plain = loading.load("owner/small", device="cpu")
    assert plain.revision == loading.load("owner/small", device="cpu", revision=commit).revision == commit
    assert loading.load("owner/small", device="cpu").identity == plain.identity
    shutil.rmtree(hub)
    with pytest.warns(ValensWarning, match="owner/small is not on this machine any more"):
        assert loading.load("owner/small", device="cpu").identity == plain.identity


def test_a_damaged_tokenizer_is_kept_anew(folder, cache, monkeypatch):
    load(folder)
    (tokenizer,) = cache.glob("models/*/tokenizer/tokenizer_config.json")
    whole = tokenizer.read_text()
    tokenizer.write_text(whole.replace("pad_token", "bad_token"))
    load(folder)
    assert tokenizer.read_text() == whole
    unloadable(monkeypatch)
    load(folder)


@pytest.mark.parametrize("value", ["~nobody-of-this-name/c", "x" * 300, "/proc/1/nowhere", "/dev/null"])
def test_a_place_that_can_be_no_cache_is_done_without(folder, monkeypatch, value):
    monkeypatch.setenv(user_cache.ENVIRONMENT, value)
    assert load(folder).identity == load(folder).identity


def test_the_cache_is_measured_and_removed_and_nothing_else_is(folder, cache):
    load(folder)
    assert user_cache.size(cache) == sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) > 1000
    (cache / "thesis").mkdir()
    user_cache.clear(cache)
    assert [path.name for path in cache.iterdir()] == ["thesis"]
    (cache / "models").mkdir()
    with pytest.raises(ResultError, match=r"has no CACHEDIR.TAG of valens, so it is not taken for its cache"):
        user_cache.clear(cache)
    assert (cache / "models").exists()
    user_cache.clear(cache / "nowhere")
