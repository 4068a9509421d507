"""The probes, under the name that users write: `from valens import probes`.

They live in a package of their own, installed beside this one. A `probes.py` of somebody else's, in the folder of a notebook
say, would hide it; then this says so instead of failing in a stranger's code. Which there are is in `probes/catalogue.py`;
each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

from valens.errors import MissingPackageError

if TYPE_CHECKING:
    from probes.catalogue import *  # noqa: F403 - what type checkers and editors know of them


def _check_ours(spec: ModuleSpec | None) -> None:
    """Raise MissingPackageError unless `probes` leads to the package that is installed with valens."""
    folders = spec.submodule_search_locations if spec else None
    if not folders or importlib.util.find_spec("probes.catalogue") is None:
        origin = spec.origin if spec else "nothing"
        raise MissingPackageError(
            f"The name `probes` leads to {origin}, which is not the valens probes. Rename that file or folder, "
            "or install valens-lm again."
        )


_check_ours(importlib.util.find_spec("probes"))


def __getattr__(name: str) -> Any:
    from probes import catalogue

    if name not in catalogue.public_names():
        raise AttributeError(
            f"module 'valens.probes' has no attribute {name!r}; it has {', '.join(catalogue.public_names())}"
        )
    return catalogue.load(name)


def __dir__() -> list[str]:
    from probes.catalogue import public_names

    return sorted(public_names())
