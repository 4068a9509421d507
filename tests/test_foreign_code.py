"""No code that comes with a model is ever run: not where it would be needed, nor where somebody says yes to it."""
# ruff: noqa: F811 - a fixture that is imported is an argument too

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

from valens.errors import ModelError
from valens.model import loading
from valens.store.store import ActivationStore

CODE = """from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Path({marker!r}).touch()

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig

class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""
MODEL = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
TOKENIZER = {"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizer"]}
REFUSED = {
    "config": {"config.json": {"model_type": "own", "auto_map": MODEL}},
    "tokenizer": {"tokenizer_config.json": {"tokenizer_class": "OwnTokenizer", "auto_map": TOKENIZER}},
    "network": {"config.json": {"model_type": "albert", "auto_map": MODEL}},
    "says yes": {"config.json": {"model_type": "own", "auto_map": MODEL, "trust_remote_code": True}},
}
"""What a hostile folder's files say, of folders that cannot be read without its code."""
MEANT = (
    "without code that comes with it, and valens never runs a model's own code. Choose a model that transformers itself"
)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the code would leave behind."""
    return tmp_path / "was-run"


def hostile(folder: Path, tiny_folder: Path, marker: Path, files: dict[str, dict[str, object]]) -> Path:
    """A model's folder with code in it, and the files of a tiny model changed to ask for it."""
    shutil.copytree(tiny_folder, folder, dirs_exist_ok=True)
    (folder / "own.py").write_text(CODE.format(marker=str(marker)), encoding="utf-8")
    for name, changes in files.items():
        said = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(said | changes), encoding="utf-8")
    return folder


@pytest.mark.parametrize("what", REFUSED)
def test_a_folder_that_needs_its_code_is_refused(what: str, tmp_path: Path, tiny_folder: Path, marker: Path) -> None:
    folder = hostile(tmp_path / "hostile", tiny_folder, marker, REFUSED[what])
    with pytest.raises(ModelError, match=f"hostile cannot be loaded {MEANT}"):
        loading.load(str(folder), device="cpu")
    assert not marker.exists()


def test_a_folder_that_transformers_has_the_code_for_is_read_with_that(
    tmp_path: Path, tiny_folder: Path, marker: Path
) -> None:
    files = {"config.json": {"auto_map": MODEL}, "tokenizer_config.json": {"auto_map": TOKENIZER}}
    loaded = loading.load(str(hostile(tmp_path / "known", tiny_folder, marker, files)), device="cpu")
    assert loaded.weights_hash == loading.load(str(tiny_folder), device="cpu").weights_hash
    assert type(loaded.bridge.original_model).__module__.startswith("transformers.models.llama")
    assert not marker.exists()


def test_a_tokenizer_cannot_say_yes_in_the_users_place(tmp_path: Path, tiny_folder: Path, marker: Path) -> None:
    """The settings in a tokenizer's file are arguments when TransformerLens reads it anew, with a token put first."""
    folder = hostile(tmp_path / "ctrl", tiny_folder, marker, {})
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps({"<unk>": 0, "<s>": 1, "a</w>": 2}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    said = {"tokenizer_class": "CTRLTokenizer", "bos_token": "<s>", "unk_token": "<unk>"}
    yes = {"trust_remote_code": True, "auto_map": {"AutoTokenizer": [f"{folder}--own.OwnTokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(said | yes))
    assert type(loading.load(str(folder), device="cpu").tokenizer).__name__ == "CTRLTokenizer"
    assert not marker.exists()


# --- at the command line, where somebody says yes to all that is asked -------------------------------------------------

SEVERAL = """
import json, sys
from valens.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["valens", *words]
    try:
        main()
    except SystemExit as ended:
        print("ended with", ended.code, file=sys.stderr)
"""
"""Several calls, one after the other in one process, which imports large libraries once."""


def through_a_pipe(command: list[str]) -> str:
    done = subprocess.run(command, input="y\n" * 99, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout + done.stderr


def at_a_terminal(command: list[str]) -> str:
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n" * 99)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    assert child.returncode == 0
    return said.decode().replace("\r\n", "\n").replace("y\n" * 99, "", 1)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that nobody is at its other end any more
        return b""


@pytest.mark.parametrize("asked", [through_a_pipe, at_a_terminal])
def test_nobody_is_asked_and_a_yes_runs_nothing(
    asked, shell: Shell, tmp_path: Path, tiny_folder: Path, marker: Path
) -> None:
    """In the case of drift the name is the store's: what lies there under the name of the model that was read."""
    (tmp_path / "texts.txt").write_text("w5 w6\n")
    shutil.copytree(tiny_folder, tmp_path / "config")
    assert shell("extract", "texts.txt", "--model", "config", "--device", "cpu").code == 0
    (collection,) = ActivationStore("activations").collections()
    for what, files in REFUSED.items():
        hostile(tmp_path / what, tiny_folder, marker, files)

    calls = [["extract", "texts.txt", "--device", "cpu", "--model", what] for what in REFUSED]
    calls.append(["store", "drift", collection.key[:8], "--device", "cpu"])
    said = asked([sys.executable, "-c", SEVERAL, json.dumps(calls)])
    assert "[y/N]" not in said
    assert said.count(MEANT) == said.count("Error:") == said.count("ended with 2") == len(calls)
    assert not marker.exists()
