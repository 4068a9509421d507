"""valens: which layers of a language model, and which of its internal vectors, carry the meaning of a text?

Importing this does nothing but name things; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.catalogue import read_result
    from probes.report import write_report
    from valens import corpora, mteb, plotting, probes, testing
    from valens.corpora import Corpus, corpus
    from valens.errors import ValensError
    from valens.extraction.embedding import encode
    from valens.layers.layer_set import LayerSet
    from valens.layers.sites import Site, Stream
    from valens.model.loading import load, wrap
    from valens.model.model import Model
    from valens.representations.named import ALIGNED_WVA, HS, LT, VA, WMP, WVA, Representation, representation
    from valens.representations.poolings import CustomPooling, Pooling
    from valens.representations.prompts import Prompt
    from valens.representations.readings import Reading
    from valens.results.provenance import __version__
    from valens.results.result import Result
    from valens.selectors import selector
    from valens.store.store import ActivationStore
    from valens.suites.named import suite

_MODULES = {
    "probes.catalogue": ("read_result",),
    "probes.report": ("write_report",),
    "valens.corpora": ("Corpus", "corpus"),
    "valens.errors": ("ValensError",),
    "valens.extraction.embedding": ("encode",),
    "valens.layers.layer_set": ("LayerSet",),
    "valens.layers.sites": ("Site", "Stream"),
    "valens.model.loading": ("load", "wrap"),
    "valens.model.model": ("Model",),
    "valens.representations.named": ("ALIGNED_WVA", "HS", "LT", "VA", "WMP", "WVA", "Representation", "representation"),
    "valens.representations.poolings": ("CustomPooling", "Pooling"),
    "valens.representations.prompts": ("Prompt",),
    "valens.representations.readings": ("Reading",),
    "valens.results.provenance": ("__version__",),
    "valens.results.result": ("Result",),
    "valens.selectors": ("selector",),
    "valens.store.store": ("ActivationStore",),
    "valens.suites.named": ("suite",),
}
"""The module that each name comes from; `corpora`, `mteb`, `plotting`, `probes` and `testing` are modules themselves."""

_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ALIGNED_WVA",
    "HS",
    "LT",
    "VA",
    "WMP",
    "WVA",
    "ActivationStore",
    "Corpus",
    "CustomPooling",
    "LayerSet",
    "Model",
    "Pooling",
    "Prompt",
    "Reading",
    "Representation",
    "Result",
    "Site",
    "Stream",
    "ValensError",
    "__version__",
    "corpora",
    "corpus",
    "encode",
    "load",
    "mteb",
    "plotting",
    "probes",
    "read_result",
    "representation",
    "selector",
    "suite",
    "testing",
    "wrap",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        if _HOMES[name].startswith("probes.") or name == "Result":  # a user's class may not name a shipped kind
            importlib.import_module("valens.probes")  # says so if that name leads to somebody else's
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"valens.{name}")
    raise AttributeError(f"module 'valens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
