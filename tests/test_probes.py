"""`from valens import probes` gives ours, or says whose it found."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

import probes.layer_sweep.probe
import probes.layer_sweep.result
from valens import probes as public
from valens.errors import MissingPackageError


def test_the_public_names_are_those_of_the_probes() -> None:
    assert public.layer_sweep is probes.layer_sweep.probe.layer_sweep
    assert public.LayerSweepResult is probes.layer_sweep.result.LayerSweepResult
    assert public.sweep_plan is probes.layer_sweep.probe.plan
    assert all(hasattr(public, name) for name in public.__all__)


def test_a_stranger_s_file_beside_a_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "probes.py").write_text("")
    command = [sys.executable, "-c", "from valens import probes"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("valens.errors.MissingPackageError: The name `probes` leads to ")
    assert str(tmp_path / "probes.py") in last
    assert "Rename that file or folder" in last


def test_a_package_without_our_probes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = str(tmp_path / "probes" / "__init__.py")
    spec = spec_from_file_location("probes", origin, submodule_search_locations=[str(tmp_path / "probes")])
    monkeypatch.setattr("importlib.util.find_spec", {"probes.layer_sweep.probe": None}.__getitem__)
    with pytest.raises(MissingPackageError, match=r"leads to .*__init__\.py, which is not the valens probes"):
        public._check_package(spec)
    with pytest.raises(MissingPackageError, match="leads to nothing"):
        public._check_package(None)
