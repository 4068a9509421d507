"""Which layers should an embedding average? Every layer alone on every task, and a layer set chosen from that (Figure 3).

Section 4.2 of arXiv 2602.01572. Each text of the suite is read once, at all layers; each layer's vectors are scored on each
task with the task's own metric; a selector turns the curves into a layer set; and the averaged embedding over that set is
scored beside those of the other selectors. Every score has a 95 % bootstrap interval, and layers and sets are compared on
the same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from probes.layer_rules import BASELINES, RuleBook, consult, rule_table
from probes.layer_scores import Bench, text_places
from probes.layer_tables import dimension_table, gap_table, rival_table, sample_table, score_table, set_table
from probes.layers_asked import layers_asked
from valens import extract
from valens.chosen import model_facts
from valens.errors import SelectionError, SiteError
from valens.layers import LayerSet
from valens.lexical import LEXICAL
from valens.models import Model
from valens.provenance import provenance
from valens.representations import HS, VA, Representation
from valens.results import Result, records, replace, write_json
from valens.selectors import SELECTORS, Choice, refuse_lacking, selector
from valens.store import ActivationStore
from valens.tasks import Suite

__all__ = ["KIND", "LEXICAL", "Sweep", "layer_sweep", "plan"]

KIND = "layer-sweep"

_HALF_RESAMPLES = 200
"""A half's resamples say which of its layers differ and how sure its score is; they need not give a fine interval."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep found: the scores of single layers, and for each representation the layer set chosen from them."""

    result: Result
    """Its details: `dimension`, the intrinsic dimension of each layer's vectors; `samples`, what the scores are made of."""
    choices: dict[str, Choice]
    """One a representation."""
    sets: pd.DataFrame = field(repr=False)
    """The averaged embedding over each rule's set: representation, set (`chosen` or the rule's name), layers, task,
    task_type, metric, score, low, high, n."""
    gaps: pd.DataFrame = field(repr=False)
    """How far the chosen set is from each other, paired: representation, against, task_type, difference, low, high."""
    rivals: pd.DataFrame = field(repr=False)
    """How far the first representation is from the second, paired, with the chosen sets and with the best single layers:
    first, second, set, first_layers, second_layers, task_type, difference, low, high. Empty where one was swept."""
    rules: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"representation": []}), repr=False)
    """What each rule would choose, with means over task types: representation, selector, layers, score, low, high;
    chosen_minus_this with _low and _high, paired; layers_of_halves, seen_half, new_half with _low and _high: the same rule
    on half of the units, scored on that half and on the other; refused, why it could not choose."""

    @property
    def choice(self) -> Choice:
        """The choice for the first representation."""
        return next(iter(self.choices.values()))

    @property
    def layers(self) -> LayerSet:
        """The layer set chosen for the first representation."""
        return self.choice.layers

    @property
    def table(self) -> pd.DataFrame:
        """The scores of single layers, one row a number."""
        return self.result.table

    def to_json(self) -> dict[str, Any]:
        """The layer sets, why each layer is in or out, and what the averaged embeddings score, those of other rules too."""
        dimension = self.result.details.get("dimension", pd.DataFrame({"representation": []}))
        return {
            name: {
                "layers": str(choice.layers),
                "list": list(choice.layers),
                "selector": choice.selector,
                "reasons": {
                    str(layer): {"in": layer in choice.layers, "why": why}
                    for layer, why in sorted(choice.reasons.items())
                },
                "rules": _records_of(self.rules, name),
                "scores": _records_of(self.sets, name),
                "chosen_minus_other": _records_of(self.gaps, name),
                "intrinsic_dimension": {str(row["layer"]): row["dimension"] for row in _records_of(dimension, name)},
            }
            for name, choice in self.choices.items()
        }

    def save(self, folder: str | Path) -> Path:
        """Write the result, `layers.json`, `figure3.pdf` and `figure3.png` into a folder."""
        from valens.plotting import save_figure

        out = self.result.save(folder)
        first, *_ = self.choices
        sets, facts = self.to_json(), self.result.provenance
        model = model_facts(facts["model"], facts["how_read"]) if "model" in facts else None
        content = {"model": model, "representation": first, **sets[first], "representations": sets}
        replace(out / "layers.json", lambda path: write_json(path, content | {"rivals": records(self.rivals)}))
        save_figure(self.plot(), out, "figure3")
        return out

    def plot(self) -> Any:
        """Figure 3, as a matplotlib figure."""
        from valens.plotting import layer_curves

        (model,) = set(self.table.model)
        return layer_curves(self.table, chosen={(model, name): choice.layers for name, choice in self.choices.items()})


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
    mteb's own evaluators, at their price, but not those of halves. `seed` draws resamples, halves and the texts whose
    dimension is estimated. Raises TaskError, SelectionError, SiteError or PromptError for
    settings that the model or suite does not allow, before the model runs where possible.
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
        texts_truncated=extraction.truncated,
        suite=_described(suite),
        select=select,
        exact=exact,
        resamples=resamples,
        resamples_of_halves=halves,
        seed=seed,
    )
    table = score_table(books, bench.lexical(), model)
    details = {"dimension": dimension_table(books, model), "samples": sample_table(books)}
    return _sweep(books, Result(KIND, table, facts, details))


def _sweep(books: Sequence[RuleBook], result: Result) -> Sweep:
    choices = {book.representation.name: book.choice for book in books}
    return Sweep(result, choices, set_table(books), gap_table(books), rival_table(books), rule_table(books))


def _described(suite: Suite) -> dict[str, Any]:
    """What provenance says of a suite."""
    left_out = {missing.name: missing.reason for missing in suite.left_out}
    tasks = {task.name: task.size for task in suite.tasks}
    return {"name": suite.name, "tasks": tasks, "left_out": left_out, "notes": list(suite.notes)}


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
        store=store if isinstance(store, ActivationStore) else ActivationStore(store),
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


def _records_of(table: pd.DataFrame, representation: str) -> list[dict[str, Any]]:
    return records(table[table.representation == representation].drop(columns="representation"))
