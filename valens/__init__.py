"""valens: which layers of a language model, and which of its internal vectors, carry the meaning of a text?

Importing this does nothing but name things; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.catalogue import read_result
    from probes.report import write_report
    from valens import mteb, plotting, probes
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
    from valens.suites.named import suite_named as suite

_HOMES = {
    "mteb": "valens",
    "plotting": "valens",
    "probes": "valens",
    "suite": "valens.suites.builtin:suite_named",
    "Corpus": "valens.corpora",
    "corpus": "valens.corpora",
    "encode": "valens.extraction.embedding",
    "ValensError": "valens.errors",
    "LayerSet": "valens.layers.layer_set",
    "Model": "valens.model.loading",
    "load": "valens.model.loading",
    "wrap": "valens.model.loading",
    "CustomPooling": "valens.representations.poolings",
    "Pooling": "valens.representations.poolings",
    "Prompt": "valens.representations.prompts",
    "__version__": "valens.results.provenance",
    **dict.fromkeys(
        ("ALIGNED_WVA", "HS", "LT", "VA", "WMP", "WVA", "Reading", "Representation", "representation"),
        "valens.representations.named",
    ),
    "write_report": "probes.report",
    "Result": "valens.results.result",
    "read_result": "probes.catalogue",
    "selector": "valens.selectors",
    "Site": "valens.layers.sites",
    "Stream": "valens.layers.sites",
    "ActivationStore": "valens.store.store",
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
