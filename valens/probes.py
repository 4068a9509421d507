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
    from probes.layer_result import Sweep
    from probes.layer_sweep import layer_sweep
    from probes.layer_sweep import plan as sweep_plan
    from probes.lens_result import LogitLens
    from probes.logit_lens import Estimate as LensEstimate
    from probes.logit_lens import logit_lens
    from probes.logit_lens import plan as lens_plan
    from probes.matching_metrics import CHANCE
    from probes.matching_result import SegmentMatching
    from probes.next_token import next_token
    from probes.next_token import plan as next_token_plan
    from probes.next_token_result import NextToken
    from probes.segment_matching import cut_corpus, segment_matching
    from probes.segment_matching import plan as matching_plan
    from probes.segment_matching import refuse_settings as refuse_matching
    from valens.lens_scores import BEST, OTHER_HALF, UNIGRAM
    from valens.lexical import LEXICAL

_HOMES = {
    "LEXICAL": "valens.lexical",
    "Sweep": "probes.layer_result",
    "layer_sweep": "probes.layer_sweep",
    "sweep_plan": "probes.layer_sweep:plan",
    "LogitLens": "probes.lens_result",
    **dict.fromkeys(("BEST", "OTHER_HALF", "UNIGRAM"), "valens.lens_scores"),
    "LensEstimate": "probes.logit_lens:Estimate",
    "logit_lens": "probes.logit_lens",
    "lens_plan": "probes.logit_lens:plan",
    "CHANCE": "probes.matching_metrics",
    "SegmentMatching": "probes.matching_result",
    "next_token": "probes.next_token",
    "next_token_plan": "probes.next_token:plan",
    "NextToken": "probes.next_token_result",
    **dict.fromkeys(("cut_corpus", "segment_matching"), "probes.segment_matching"),
    "matching_plan": "probes.segment_matching:plan",
    "refuse_matching": "probes.segment_matching:refuse_settings",
}

__all__ = [
    "BEST",
    "CHANCE",
    "LEXICAL",
    "OTHER_HALF",
    "UNIGRAM",
    "LensEstimate",
    "LogitLens",
    "NextToken",
    "SegmentMatching",
    "Sweep",
    "cut_corpus",
    "layer_sweep",
    "lens_plan",
    "logit_lens",
    "matching_plan",
    "next_token",
    "next_token_plan",
    "refuse_matching",
    "segment_matching",
    "sweep_plan",
]


def _refuse_stranger(spec: ModuleSpec | None) -> None:
    places = spec.submodule_search_locations if spec else None
    if not places or importlib.util.find_spec("probes.layer_sweep") is None:
        found = spec.origin if spec else "nothing"
        raise MissingPackageError(
            f"The name `probes` leads to {found}, which is not the valens probes. Rename that file or folder, "
            "or install valens-lm again."
        )


_refuse_stranger(importlib.util.find_spec("probes"))


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'valens.probes' has no attribute {name!r}")
    home, _, original = _HOMES[name].partition(":")
    return getattr(importlib.import_module(home), original or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
