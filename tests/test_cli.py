"""The command line, on a tiny model in a folder: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import gc
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
import torch
import transformers as hf
from tiny import one_thread  # noqa: F401

from probes.catalogue import read_result
from valens import cli
from valens.layers.layer_set import LayerSet
from valens.model import loading
from valens.model.catalog import CATALOG
from valens.model.model import Model
from valens.results.formatting import at_layers
from valens.selectors import SELECTORS

DETAILS = (
    "choices",
    "dimension",
    "paired_differences",
    "replicates",
    "comparisons",
    "rules",
    "samples",
    "scores",
    "sets",
)
TABLES = {f"{name}.parquet" for name in DETAILS}
FILES = TABLES | {"provenance.json", "layers.json", "figure3.pdf", "figure3.png"}
STOPPED = "Stopped. What was finished is kept; the same command goes on from there."
SMALL = ("--suite", "LeeSTS,WikiRetrieval", "--limit", "12")


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must be one strictly valid JSON value and nothing else."""
        return json.loads(self.out, parse_constant=pytest.fail)


Run = Callable[..., Said]


def called(*arguments: str | Path) -> Said:
    """Call the command as a shell would, in the working folder."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["valens", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, in an empty folder and on a narrow terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return called


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-llama"
    tiny.network("llama").save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the tests of this module fill together, in any order."""
    return tmp_path_factory.mktemp("shared") / "store"


@pytest.fixture
def sweep(run: Run, folder: Path, store: Path) -> Run:
    return lambda *arguments: run("sweep-layers", "--model", folder, *SMALL, "--store", store, *arguments)


@pytest.fixture
def without_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is half the time of a sweep this small."""
    monkeypatch.setattr("valens.plotting.style.save_figure", lambda *_: [])


def test_a_command_looks_for_circles_of_objects_rarely(run: Run) -> None:
    """Python's own threshold takes a quarter of the time of loading a GGUF file."""
    run("--version")
    assert gc.get_threshold()[0] >= 50_000


# --- what a sweep leaves and says -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Swept:
    """Three sweeps with one store, in folders that have a space in their names, and what each said."""

    folder: Path
    first: Said
    as_json: Said
    bare: Said
    """Without what other rules would choose, and without an evaluation."""


