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
from typing import ClassVar

import pandas as pd

from probes.layer_sweep.result import KIND, LayerSweepResult, choice_table
from probes.layer_sweep.rules import BASELINES, SelectorResults, evaluate_selectors, rule_table
from probes.layer_sweep.scores import LayerScorer
from probes.layer_sweep.section import QUESTION
from probes.layer_sweep.tables import (
    comparison_table,
    dimension_table,
    paired_difference_table,
    replicate_table,
    sample_table,
    score_table,
    set_table,
)
from probes.layers import Layers, check_names, layers_asked, layers_of_model, shared_prompt
from valens.errors import SiteError
from valens.evaluation.suite_scores import lexical_scores, text_indices
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import HS, VA, Representation
from valens.results.provenance import provenance
from valens.selectors import SELECTORS, check_tasks, selector
from valens.statistics.seeds import check_counts, check_seed
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
        """Refuse what cannot be chosen or measured, before a model is loaded for it."""
        selector(self.select)
        check_seed(self.seed)
        check_counts(resamples=self.resamples)

    def plan(
        self,
        model: Model,
        data: Suite,
        representations: Sequence[Representation] = (VA, HS),
        *,
        store: ActivationStore | str | Path,
    ) -> SweepJob:
        """Plan what has to be read of a suite's texts.

        TaskError, SelectionError, SiteError or PromptError for settings that the model or suite does not allow.
        """
        check_tasks(selector(self.select), [task.task_type for task in data.tasks])
        layers = layers_of_model(model, self.layers)
        asked = {representation: layers_asked(model, representation, layers) for representation in representations}
        _check_choosable(model, asked, layers)
        check_names(representations)
        reading = extract.plan(
            model,
            list(text_indices(data)),
            [representation.reading for representation in asked],
            store=ActivationStore.of(store),
            prompt=shared_prompt(list(asked), "A sweep compares"),
            max_tokens=self.max_tokens,
            on_long=self.on_long,
        )
        return SweepJob(self, model, data, asked, reading)


@dataclass(frozen=True)
class SweepJob:
    """Which layers are scored on which tasks; made by `LayerSweep.plan`."""

    settings: LayerSweep
    model: Model = field(repr=False)
    suite: Suite = field(repr=False)
    layers: Mapping[Representation, tuple[int, ...]]
    reading: extract.Job = field(repr=False)

    def estimate(self) -> Estimate:
        """Return what reading the texts would cost; makes one small forward pass to measure the speed."""
        return self.reading.estimate()

    def run(self) -> LayerSweepResult:
        """Read the texts, score every layer on every task, and choose; SelectionError if no task has a score."""
        settings, model, suite = self.settings, self.model, self.suite
        extraction = self.reading.run()
        resamples_of_splits = min(settings.resamples, _SPLIT_RESAMPLES) if settings.compare else 0
        scorer = LayerScorer(
            model,
            suite,
            extraction,
            text_indices(suite),
            settings.resamples,
            resamples_of_splits,
            settings.seed,
            settings.exact,
        )
        names = tuple(SELECTORS) if settings.compare else BASELINES
        results = [
            evaluate_selectors(scorer, representation, layers, select=settings.select, names=names)
            for representation, layers in self.layers.items()
        ]
        facts = provenance(
            **extraction.facts(),
            rounded_weights_hash=model.rounded_weights_hash,
            texts_truncated=extraction.truncated,
            without_scores={result.representation.name: result.alone.undefined() for result in results},
            suite=suite.facts(),
            select=settings.select,
            exact=settings.exact,
            resamples=settings.resamples,
            resamples_of_splits=resamples_of_splits,
            seed=settings.seed,
        )
        table = score_table(
            results,
            lexical_scores(suite, resamples=settings.resamples, seed=settings.seed, exact=settings.exact),
            model,
        )
        return LayerSweepResult(KIND, table, facts, _details(results, model))


def layer_sweep(
    model: Model,
    suite: Suite,
    representations: Sequence[Representation] = (VA, HS),
    *,
    store: ActivationStore | str | Path,
    layers: Layers = None,
    select: str = "paper",
    compare: bool = True,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    exact: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> LayerSweepResult:
    """Score every layer alone on every task of a suite, and choose a layer set for each representation.

    Section 4.2 of arXiv 2602.01572. A second call with the same settings makes no forward pass.

    Args:
        model: the decoder that is read.
        suite: the tasks; each has the metric that mteb gives its type. `vl.suite("builtin")` is five of them.
        representations: what is read of a text; all share one prompt. The first is the main one.
        store: the activation store, or its folder.
        layers: a LayerSet or its notation, `20-27`: the layers that are scored and can be chosen; None: all, the residual
            stream also at 0, which is scored for comparison and never chosen.
        select: the name of the selector whose set is the result; see `valens.selectors`.
        compare: also ask what every other selector would choose, and how each does on data that it has not seen; False:
            the best layer, the deep half and all layers alone.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context.
        on_long: what becomes of longer texts: `truncate` keeps their beginning, `error` refuses them.
        exact: take scores from mteb's own evaluators, at their price, but not those of splits and of quick scores.
        resamples: how many bootstrap resamples an interval is made of.
        seed: draws resamples, splits, and the texts whose intrinsic dimension is estimated.

    Returns:
        Scores by layer and task with 95 % intervals, and for each representation the layer set with a reason for every
        layer. A task without a score at any layer has no say and is in no mean; the provenance names it under
        `without_scores`.

    Raises:
        TaskError, SelectionError, SiteError, PromptError: settings that the model or suite does not allow, before the model
            runs where possible; SelectionError also if no task has a score.

    """
    settings = LayerSweep(
        layers=layers,
        select=select,
        compare=compare,
        max_tokens=max_tokens,
        on_long=on_long,
        exact=exact,
        resamples=resamples,
        seed=seed,
    )
    return settings.plan(model, suite, representations, store=store).run()


def _details(results: Sequence[SelectorResults], model: Model) -> dict[str, pd.DataFrame]:
    """All that the sweep's scores and choices are made of."""
    comparisons = comparison_table(results) if len(results) > 1 else pd.DataFrame()
    return ({} if comparisons.empty else {"comparisons": comparisons}) | {
        "choices": choice_table({result.representation.name: result.choice for result in results}),
        "sets": set_table(results),
        "paired_differences": paired_difference_table(results),
        "rules": rule_table(results),
        "dimension": dimension_table(results, model),
        "samples": sample_table(results),
        "replicates": replicate_table(results),
    }


def _check_choosable(model: Model, asked: Mapping[Representation, tuple[int, ...]], layers: LayerSet | None) -> None:
    unusable = [representation for representation, wanted in asked.items() if not any(wanted)]
    if unusable:
        raise SiteError(
            f"There is nothing to choose for {unusable[0]} in the layers {layers}. Give one or more of "
            f"1..{model.n_layers}; 0, the input of the first block, is scored for comparison and never chosen."
        )
