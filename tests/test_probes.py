"""`from valens import probes` gives ours, or says whose it found."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

import probes.layer_sweep.probe
import probes.layer_sweep.result
from probes.catalogue import PROBES, Shipped
from probes.contract import Probe
from probes.layers import check_names
from valens import probes as public
from valens.errors import MissingPackageError, ProbeError, SelectionError
from valens.representations.named import Representation
from valens.results.result import Result


def test_the_public_names_are_those_of_the_probes() -> None:
    assert public.layer_sweep is probes.layer_sweep.probe.layer_sweep
    assert public.LayerSweep is probes.layer_sweep.probe.LayerSweep
    assert public.LayerSweepResult is probes.layer_sweep.result.LayerSweepResult
    assert {name for shipped in PROBES for name in shipped.public} == set(dir(public))
    with pytest.raises(AttributeError, match=r"no attribute 'sweep'; it has layer_sweep, LayerSweep, "):
        _ = public.sweep


@pytest.mark.parametrize("shipped", PROBES, ids=lambda shipped: shipped.name)
def test_a_shipped_probe_is_settings_a_verb_a_result_and_a_command(shipped: Shipped) -> None:
    settings = getattr(public, shipped.record)()
    assert isinstance(settings, Probe)
    assert settings.kind == shipped.kind
    assert settings.question.endswith("?")
    assert settings.result is shipped.result() is Result.CLASSES[shipped.kind]
    assert callable(getattr(public, shipped.name))
    assert callable(shipped.command())


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
    monkeypatch.setattr("importlib.util.find_spec", {"probes.catalogue": None}.__getitem__)
    with pytest.raises(MissingPackageError, match=r"leads to .*__init__\.py, which is not the valens probes"):
        public._check_ours(spec)
    with pytest.raises(MissingPackageError, match="leads to nothing"):
        public._check_ours(None)


@pytest.mark.parametrize("names", [("VA", "VA"), ("layer",), ("TF-IDF",)])
def test_representations_that_a_table_cannot_tell_apart_are_refused(names: tuple[str, ...]) -> None:
    readings = ("values/mean", "values/last")
    given = [Representation(name, reading) for name, reading in zip(names, readings, strict=False)]
    with pytest.raises(SelectionError, match=f"The name {names[0]!r} is taken"):
        check_names(given)


@pytest.mark.parametrize("settings", [public.LayerSweep, public.SegmentMatching, public.Anisotropy])
def test_seeds_and_resamples_that_cannot_be_are_refused_before_anything_is_read(settings: type) -> None:
    with pytest.raises(ProbeError, match="A seed is a whole number"):
        settings(seed=-1)
    with pytest.raises(ProbeError, match="--resamples is 1 or more; 0 was asked for"):
        settings(resamples=0)
