"""Which layers should an embedding average? Every layer alone on every task, and a layer set chosen from that (Figure 3).

Section 4.2 of arXiv 2602.01572. Each text of the suite is read once, at all layers; each layer's vectors are scored on each
task with the task's own metric; a selector turns the curves into a layer set; and the averaged embedding over that set is
scored beside those of the other selectors. Every score has a 95 % bootstrap interval, and layers and sets are compared on
the same resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from probes.layer_sweep.result import KIND, LayerSweepResult, choice_table
from probes.layer_sweep.rules import BASELINES, SelectorResults, evaluate_selectors, rule_table
from probes.layer_sweep.scores import LayerScorer, text_places
from probes.layer_sweep.tables import (
    comparison_table,
    dimension_table,
    paired_difference_table,
    replicate_table,
    sample_table,
    score_table,
    set_table,
)
from probes.layer_sweep.section import QUESTION
from probes.layers import Layers, layers_asked, layers_of_model
from valens.errors import SelectionError, SiteError
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.extraction.layers_file import rounded_weights_hash
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import HS, VA, Representation
from valens.results.provenance import provenance
from valens.selectors import SELECTORS, check_tasks, selector
from valens.store.store import ActivationStore
from valens.tasks import Suite

_SPLIT_RESAMPLES = 200
"""The resamples of a split say which of its layers differ and how sure its score is; they need not give a fine interval."""


@dataclass(frozen=True)
class LayerSweep:
    """The settings of a layer sweep; see `layer_sweep` for what each means.

    Raises SelectionError for a selector that does not exist.
    """

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[LayerSweepResult]] = LayerSweepResult

    layers: Layers = None
    select: str = "paper"
    compare: bool = True
    max_tokens: int | None = None
    on_long: str = "truncate"
    exact: bool = False
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a selector that does not exist, before a model is loaded for it."""
        selector(self.select)

    def _check_choosable(
    model: Model, asked: Mapping[Representation, tuple[int, ...]], layers: LayerSet | None
) -> None:
    unusable = [made for made, wanted in asked.items() if not any(wanted)]
    if unusable:
        raise SiteError(
            f"There is nothing to choose for {unusable[0]} in the layers {layers}. Give one or more of "
            f"1..{model.n_layers}; 0, the input of the first block, is scored for comparison and never chosen."
        )
