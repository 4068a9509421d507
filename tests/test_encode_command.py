"""`valens encode` and `valens transfer-layers`: what goes in and comes out, and how they refuse."""
# ruff: noqa: F811 - a fixture that is imported is an argument too

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shell import Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

import valens
from valens.commands.encode import _to_standard_output
from valens.errors import ResultError
from valens.representations.named import HS

LINES = ["w5 w6 w7 w8", "w9 w10", "w5 w6 w7 w8", "w11 w12 w13"]


@pytest.fixture(scope="module")
def expected(tiny_folder: Path) -> np.ndarray:
    return valens.encode(valens.load(str(tiny_folder)), LINES, layers="2,3")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def test_lines_go_in_and_an_array_comes_out(tiny_folder: Path, expected: np.ndarray, tmp_path: Path) -> None:
    """Through real pipes: nothing but the array is on standard output, and no store is left behind."""
    command = [sys.executable, "-m", "valens", "encode", "--model", str(tiny_folder), "--layers", "2,3"]
    done = subprocess.run(command, input="\r\n".join(LINES).encode(), capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = np.load(io.BytesIO(done.stdout))
    assert (found.dtype, found.shape) == (np.float32, (4, 16))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_s_layers_are_used_at_once(shell: Shell, tiny_folder: Path, texts: Path) -> None:
    sweep = ("--suite", "LeeSTS,WikiRetrieval", "--limit", "12", "--no-compare", "--out", "swept")
    assert shell("sweep-layers", "--model", tiny_folder, *sweep).code == 0
    for name, representation in (("VA", valens.VA), ("HS", HS)):
        options = ("--layers", "swept/layers.json", "--representation", name, "--normalize", "--out", f"{name}.npy")
        ended = shell("encode", texts, "--model", tiny_folder, *options, "--store", "kept")
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        model = valens.load(str(tiny_folder))
        expected = valens.encode(  # the file was made in this folder
            model, LINES, representation=representation, layers="swept/layers.json", store="kept", normalize=True
        )
        np.testing.assert_array_equal(np.load(f"{name}.npy"), expected)
    other = shell("encode", texts, "--layers", "swept/layers.json", "--representation", "WVA", "--model", tiny_folder)
    assert (other.code, other.out) == (2, "")
    assert "has layers for VA, HS, not for WVA" in other.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"w5\n\nw6\n", "texts.txt has no text in line 2. Every line is a text and gets a vector"),
        (b"", "texts.txt has no text in line 1"),
        (b"w5\ncaf\xe9\n", "texts.txt is not UTF-8 (byte 6)"),
    ],
)
def test_lines_that_are_no_texts_are_refused(shell: Shell, texts: Path, content: bytes, message: str) -> None:
    texts.write_bytes(content)
    ended = shell("encode", texts, "--layers", "2", "--out", "v.npy")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert not Path("v.npy").exists()


def test_a_byte_order_mark_is_no_part_of_the_first_text(shell: Shell, tiny_folder: Path, texts: Path) -> None:
    texts.with_name("marked.txt").write_bytes(b"\xef\xbb\xbf" + texts.read_bytes())
    for name in ("texts", "marked"):
        ended = shell("encode", f"{name}.txt", "--model", tiny_folder, "--layers", "2", "--out", f"{name}.npy")
        assert ended.code == 0
    np.testing.assert_array_equal(np.load("marked.npy"), np.load("texts.npy"))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("no/such/v.npy", "There is no folder no/such for v.npy. Make it"),
        (".", "--out . is a folder. Name a file"),
        ("", "is a folder. Name a file"),
        ("/", "--out / is a folder. Name a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_model(
    shell: Shell, texts: Path, out: str, message: str
) -> None:
    ended = shell("encode", texts, "--model", "no-such-model", "--layers", "2", "--out", out)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1)
    assert message in ended.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_standard_output_is_told_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python still holds of it would be written again on leaving, and so nothing may be."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(ResultError, match=r"Standard output cannot be written \(No space left"):
            _to_standard_output(memoryview(b"numbers"))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("4", "The model has layers 1..3; 4 was asked for"),
        ("0", "has VA at the layers 1..3; 0 was asked for"),
        ("preset", "The paper chose layers for qwen3-8b and llama-2-7b, not for tiny-llama."),
        ("missing.json", "missing.json does not hold a sweep's layer sets"),
    ],
)
def test_layers_that_the_model_lacks_are_refused(
    shell: Shell,
    tiny_folder: Path,
    texts: Path,
    layers: str,
    message: str,
) -> None:
    ended = shell("encode", texts, "--model", tiny_folder, "--layers", layers, "--out", "v.npy")
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert message in ended.err