@pytest.fixture(scope="module")
def swept(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    place = tmp_path_factory.mktemp("swept")
    words = ("sweep-layers", "--model", folder, *SMALL, "--store", "my store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("COLUMNS", "80")
        first = called(*words, "--evaluation", "LeeSTS", "--out", "my out")
        as_json = called(*words, "--evaluation", "LeeSTS", "--out", "as json", "--json")
        yield Swept(place, first, as_json, called(*words, "--no-compare", "--out", "bare"))


def test_a_sweep_writes_its_files_and_prints_its_tables(swept: Swept) -> None:
    said, out = swept.first, swept.folder / "my out"
    assert said.code == 0
    assert {path.name for path in out.iterdir()} == FILES
    assert "--out 'my out'" in read_result(out).provenance["command"]
    found = json.loads((out / "layers.json").read_text(encoding="utf-8"))
    for name in ("VA", "HS"):
        assert f"{name}: score by layer" in said.out
        chosen = at_layers(str(LayerSet.of(found["representations"][name]["list"])))
        assert f"{name}: the `paper` rule chooses {chosen}:" in said.out
    for layer, reason in found["reasons"].items():
        if reason["in"]:
            assert f"  {layer}: {reason['why'][:30]}" in said.out
    assert "VA − HS, chosen sets" in said.out
    assert "TF-IDF" in said.out
    *lines, last = said.out.rstrip().splitlines()
    assert max(map(len, lines)) <= 80
    assert last.endswith(" are in my out")


def test_a_second_sweep_says_that_it_read_nothing(swept: Swept) -> None:
    assert re.search(r"\d+ texts read in \d:\d\d:\d\d", swept.first.out)
    assert "No forward pass: all of it had been read before" in swept.bare.out
    first, second, bare = (swept.folder / name for name in ("my out", "as json", "bare"))
    for other in (second, bare):
        pd.testing.assert_frame_equal(read_result(first).table, read_result(other).table, check_exact=True)
    assert (first / "layers.json").read_bytes() == (second / "layers.json").read_bytes()


@pytest.mark.usefixtures("without_figure")
def test_texts_that_were_cut_are_counted(sweep: Run) -> None:
    said = sweep("--out", "out", "--no-compare", "--max-tokens", "16")
    cut = read_result("out").provenance["texts_truncated"]
    assert cut > 0
    assert f"{cut} texts were cut at the limit of tokens" in said.out


def test_every_rule_has_a_line_and_texts_shared_with_the_evaluation_a_note(swept: Swept) -> None:
    for rule in SELECTORS:
        assert re.search(rf"^(> )?{rule} +[\d,-]+ ", swept.first.out, flags=re.MULTILINE)
    assert swept.first.err.startswith("Note: LeeSTS,WikiRetrieval and LeeSTS have texts in common")
    assert "`valens overlap` shows which" in swept.first.err
    assert "greedy" not in swept.bare.out
    assert swept.bare.err == ""


def test_json_is_one_object_with_all_of_it(swept: Swept) -> None:
    said, out = swept.as_json, swept.folder / "as json"
    found = said.json()
    assert said.code == 0
    table = read_result(out).table
    assert len(found["scores"]) == len(table)
    assert [row["score"] for row in found["scores"]] == [None if pd.isna(score) else score for score in table.score]
    stored = json.loads((out / "layers.json").read_text(encoding="utf-8"))
    assert (found["layers"], found["representations"]) == (stored["layers"], stored["representations"])
    assert found["comparisons"] == stored["comparisons"]
    assert found["provenance"]["model"]["model"] == "tiny-llama"
    assert found["out"] == "as json"
    assert [f"Note: {note}" for note in found["notes"]] == said.err.splitlines()
    assert said.err == swept.first.err


@pytest.mark.usefixtures("without_figure")
@pytest.mark.parametrize("select", SELECTORS)
def test_every_selector_can_be_asked_for(sweep: Run, select: str) -> None:
    found = sweep("--out", "out", "--select", select, "--no-compare", "--json").json()
    assert found["representations"]["VA"]["selector"] == select
    if select == "all":
        assert found["layers"] == "1-3"


@pytest.mark.usefixtures("without_figure")
def test_the_options_reach_the_sweep(sweep: Run) -> None:
    options = ("--representations", "hidden:norm/last, wmp,WMP", "--layers", "2-3", "--select", "all")
    reading = ("--dtype", "bfloat16", "--device", "cpu", "--max-tokens", "32", "--seed", "5")
    found = sweep("--out", "out", "--no-compare", "--json", *options, *reading).json()
    assert list(found["representations"]) == ["hidden:norm/last", "WMP"]
    assert {row["layer"] for row in found["scores"]} == {None, 2, 3}
    assert found["layers"] == "2,3"
    assert found["provenance"]["seed"] == 5
    assert found["provenance"]["how_read"]["dtype"] == "bfloat16"
    assert found["provenance"]["how_read"]["truncation"]["max_tokens"] == 32


@pytest.mark.usefixtures("without_figure")
def test_limit_is_texts_a_task(sweep: Run) -> None:
    found = sweep("--out", "out", "--no-compare", "--json", "--limit", "8").json()
    sizes = found["provenance"]["suite"]["tasks"]
    assert sizes["LeeSTS"].endswith("of 8 texts")
    queries, documents = map(int, re.findall(r"\d+", sizes["WikiRetrieval"]))
    assert queries + documents == 8


@pytest.mark.usefixtures("without_figure")
def test_the_whole_suite_has_five_task_types(run: Run, folder: Path, store: Path) -> None:
    words = ("--limit", "40", "--store", store, "--out", "out", "--no-compare", "--json")
    found = run("sweep-layers", "--model", folder, *words).json()
    assert {row["task_type"] for row in found["scores"]} == {
        "STS",
        "Retrieval",
        "Reranking",
        "Clustering",
        "Classification",
    }
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in found["scores"] if row["metric"] == "ndcg_at_10")


# --- a dry run --------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_would_cost_and_leaves_nothing(sweep: Run, tmp_path: Path) -> None:
    said = sweep("--dry-run", "--store", tmp_path / "new", "--out", "out")
    assert said.code == 0
    for word in ("texts", "tokens", "forward passes", "to be stored", "MiB", "time to read", "measured"):
        assert word in said.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_figure")
def test_a_dry_run_counts_what_a_run_then_does(sweep: Run, tmp_path: Path) -> None:
    settings = ("--store", tmp_path / "new", "--no-compare", "--json")
    before = sweep("--dry-run", *settings).json()
    made = sweep("--out", "out", *settings).json()["provenance"]
    after = sweep("--dry-run", *settings).json()
    assert (before["passes"], before["pass_tokens"]) == (made["forward_passes"], made["tokens_read"])
    assert before["seconds"] > 0
    assert (after["passes"], after["stored_bytes"], after["seconds"]) == (0, 0, 0)
    on_disk = sum(path.stat().st_size for path in (tmp_path / "new").rglob("*.safetensors"))
    # What the estimate leaves out is what a shard says of itself and of its rows.
    assert 0 <= on_disk - before["stored_bytes"] < 1_000 * before["passes"]


# --- models, help -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["80", "120"])
def test_models_are_listed_one_alias_a_line(run: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = run("models")
    assert max(map(len, said.out.splitlines())) <= int(columns)
    for alias, known in CATALOG.items():
        (line,) = [line for line in said.out.splitlines() if line.startswith(f"{alias} ")]
        assert line.split()[1:4] == [str(known.n_layers), f"{known.d_model:,}", f"{known.n_heads}/{known.n_kv_heads}"]
        assert (known.paper_layers or "–") in line
    if columns == "120":
        assert all(known.source in said.out for known in CATALOG.values() if "wheel:" not in known.source)


def test_models_as_json(run: Run) -> None:
    found = run("models", "--json").json()
    assert set(found) == set(CATALOG)
    assert (found["qwen3-8b"]["d_values"], found["qwen3-8b"]["paper_layers"]) == (1024, "26,27,29-31")
    assert found["llama-2-7b"]["paper_layers"] == "20-27"


def test_help_waits_for_no_large_library() -> None:
    """It must answer at once; what makes it slow is what it imports."""
    program = (
        "import sys; sys.argv = ['valens', 'sweep-layers', '--help']\n"
        "from valens.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'transformers', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for option in ("--model", "--suite", "--representations", "--layers", "--select", "--store", "--out", "--device"):
        assert option in done.stdout
    for option in ("--dtype", "--max-tokens", "--limit", "--seed", "--dry-run", "--json", "--on-long"):
        assert option in done.stdout


# --- refusals: one line, exit code 2, nothing written -------------------------------------------------------------------


def refused(said: Said, message: str) -> None:
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("Error: ")
    assert re.search(message, said.err), said.err
    assert not Path("out").exists() or not list(Path("out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "smolm2-135m"], "no model 'smolm2-135m'. Did you mean smollm2-135m"),
        (["--model", "./nowhere/model"], "no folder or file ./nowhere/model"),
        (["--suite", "LeeSTS,WikiRetrival"], "no built-in task 'WikiRetrival'. Did you mean WikiRetrieval"),
        (["--suite", ""], "no built-in task ''"),
        (["--suite", "LeeSTS"], "`paper` needs a task of type Retrieval"),
        (["--suite", "LeeSTS", "--dry-run"], "`paper` needs a task of type Retrieval"),
        (["--suite", "LeeSTS,LeeSTS"], "tasks of different names"),
        (["--suite", "WikiRetrieval"], "`paper` chooses by what tasks agree on; one task was given.*--select top-k"),
        (["--suite", "WikiRetrieval", "--select", "greedy"], "`greedy` chooses by what tasks agree on"),
        (["--evaluation", "LeeST"], "no built-in task 'LeeST'. Did you mean LeeSTS"),
        (["--representations", "WPM"], "no representation 'WPM'. Did you mean WMP"),
        (["--representations", ""], "no representation ''"),
        (["--representations", "value/mean"], r"value.*values"),
        (["--representations", "values/max"], "max.*mean"),
        (["--representations", "pattern/mean"], "make no embedding"),
        (["--select", "papr"], "no selector 'papr'. Did you mean paper"),
        (["--layers", "1-4"], r"layers 1\.\.3; 4 was asked for"),
        (["--layers", "0"], "VA has no layer 0; it has 1..3"),
        (["--layers", "3-1"], "runs backwards"),
        (["--layers", "first"], "'first' in 'first' is not a valid layer"),
        (["--limit", "2"], "cannot be cut to 2 texts"),
        (["--limit", "0"], "cannot be cut to 0 texts"),
        (["--max-tokens", "129"], "1 to 128 tokens; --max-tokens 129"),
        (["--max-tokens", "0"], "--max-tokens 0 was asked for"),
        (["--max-tokens", "16", "--on-long", "error"], "texts have more than 16 tokens"),
        (["--on-long", "shorten"], "truncate or error; 'shorten'"),
        (["--dtype", "float8"], "no dtype 'float8'.*float32, bfloat16, float16"),
        (["--device", "tpu"], "no device 'tpu'.*auto, cpu, cuda"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(sweep: Run, arguments: list[str], message: str) -> None:
    refused(sweep("--out", "out", *arguments), message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_cuda_that_is_absent_is_refused(sweep: Run) -> None:
    refused(sweep("--out", "out", "--device", "cuda"), "PyTorch sees no CUDA device. Use --device cpu")


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_out_that_cannot_be_written_to_is_refused_before_the_model_is_loaded(
    sweep: Run, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("The model was loaded."))
    Path("file").write_text("not a folder")
    refused(sweep("--out", out), f"{out} cannot be written to.*Choose another --out")


def test_a_store_that_is_something_else_is_refused(sweep: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("a cat")
    refused(sweep("--out", "out", "--store", tmp_path / "file"), "file is a file. A store is a folder")
    refused(sweep("--out", "out", "--store", tmp_path / "photos"), "none of them is an activation store's")


@pytest.mark.usefixtures("without_figure")
def test_a_collection_that_another_model_made_is_no_store(sweep: Run, tmp_path: Path) -> None:
    sweep("--out", "first", "--no-compare", "--store", tmp_path / "store")
    (collection,) = [path.parent for path in (tmp_path / "store").glob("*/manifest.json")]
    said = sweep("--out", "out", "--store", collection)
    refused(said, f"one collection of a store, made by tiny-llama. Give the store's own folder: {tmp_path / 'store'}")


def test_a_model_without_attention_values_is_refused_with_the_reason(run: Run, tmp_path: Path) -> None:
    config = hf.MambaConfig(vocab_size=tiny.VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4)
    config.save_pretrained(tmp_path / "mamba")
    tiny.tokenizer().save_pretrained(tmp_path / "mamba")
    said = run("sweep-layers", "--model", tmp_path / "mamba", *SMALL, "--out", "out", "--store", "store")
    refused(said, r"\(mamba\) is a model without attention heads.*state-space")


def test_what_looks_like_markup_is_shown_as_it_is(sweep: Run) -> None:
    refused(sweep("--out", "out", "--select", "[bold]best"), re.escape("'[bold]best'"))


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_figure")
def test_ctrl_c_stops_with_a_sentence_and_keeps_what_was_read(
    sweep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The signal comes in the second forward pass; what the first one read is there for the next run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    run_body, passes = Model.run_body, []

    def interrupted(self: Model, ids: torch.Tensor, *rest: torch.Tensor) -> None:
        passes.append(ids)
        if len(passes) == 2:
            signal.raise_signal(signal.SIGINT)
        run_body(self, ids, *rest)

    monkeypatch.setattr(Model, "run_body", interrupted)
    larger = ("--limit", "60", "--out", "out", "--no-compare", "--json")
    said = sweep(*larger, "--store", tmp_path / "store")
    assert (said.code, said.out) == (130, "")
    assert " ".join(said.err.split()) == STOPPED
    assert not Path("out").exists()
    monkeypatch.setattr(Model, "run_body", run_body)
    resumed = sweep(*larger, "--store", tmp_path / "store").json()
    whole = sweep(*larger, "--store", tmp_path / "other").json()
    assert 0 < resumed["provenance"]["forward_passes"] < whole["provenance"]["forward_passes"]
    assert resumed["scores"] == whole["scores"]
