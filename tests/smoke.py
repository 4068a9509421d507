"""What the installed wheel must do, away from the checkout: `python -P smoke.py FOLDER`, the wheel being in FOLDER.

FOLDER is on PYTHONPATH and the interpreter has the dependencies. Silent, and exits with 0, if all is well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

HEAVY = {"torch", "transformers", "transformer_lens", "matplotlib", "sklearn", "datasets", "mteb"}


def run(*command: str | Path) -> str:
    """What the command writes to its standard output; raises CalledProcessError if it fails."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def check_contents(folder: Path) -> None:
    """The wheel holds the two packages, their type markers and its licence, and nothing else at the top."""
    wheel = metadata.distribution("valens-lm")
    files = {str(file) for file in wheel.files or ()}
    tops = {file.split("/")[0] for file in files if ".dist-info/" not in file}
    assert tops - {"..", "bin"} == {"valens", "probes"}, f"The wheel holds {sorted(tops)} at its top."
    assert {"valens/py.typed", "probes/py.typed"} <= files, "The wheel lost its py.typed markers."
    assert "valens/report/assets/page.html" in files, "The wheel lost the parts of the report's page."
    assert any(file.endswith("licenses/LICENSE") for file in files), "The wheel lost its licence."
    assert Path(str(wheel.locate_file(""))).resolve() == folder, f"valens-lm was found in {wheel.locate_file('')}."


def check_packages(folder: Path) -> None:
    """`valens` and `probes` come from the wheel, and their public names are there."""
    import probes
    import valens
    from valens import probes as public

    for package in (valens, probes):
        found = Path(package.__file__ or "").resolve()
        assert found.parent.parent == folder, f"{package.__name__} came from {found}, not from {folder}."
    assert public.__file__, "`from valens import probes` does not work."
    assert valens.__version__ == metadata.version("valens-lm")
    assert str(valens.LayerSet.parse("26,27,29-31", n_layers=36)) == "26,27,29-31"
    assert valens.VA is not None


def check_light() -> None:
    """`import valens` waits with every large package until it is needed."""
    loaded = run(sys.executable, "-P", "-c", "import sys, valens; print(*sys.modules)").split()
    assert not HEAVY.intersection(loaded), f"`import valens` loads {sorted(HEAVY.intersection(loaded))}."


def check_command(folder: Path) -> None:
    """The command and `python -m valens` greet alike, and the list of models can be read by a program."""
    command = folder / "bin" / "valens"
    assert "sweep-layers" in run(command, "--help")
    assert "sweep-layers" in run(sys.executable, "-P", "-m", "valens", "--help")
    assert json.loads(run(command, "models", "--json")), "`valens models --json` lists nothing."


def main() -> None:
    """Check the wheel in the folder named on the command line."""
    folder = Path(sys.argv[1]).resolve()
    check_contents(folder)
    check_packages(folder)
    check_light()
    check_command(folder)


if __name__ == "__main__":
    main()
