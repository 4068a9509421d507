"""The figures' scripts: a figure is a function of stored results."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from probes.layer_result import KIND, Sweep, choice_table
from valens.errors import ResultError
from valens.layers import LayerSet
from valens.results import read_result
from valens.selectors import Choice

SCRIPT = Path(__file__).resolve().parents[1] / "figures" / "figure3.py"


@pytest.fixture(scope="module")
def figure3() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figure3", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of eight layers, as `--out` leaves it."""
    row = {"model": "tiny", "task": "a", "task_type": "Retrieval", "metric": "ndcg_at_10", "n": 9}
    rows = [
        row | {"representation": name, "layer": layer, "depth": layer / 8, "score": layer / 10, "low": 0.0, "high": 0.9}
        for name in ("VA", "HS")
        for layer in range(1, 9)
    ]
    table = pd.DataFrame(rows).astype({"layer": "Int64", "depth": "Float64"})
    choices = {name: Choice("top-k", LayerSet.of([2, 5]), {2: "in", 5: "in"}) for name in ("VA", "HS")}
    return Sweep(KIND, table, {}, {"choices": choice_table(choices)}).save(tmp_path_factory.mktemp("saved"))


def test_figure_3_is_redrawn_from_what_is_stored(figure3: ModuleType, saved: Path, tmp_path: Path) -> None:
    paths = figure3.draw([saved], tmp_path / "new")
    assert paths == [tmp_path / "new" / "figure3.pdf", tmp_path / "new" / "figure3.png"]
    np.testing.assert_array_equal(plt.imread(paths[1]), plt.imread(saved / "figure3.png"))


def test_the_script_names_what_it_wrote_and_needs_no_model(saved: Path, tmp_path: Path) -> None:
    program = (
        f"import runpy, sys; sys.argv = ['figure3.py', {str(saved)!r}, '--out', {str(tmp_path)!r}]\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "assert not {'torch', 'transformers', 'transformer_lens'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / f"figure3.{suffix}") for suffix in ("pdf", "png")]


@pytest.mark.parametrize("lost", ["scores.parquet", "provenance.json", "layers.json"])
def test_a_folder_that_lacks_a_file_is_named(figure3: ModuleType, saved: Path, tmp_path: Path, lost: str) -> None:
    folder = shutil.copytree(saved, tmp_path / "copy")
    (folder / lost).unlink()
    with pytest.raises(ResultError, match=lost):
        figure3.draw([folder], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_layers_file_of_something_else_is_named(figure3: ModuleType, saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "copy")
    (folder / "layers.json").write_text(json.dumps({"layers": "1-3"}))
    with pytest.raises(ResultError, match=r"layers\.json"):
        figure3.draw([folder], tmp_path / "new")


def test_two_sweeps_are_drawn_side_by_side_unless_they_are_of_one_model(
    figure3: ModuleType, saved: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(saved, tmp_path / "other")
    result = read_result(other)
    replace(result, table=result.table.assign(model="larger")).save(other)
    _, png = figure3.draw([saved, other], tmp_path / "new")
    alone, both = plt.imread(saved / "figure3.png").shape, plt.imread(png).shape
    assert both[0] > 1.5 * alone[0]  # VA and HS stand below one another now
    with pytest.raises(ResultError, match="another sweep of tiny"):
        figure3.draw([saved, saved], tmp_path / "none")
    assert not (tmp_path / "none").exists()
