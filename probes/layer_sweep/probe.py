"""Which layers should an embedding average? Every layer alone on every task, and a layer set chosen from that (Figure 3).

Section 4.2 of arXiv 2602.01572. Each text of the suite is read once, at all layers; each layer's vectors are scored on each
task with the task's own metric; a selector turns the curves into a layer set; and the averaged embedding over that set is
scored beside those of the other selectors. Every score has a 95 % bootstrap interval, and layers and sets are compared on
the same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from probes.layers import layers_asked
from valens.errors import SelectionError, SiteError
from valens.extraction import extract
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


def layer_sweep(
    model: Model,
    suite: Suite,
    representations: Sequence[Representation] = (VA, HS),
    *,
    store: ActivationStore | str | Path,
    layers: LayerSet | None = None,
    select: str = "paper",
    compare: bool = True,
    max_tokens: int | None = None,
    on_long: str = "truncate",
    exact: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> LayerSweepResult:
    """Score every layer alone on every task of a suite, and choose a layer set for each representation.

    `layers` limits the layers that are scored and can be chosen (default: all; the residual stream also at 0, which is
    scored for comparison and never chosen). `compare` asks what every other selector would choose, and how each does on
    data that it has not seen; without it there are the best layer, the deep half and all layers. `exact` takes scores from
    mteb's own evaluators, at their price, but not those of splits and of quick scores. `seed` draws resamples, splits and
    the texts whose dimension is estimated. A task without a score at any layer has no say, and is in the provenance under
    `without_scores`. Raises TaskError, SelectionError, SiteError or PromptError for settings that the model or suite does
    not allow, before the model runs where possible, and SelectionError if no task has a score.
    """
    check_tasks(selector(select), [task.task_type for task in suite.tasks])
    _check_layers(model, representations, layers)
    extraction = plan(model, suite, representations, store=store, max_tokens=max_tokens, on_long=on_long).run()
    resamples_of_splits = min(resamples, _SPLIT_RESAMPLES) if compare else 0
    scorer = LayerScorer(model, suite, extraction, text_places(suite), resamples, resamples_of_splits, seed, exact)
    names = tuple(SELECTORS) if compare else BASELINES
    results = [
        evaluate_selectors(
            scorer, representation, layers_asked(model, representation, layers), select=select, names=names
        )
        for representation in representations
    ]
    facts = provenance(
        **extraction.facts(),
        rounded_weights_hash=rounded_weights_hash(model),
        texts_truncated=extraction.truncated,
        without_scores={result.representation.name: result.alone.undefined() for result in results},
        suite=_described(suite),
        select=select,
        exact=exact,
        resamples=resamples,
        resamples_of_splits=resamples_of_splits,
        seed=seed,
    )
    table = score_table(results, scorer.lexical(), model)
    return LayerSweepResult(KIND, table, facts, _details(results, model))


def _details(results: Sequence[SelectorResults], model: Model) -> dict[str, pd.DataFrame]:
    """All that the sweep's scores and choices are made of."""
    comparisons = {"comparisons": comparison_table(results)} if len(results) > 1 else {}
    return comparisons | {
        "choices": choice_table({result.representation.name: result.choice for result in results}),
        "sets": set_table(results),
        "paired_differences": paired_difference_table(results),
        "rules": rule_table(results),
        "dimension": dimension_table(results, model),
        "samples": sample_table(results),
        "replicates": replicate_table(results),
    }


def _described(suite: Suite) -> dict[str, Any]:
    """What provenance says of a suite."""
    left_out = {missing.name: missing.reason for missing in suite.left_out}
    tasks = {task.name: task.size for task in suite.tasks}
    cut = [] if suite.limit is None else [f"Each task is cut to at most {suite.limit:,} texts (--limit)."]
    about = {"left_out": left_out, "notes": [*suite.notes, *cut], "limit": suite.limit, "data_root": suite.data_root}
    return {"name": suite.name, "tasks": tasks, **about}


def plan(
    model: Model,
    suite: Suite,
    representations: Sequence[Representation],
    *,
    store: ActivationStore | str | Path,
    max_tokens: int | None = None,
    on_long: str = "truncate",
) -> extract.Job:
    """What a sweep has to read; `Job.estimate` says what that costs."""
    prompts = {representation.prompt for representation in representations}
    if len(prompts) != 1:
        raise SelectionError(
            f"A sweep compares representations of one prompt; {len(representations)} representations of {len(prompts)} "
            "prompts were given. Sweep one or more that share their prompt."
        )
    return extract.plan(
        model,
        list(text_places(suite)),
        [representation.reading for representation in representations],
        store=ActivationStore.of(store),
        prompt=prompts.pop(),
        max_tokens=max_tokens,
        on_long=on_long,
    )


def _check_layers(model: Model, representations: Sequence[Representation], layers: LayerSet | None) -> None:
    unusable = [name for name in representations if not any(layers_asked(model, name, layers))]
    if unusable:
        raise SiteError(
            f"There is nothing to choose for {unusable[0]} in the layers {layers}. Give one or more of "
            f"1..{model.n_layers}; 0, the input of the first block, is scored for comparison and never chosen."
        )
