"""valens: which layers of a language model, and which of its internal vectors, carry the meaning of a text?

Importing this does nothing but name things; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from valens import mteb, probes
    from valens.builtin import suite_named as suite
    from valens.corpora import Corpus, corpus
    from valens.embedding import encode
    from valens.errors import ValensError
    from valens.layers import LayerSet
    from valens.models import Model, load, wrap
    from valens.poolings import OwnPooling, Pooling
    from valens.prompts import Prompt
    from valens.provenance import __version__
    from valens.report import write_report
    from valens.representations import ALIGNED_WVA, HS, LT, VA, WMP, WVA, Reading, Representation, representation
    from valens.results import Result, read_result
    from valens.selectors import selector
    from valens.sites import Site, Stream
    from valens.store import ActivationStore

_HOMES = {
    "mteb": "valens",
    "probes": "valens",
    "suite": "valens.builtin:suite_named",
    "Corpus": "valens.corpora",
    "corpus": "valens.corpora",
    "encode": "valens.embedding",
    "ValensError": "valens.errors",
    "LayerSet": "valens.layers",
    "Model": "valens.models",
    "load": "valens.models",
    "wrap": "valens.models",
    "OwnPooling": "valens.poolings",
    "Pooling": "valens.poolings",
    "Prompt": "valens.prompts",
    "__version__": "valens.provenance",
    **dict.fromkeys(
        ("ALIGNED_WVA", "HS", "LT", "VA", "WMP", "WVA", "Reading", "Representation", "representation"),
        "valens.representations",
    ),
    "write_report": "valens.report",
    "Result": "valens.results",
    "read_result": "valens.results",
    "selector": "valens.selectors",
    "Site": "valens.sites",
    "Stream": "valens.sites",
    "ActivationStore": "valens.store",
}

__all__ = [
    "ALIGNED_WVA",
    "HS",
    "LT",
    "VA",
    "WMP",
    "WVA",
    "ActivationStore",
    "Corpus",
    "LayerSet",
    "Model",
    "OwnPooling",
    "Pooling",
    "Prompt",
    "Reading",
    "Representation",
    "Result",
    "Site",
    "Stream",
    "ValensError",
    "__version__",
    "corpus",
    "encode",
    "load",
    "mteb",
    "probes",
    "read_result",
    "representation",
    "selector",
    "suite",
    "wrap",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'valens' has no attribute {name!r}")
    home, _, original = _HOMES[name].partition(":")
    if home == "valens":
        return importlib.import_module(f"valens.{name}")
    return getattr(importlib.import_module(home), original or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
