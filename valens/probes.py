"""The probes, under the name that users write: `from valens import probes`.

They live in a package of their own, installed beside this one. A `probes.py` of somebody else's, in the folder of a notebook
say, would hide it; then this says so instead of failing in a stranger's code. Each name is loaded when it is first used: to
read a result loads no model's libraries.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

from valens.errors import MissingPackageError

if TYPE_CHECKING:
    from probes.layer_sweep.probe import layer_sweep
    from probes.layer_sweep.probe import plan as sweep_plan
    from probes.layer_sweep.result import LayerSweepResult
    from probes.logit_lens.names import BEST, HELD_OUT, UNIGRAM
    from probes.logit_lens.probe import Estimate as LensEstimate
    from probes.logit_lens.probe import logit_lens
    from probes.logit_lens.probe import plan as lens_plan
    from probes.logit_lens.result import LogitLensResult
    from probes.next_token.probe import next_token
    from probes.next_token.probe import plan as next_token_plan
    from probes.next_token.result import NextTokenResult
    from probes.segment_matching.metrics import CHANCE
    from probes.segment_matching.probe import check_settings as check_matching
    from probes.segment_matching.probe import cut_corpus, segment_matching
    from probes.segment_matching.probe import plan as matching_plan
    from probes.segment_matching.result import SegmentMatchingResult
    from valens.evaluation.tfidf import LEXICAL

_HOMES = {
    "LEXICAL": "valens.evaluation.tfidf",
    "LayerSweepResult": "probes.layer_sweep.result",
    "layer_sweep": "probes.layer_sweep.probe",
    "sweep_plan": "probes.layer_sweep.probe:plan",
    "LogitLensResult": "probes.logit_lens.result",
    **dict.fromkeys(("BEST", "HELD_OUT", "UNIGRAM"), "probes.logit_lens.names"),
    "LensEstimate": "probes.logit_lens.probe:Estimate",
    "logit_lens": "probes.logit_lens.probe",
    "lens_plan": "probes.logit_lens.probe:plan",
    "CHANCE": "probes.segment_matching.metrics",
    "SegmentMatchingResult": "probes.segment_matching.result",
    "next_token": "probes.next_token.probe",
    "next_token_plan": "probes.next_token.probe:plan",
    "NextTokenResult": "probes.next_token.result",
    **dict.fromkeys(("cut_corpus", "segment_matching"), "probes.segment_matching.probe"),
    "matching_plan": "probes.segment_matching.probe:plan",
    "check_matching": "probes.segment_matching.probe:check_settings",
}

__all__ = [
    "BEST",
    "CHANCE",
    "HELD_OUT",
    "LEXICAL",
    "UNIGRAM",
    "LayerSweepResult",
    "LensEstimate",
    "LogitLensResult",
    "NextTokenResult",
    "SegmentMatchingResult",
    "check_matching",
    "cut_corpus",
    "layer_sweep",
    "lens_plan",
    "logit_lens",
    "matching_plan",
    "next_token",
    "next_token_plan",
    "segment_matching",
    "sweep_plan",
]


def _check_package(spec: ModuleSpec | None) -> None:
    places = spec.submodule_search_locations if spec else None
    if not places or importlib.util.find_spec("probes.layer_sweep.probe") is None:
        found = spec.origin if spec else "nothing"
        raise MissingPackageError(
            f"The name `probes` leads to {found}, which is not the valens probes. Rename that file or folder, "
            "or install valens-lm again."
        )


_check_package(importlib.util.find_spec("probes"))


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'valens.probes' has no attribute {name!r}")
    home, _, original = _HOMES[name].partition(":")
    return getattr(importlib.import_module(home), original or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
