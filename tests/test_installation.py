"""Installed editable, the packages are found wherever a script lies, also beside a clone that has a package's name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sysconfig.get_path("purelib")

BUILT = "from setuptools.build_meta import build_editable; build_editable('../wheel')"
FOUND = """
import site, sys
site.addsitedir(sys.argv[1])
sys.path.append(sys.argv[2])
import valens as vl
from valens import probes as _
from valens.results.result import Result
import probes
print(vl.__file__, probes.__file__, vl.Result is Result, sep="\\n")
"""
"""As in a virtual environment that has the installation in one folder, and in the other what it needs."""


def ran(program: str, *words: object, folder: Path, options: tuple[str, ...] = ()) -> list[str]:
    """What the program prints whose script, or shell, is in the folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, *options, "-c", program, *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_the_packages_are_found_from_beside_a_clone_that_is_called_valens(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    clone, installed = tmp_path / "valens", tmp_path / "installed"
    for package in ("valens", "probes"):
        shutil.copytree(ROOT / package, clone / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, clone)
    (clone / "results").mkdir()  # as the demo does; there is a module of this name
    (tmp_path / "wheel").mkdir()
    ran(BUILT, folder=clone)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    (tmp_path / "elsewhere").mkdir()

    paths = [str(clone / package / "__init__.py") for package in ("valens", "probes")]
    for folder in (tmp_path, clone, tmp_path / "elsewhere"):
        found = ran(FOUND, installed, PACKAGES, folder=folder, options=("-S",))
        assert found == [*paths, "True"]
    (clone / "valens" / "new.py").touch()
    ran(FOUND + "import valens.new", installed, PACKAGES, folder=tmp_path, options=("-S",))


def test_this_checkout_is_installed_so() -> None:
    installed = next(Distribution.discover(name="valens-lm", path=[PACKAGES]), None)
    if installed is None or not is_editable(installed):
        pytest.skip("what is installed is not this checkout, or not editable")
    (path,) = (file for file in installed.files or () if file.suffix == ".pth")
    assert path.read_text(encoding="utf-8").strip() == str(ROOT), "Install it anew: make .venv/ready"


def is_editable(installed: Distribution) -> bool:
    source = json.loads(installed.read_text("direct_url.json") or "{}")
    return source.get("url") == ROOT.as_uri() and source.get("dir_info", {}).get("editable", False)
