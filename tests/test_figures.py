"""The figures' scripts: a figure is a function of stored results, and README.md says what these are."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib import pyplot as plt
from readable import assert_readable

from probes.catalogue import PROBES, read_result
from valens.errors import ResultError
from valens.plotting import write_figure

FIGURES = Path(__file__).resolve().parents[1] / "figures"
SCRIPTS = {shipped.kind: shipped.figure for shipped in PROBES}
STORED = sorted(path.parent for path in FIGURES.glob("results/*/provenance.json"))
ONE_A_KIND = [next(folder for folder in STORED if folder.name.startswith(kind)) for kind in SCRIPTS]
SWEEP = FIGURES / "results" / "layer-sweep-smollm2-135m"


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python runs a script: with the script's folder in front."""
    monkeypatch.syspath_prepend(FIGURES)


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FIGURES / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str, *words: object
) -> tuple[int, str, str]:
    """A script called with these words: its exit code, and what it printed."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
    code = 0
    try:
        runpy.run_path(str(FIGURES / f"{name}.py"), run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize("folder", STORED, ids=lambda path: path.name)
def test_every_stored_figure_can_be_read_and_is_the_picture_that_is_kept(folder: Path, tmp_path: Path) -> None:
    """Of the kept pixels one in a thousand may differ: other machines round otherwise."""
    found = read_result(folder)
    figures = module(SCRIPTS[found.kind]).draw([found], "two")
    assert set(figures) == {path.stem for path in folder.glob("*.png")}
    for name, figure in figures.items():
        assert figure.get_figwidth() == 6.9
        assert_readable(figure)
        write_figure(figure, tmp_path / "new.png")
        new, old = plt.imread(tmp_path / "new.png"), plt.imread(folder / f"{name}.png")
        assert new.shape == old.shape, "Run: make figures"
        assert np.mean(np.abs(new - old).max(axis=-1) > 0.1) < 1e-3, "Run: make figures"
    assert plt.get_fignums() == []


@pytest.mark.parametrize("folder", ONE_A_KIND, ids=lambda path: path.name)
def test_every_script_draws_for_one_column_too(folder: Path) -> None:
    found = read_result(folder)
    for figure in module(SCRIPTS[found.kind]).draw([found], "one").values():
        assert figure.get_figwidth() == 3.3
        assert_readable(figure)


def test_the_scripts_draw_what_is_stored_by_default_and_load_no_model(tmp_path: Path) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(FIGURES)!r})\n"
        "for name, *words in (['figure6'], ['figure2', '--width', 'one']):\n"
        f"    sys.argv = [name, *words, '--out', {str(tmp_path)!r}]\n"
        f"    runpy.run_path({str(FIGURES)!r} + f'/{{name}}.py', run_name='__main__')\n"
        f"runpy.run_path({str(FIGURES / 'figure3.py')!r})\n"
        f"runpy.run_path({str(FIGURES / 'figure8.py')!r})\n"
        "assert not {'torch', 'transformers', 'transformer_lens', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    written = [Path(line) for line in done.stdout.splitlines()]
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    kept = [*FIGURES.glob("results/next-token-*/*.png"), *FIGURES.glob("results/segment-matching-*/*.png")]
    expected = {
        path.relative_to(FIGURES / "results").with_suffix(suffix) for path in kept for suffix in (".png", ".pdf")
    }
    assert {path.relative_to(tmp_path) for path in written} == expected


def test_the_table_of_the_readme_is_what_the_results_say() -> None:
    readme = (FIGURES / "README.md").read_text(encoding="utf-8")
    assert module("contents").rewritten(readme) == readme, "Run: python figures/contents.py"
    for folder in STORED:
        facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        assert facts["command"] in readme
        assert facts["date"][:10] in readme


def test_what_the_readme_links_to_is_there_and_every_picture_is_linked() -> None:
    readme = (FIGURES / "README.md").read_text(encoding="utf-8")
    linked = {FIGURES / target for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", readme)}
    assert all(target.exists() for target in linked)
    assert set(FIGURES.glob("results/*/*.png")) <= linked


def test_a_figure_goes_beside_its_result_or_where_it_is_asked_to(monkeypatch, capsys, tmp_path: Path) -> None:
    folder = shutil.copytree(FIGURES / "results" / "segment-matching-peps", tmp_path / "mine")
    (folder / "figure2.png").unlink()
    code, out, _ = run(monkeypatch, capsys, "figure2", folder, "--width", "one")
    assert code == 0
    assert out.split() == [str(folder / "figure2.pdf"), str(folder / "figure2.png")]
    assert plt.imread(folder / "figure2.png").shape[1] == pytest.approx(3.3 * 200, abs=1)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("figure2", ["nowhere"], "nowhere has no result that can be read"),
        ("figure2", [SWEEP], "holds a result of layer-sweep; this figure is drawn from one of segment-matching"),
        ("figure3", [SWEEP, SWEEP], "2 results make one figure. Say with --out where it goes."),
        ("figure3", [SWEEP, SWEEP, "--out", "here"], "Two sweeps are of smollm2-135m"),
        ("figure8", ["--width", "three"], "invalid choice"),
    ],
    ids=["nothing", "another kind", "no place", "one model twice", "no such width"],
)
def test_a_mistake_is_told_in_a_line(monkeypatch, capsys, tmp_path, name: str, words: list, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, error = run(monkeypatch, capsys, name, *words)
    assert (code, out) == (2, "")
    assert said in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lost", ["scores.parquet", "provenance.json", "samples.parquet"])
def test_a_folder_that_lacks_a_file_is_named(monkeypatch, capsys, tmp_path: Path, lost: str) -> None:
    folder = shutil.copytree(SWEEP, tmp_path / "copy")
    (folder / lost).unlink()
    code, _, error = run(monkeypatch, capsys, "figure3", folder, "--out", tmp_path / "new")
    assert code == 2
    assert lost in error
    assert not (tmp_path / "new").exists()


def test_two_sweeps_are_drawn_side_by_side_each_with_its_own_set() -> None:
    found = read_result(SWEEP)
    figures = module("figure3").draw([found, replace(found, table=found.table.assign(model="larger"))], "two")
    titles = [axis.get_title(loc="left") for axis in figures["figure3"].axes]
    names = [name for name in ("VA", "HS", "HS-but-first") for _ in range(2)]
    models = ["smollm2-135m", "larger"] * 3
    assert titles == [f"{name} · {model}" for name, model in zip(names, models, strict=True)]
    shaded = [{patch.get_x() + 0.5 for patch in axis.patches} for axis in figures["figure3"].axes]
    assert shaded == [set(found.choices[name].layers) for name in names]


def test_stored_results_of_a_kind_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"has no folder next-token-…"):
        list(module("script")._jobs([], None, "next-token", tmp_path))
