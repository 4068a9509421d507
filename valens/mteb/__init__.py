"""Where valens and mteb meet: mteb's tasks as tasks of ours, mteb's evaluators, and a layer set as an encoder of mteb's.

mteb is an optional package (`pip install "valens-lm[mteb]"`), imported when it is first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from valens.mteb.encoder import Encoder

_HOMES = {"Encoder": "valens.mteb.encoder"}

__all__ = ["Encoder"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'valens.mteb' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
