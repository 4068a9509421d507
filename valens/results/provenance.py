"""Where a number comes from: the command, the machine, the libraries, the model, the data and the seed."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_LIBRARIES = ("torch", "transformers", "transformer-lens", "numpy", "scipy", "scikit-learn", "safetensors")


def _own_version() -> str:
    try:
        return version("valens-lm")
    except PackageNotFoundError:
        return "unknown"


__version__ = _own_version()


def provenance(**facts: Any) -> dict[str, Any]:
    """Return what was run, where and when, with the facts that the caller knows (model, suite, seed, …)."""
    import torch

    return {
        "valens": __version__,
        "commit": commit_of(Path(__file__).parents[2]),
        "command": _command(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "libraries": _installed(_LIBRARIES),
    } | facts


def _command() -> str | None:
    """Return the command line, if valens was called from one (`python -m valens` too), as a shell would read it again."""
    program = Path(*sys.argv[:1])
    called = program.stem == "valens" or program.parts[-2:] == ("valens", "__main__.py")
    return shlex.join(["valens", *sys.argv[1:]]) if called else None


def commit_of(folder: Path) -> str | None:
    """Return the commit that a checkout is at, `-dirty` behind it if files were changed; None where that cannot be told.

    `folder` is asked for alone: an installed valens is not the repository that its environment may stand in.
    """
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or a checkout of somebody else's
        return None
    return done.stdout.strip()


def _installed(names: tuple[str, ...]) -> Mapping[str, str]:
    return {name: version(name) for name in names}
