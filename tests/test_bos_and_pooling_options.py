"""`--bos` and `--pool-over`: every command that reads texts reads them so, and says so; the vectors are a bare forward's."""
# ruff: noqa: F811 - a fixture that is imported is an argument too

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

import valens as vl

LINES = ["w5 w6 w7 w8", "w9 w10", "w11 w12 w13"]
OPTIONS = [("auto", "all"), ("auto", "text"), ("always", "text"), ("never", "all")]
WORDS = {"auto": "tokenizer", "always": "always", "never": "never"}
"""What a store calls them."""


def documents(n: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(f"w{chance.randrange(5, 97)}" for _ in range(40)) for _ in range(n)]


@pytest.fixture
def texts(shell: Shell) -> Path:
    path = Path("texts.txt")
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def bare(bos: str, pool_over: str) -> np.ndarray:
    """The mean of layers 2 and 3 of the mean values of each line, from Hugging Face's own modules."""
    network, vectors = tiny.network("llama"), []
    network.set_attn_implementation("eager")
    for line in LINES:
        ids = [int(word[1:]) for word in line.split()]
        seen = tiny.token_vectors("llama", network, torch.tensor([ids if bos == "never" else [2, *ids]]))
        first = 1 if bos != "never" and pool_over == "text" else 0
        vectors.append(np.mean([seen["values", layer][0, first:].mean(0).numpy() for layer in (2, 3)], axis=0))
    return np.array(vectors)


@pytest.mark.parametrize(("bos", "pool_over"), OPTIONS)
def test_encode_reads_texts_as_a_bare_forward_would(
    shell: Shell, tiny_folder: Path, texts: Path, bos: str, pool_over: str
) -> None:
    options = ("--bos", bos, "--pool-over", pool_over, "--layers", "2,3", "--out", "v.npy")
    ended = shell("encode", texts, "--model", tiny_folder, *options)
    assert (ended.code, ended.err) == (0, "")
    np.testing.assert_allclose(np.load("v.npy"), bare(bos, pool_over), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("command", ["segment-matching", "next-token", "anisotropy", "sweep-layers"])
def test_a_probe_reads_texts_so_and_its_result_says_so(
    shell: Shell, tiny_folder: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valens.plotting.style.save_figure", lambda *_: [])  # drawn elsewhere, and slow
    Path("documents.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in documents(14)))
    data = ("--suite", "LeeSTS,WikiRetrieval", "--limit", "12", "--no-compare", "--layers", "2-3")
    data = data if command == "sweep-layers" else ("--corpus", "documents.jsonl")
    small = {"segment-matching": ("--k", "1"), "next-token": ("--steps", "20", "--seeds", "1", "--prefixes", "8")}
    options = ("--representations", "VA,HS", "--out", "out", *small.get(command, ()))
    found = {}
    policies = OPTIONS[:3] if command == "sweep-layers" else OPTIONS  # all its words are unknown to the tiny tokenizer
    for bos, pool_over in policies:
        ended = shell(command, "--model", tiny_folder, *data, *options, "--bos", bos, "--pool-over", pool_over)
        assert ended.code == 0, ended.err
        facts = json.loads(Path("out/provenance.json").read_text())
        assert facts["how_read"]["prompt"] == {"template": "{text}", "bos": WORDS[bos], "pool_over": pool_over}
        scores = vl.read_result("out").table.score
        found[bos, pool_over] = scores.to_numpy(dtype=float, na_value=np.nan)
    for other in set(policies) - {("auto", "all")}:
        assert not np.allclose(found["auto", "all"], found[other], equal_nan=True)
    np.testing.assert_allclose(found["auto", "text"], found["always", "text"])  # the tokenizer puts one first anyway


@pytest.mark.parametrize(("command", "readings"), [("extract", ()), ("extract-tokens", ("values@2/tokens",))])
def test_what_is_kept_is_kept_apart(
    shell: Shell, tiny_folder: Path, texts: Path, command: str, readings: tuple
) -> None:
    said = [
        shell(command, texts, *readings, "--model", tiny_folder, "--bos", bos, "--json").json
        for bos in ("auto", "never", "auto")
    ]
    assert [one["passes"] for one in said] == [3, 3, 0]
    manifests = [json.loads(path.read_text()) for path in Path("activations").glob("*/manifest.json")]
    assert sorted(manifest["identity"]["prompt"]["bos"] for manifest in manifests) == ["never", "tokenizer"]


def test_layers_go_with_the_prompt_that_they_were_chosen_with(shell: Shell, tiny_folder: Path, texts: Path) -> None:
    sweep = (
        "--suite",
        "LeeSTS,WikiRetrieval",
        "--limit",
        "12",
        "--no-compare",
        "--pool-over",
        "text",
        "--out",
        "swept",
    )
    assert shell("sweep-layers", "--model", tiny_folder, *sweep).code == 0
    chosen = json.loads(Path("swept/layers.json").read_text())
    assert chosen["prompt"] == {"template": "{text}", "bos": "tokenizer", "pool_over": "text"}
    words = ("encode", texts, "--model", tiny_folder, "--out", "v.npy", "--layers")
    vectors = []
    for layers in (
        ("swept/layers.json",),
        ("swept/layers.json", "--bos", "auto", "--pool-over", "text"),
        (chosen["layers"], "--pool-over", "text"),
    ):
        ended = shell(*words, *layers)
        assert (ended.code, ended.err) == (0, "")
        vectors.append(np.load("v.npy"))
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    for other in (("--bos", "never"), ("--pool-over", "all")):
        refused = shell(*words, "swept/layers.json", *other)
        assert refused.code == 2
        assert "Read texts as the sweep did" in " ".join(refused.err.split())


@pytest.mark.parametrize("option", ["--bos", "--pool-over"])
@pytest.mark.parametrize(
    "command",
    ["sweep-layers", "segment-matching", "next-token", "anisotropy", "extract texts.txt", "encode --layers 1"],
)
def test_a_policy_that_there_is_not_is_refused(shell: Shell, texts: Path, command: str, option: str) -> None:
    ended = shell(*command.split(), option, "perhaps")
    assert ended.code == 2
    assert "'perhaps' was given; choose one of a" in " ".join(ended.err.split())
