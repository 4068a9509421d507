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

from probes.layer_sweep.result import KIND, Sweep, choice_table
from probes.layer_sweep.rules import BASELINES, RuleBook, consult, rule_table
from probes.layer_sweep.scores import Bench, text_places
from probes.layer_sweep.tables import (
    dimension_table,
    gap_table,
    replicate_table,
    rival_table,
    sample_table,
    score_table,
    set_table,
)
from probes.layers import layers_asked
from valens.errors import SelectionError, SiteError
from valens.extraction import extract
from valens.extraction.layers_file import rounded_weights
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import HS, VA, Representation
from valens.results.provenance import provenance
from valens.selectors import SELECTORS, refuse_lacking, selector
from valens.store.store import ActivationStore
from valens.tasks import Suite

_HALF_RESAMPLES = 200
"""A half's resamples say which of its layers differ and how sure its score is; they need not give a fine interval."""


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
) -> Sweep:
    """Score every layer alone on every task of a suite, and choose a layer set for each representation.

    `layers` limits the layers that are scored and can be chosen (default: all; the residual stream also at 0, which is
    scored for comparison and never chosen). `compare` asks what every other selector would choose, and how each does on
    data that it has not seen; without it there are the best layer, the deep half and all layers. `exact` takes scores from
    mteb's own evaluators, at their price, but not those of halves and of greedy's trials. `seed` draws resamples, halves and
    the texts whose dimension is estimated. A task without a score at any layer has no say, and is in the provenance under
    `without_scores`. Raises TaskError, SelectionError, SiteError or PromptError for settings that the model or suite does
    not allow, before the model runs where possible, and SelectionError if no task has a score.
    """
    refuse_lacking(selector(select), [task.task_type for task in suite.tasks])
    _refuse_layers(model, representations, layers)
    extraction = plan(model, suite, representations, store=store, max_tokens=max_tokens, on_long=on_long).run()
    halves = min(resamples, _HALF_RESAMPLES) if compare else 0
    bench = Bench(model, suite, extraction, text_places(suite), resamples, halves, seed, exact)
    names = tuple(SELECTORS) if compare else BASELINES
    books = [
        consult(bench, representation, layers_asked(model, representation, layers), select=select, names=names)
        for representation in representations
    ]
    facts = provenance(
        **extraction.facts(),
        rounded_weights=rounded_weights(model),
        texts_truncated=extraction.truncated,
        without_scores={book.representation.name: book.alone.undefined() for book in books},
        suite=_described(suite),
        select=select,
        exact=exact,
        resamples=resamples,
        resamples_of_halves=halves,
        seed=seed,
    )
    table = score_table(books, bench.lexical(), model)
    return Sweep(KIND, table, facts, _details(books, model))


def _details(books: Sequence[RuleBook], model: Model) -> dict[str, pd.DataFrame]:
    """All that the sweep's scores and choices are made of."""
    rivals = {"rivals": rival_table(books)} if len(books) > 1 else {}
    return rivals | {
        "choices": choice_table({book.representation.name: book.choice for book in books}),
        "sets": set_table(books),
        "gaps": gap_table(books),
        "rules": rule_table(books),
        "dimension": dimension_table(books, model),
        "samples": sample_table(books),
        "replicates": replicate_table(books),
    }


def _described(suite: Suite) -> dict[str, Any]:
    """What provenance says of a suite."""
    left_out = {missing.name: missing.reason for missing in suite.left_out}
    tasks = {task.name: task.size for task in suite.tasks}
    cut = [] if suite.limit is None else [f"Each task is cut to at most {suite.limit:,} texts (--limit)."]
    told = {"left_out": left_out, "notes": [*suite.notes, *cut], "limit": suite.limit, "data_root": suite.data_root}
    return {"name": suite.name, "tasks": tasks, **told}


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


def _refuse_layers(model: Model, representations: Sequence[Representation], layers: LayerSet | None) -> None:
    barren = [name for name in representations if not any(layers_asked(model, name, layers))]
    if barren:
        raise SiteError(
            f"There is nothing to choose for {barren[0]} in the layers {layers}. Give one or more of "
            f"1..{model.n_layers}; 0, the input of the first block, is scored for comparison and never chosen."
        )
