"""The probes, under the name that users write: `from valens import probes`.

They live in a package of their own, installed beside this one. A `probes.py` of somebody else's, in the folder of a notebook
say, would hide it; then this says so instead of failing in a stranger's code.
"""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

from valens.errors import MissingPackageError


def _refuse_stranger(spec: ModuleSpec | None) -> None:
    places = spec.submodule_search_locations if spec else None
    if not places or importlib.util.find_spec("probes.layer_sweep") is None:
        found = spec.origin if spec else "nothing"
        raise MissingPackageError(
            f"The name `probes` leads to {found}, which is not the valens probes. Rename that file or folder, "
            "or install valens-lm again."
        )


_refuse_stranger(importlib.util.find_spec("probes"))

from probes.layer_sweep import LEXICAL, Sweep, layer_sweep  # noqa: E402
from probes.layer_sweep import plan as sweep_plan  # noqa: E402
from probes.lens_tables import BEST, OTHER_HALF, UNIGRAM  # noqa: E402
from probes.logit_lens import Estimate as LensEstimate  # noqa: E402
from probes.logit_lens import LogitLens, logit_lens  # noqa: E402
from probes.logit_lens import plan as lens_plan  # noqa: E402
from probes.matching_scores import CHANCE  # noqa: E402
from probes.next_token import NextToken, next_token  # noqa: E402
from probes.next_token import examples as next_token_examples  # noqa: E402
from probes.next_token import plan as next_token_plan  # noqa: E402
from probes.segment_matching import SegmentMatching, cut_corpus, segment_matching  # noqa: E402
from probes.segment_matching import plan as matching_plan  # noqa: E402
from probes.segment_matching import refuse_settings as refuse_matching  # noqa: E402

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
    "next_token_examples",
    "next_token_plan",
    "refuse_matching",
    "segment_matching",
    "sweep_plan",
]