def test_no_array_is_written_to_a_terminal(shell: Shell, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ended = shell("encode", texts, "--layers", "2")
    assert ended.code == 2
    assert "Give --out vectors.npy, or send standard output to a file" in ended.err


def test_a_set_at_the_same_depths_is_called_a_guess(shell: Shell) -> None:
    ended = shell("transfer-layers", "26,27,29-31", "--from", 36, "--to", 28)
    layers, caution = ended.out.splitlines()
    assert (ended.code, layers) == (0, "20,21,23,24")
    assert caution.startswith(
        "A guess by depth, from 26,27,29-31 of 36 layers to 28; nothing was measured. 5 layers fell on 4."
    )
    found = shell("transfer-layers", "half", "--from", 4, "--to", 8, "--json").json
    assert (found["layers"], found["fell_together"]) == ("4,6,8", 0)
    refused = shell("transfer-layers", "37", "--from", 36, "--to", 28)
    assert (refused.code, refused.out) == (2, "")
    assert "layers 1..36; 37 was asked for" in refused.err


def test_post_is_fitted_on_other_texts_and_kept_beside_the_vectors(
    shell: Shell, tiny_folder: Path, texts: Path
) -> None:
    Path("fit").mkdir()
    for number in range(8):
        Path(f"fit/{number}.txt").write_text(f"w{20 + number} w{30 + 2 * number} w{60 - number}")
    words = ("encode", texts, "--model", tiny_folder, "--layers", "2,3")
    said = shell(*words, "--post", "standardised", "--fit", "fit", "--out", "after.npy")
    assert (said.code, said.err) == (0, "")
    model = valens.load(str(tiny_folder))
    others = valens.encode(model, valens.corpus("fit"), layers="2,3").astype(float)
    plain = valens.encode(model, LINES, layers="2,3")
    wanted = (plain - others.mean(axis=0)) / others.std(axis=0)
    np.testing.assert_allclose(np.load("after.npy"), wanted, rtol=1e-4, atol=1e-4)
    with np.load("after.post.npz") as kept:
        np.testing.assert_allclose(kept["offset"], others.mean(axis=0), rtol=1e-6, atol=1e-7)
        assert '"name": "standardised"' in str(kept["about"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--post", "abtt-1", "--out", "x.npy"), "--post, --fit and --out go together"),
        (("--post", "zca", "--fit", "fit", "--out", "x.npy"), "no post-processing 'zca'"),
        (("--post", "whitened-4", "--fit", "fit", "--out", "x.npy"), "is fitted on 17 texts or more; there are 1"),
        (("--post", "centred", "--fit", "same", "--out", "x.npy"), "1 of the 2 texts of same to fit on are evaluated"),
    ],
    ids=["no fit", "unknown", "few", "the same text"],
)
def test_post_that_cannot_be_fitted_is_refused(shell, tiny_folder, texts, options, says) -> None:
    for folder, lines in (("fit", ["w5 w60"]), ("same", ["w61 w5", "W9  w10."])):
        Path(folder).mkdir()
        for number, line in enumerate(lines):
            Path(f"{folder}/{number}.txt").write_text(line)
    said = shell("encode", texts, "--model", tiny_folder, "--layers", "2,3", *options)
    assert said.code == 2
    assert says in " ".join(said.err.split())
    assert not Path("x.npy").exists()
