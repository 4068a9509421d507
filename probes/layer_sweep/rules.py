"""What every selector would choose from the same scores, and how well its rule does on data that it has not seen.

A set that was chosen on some scores is flattered by them. So each rule chooses once more from one split of
every task's units (half of the queries, pairs or texts, drawn at random), its set is scored on the held-out split, and
the same the other way round.
What is fitted to a task (clusters, classifiers) is fitted once for both, and tasks may share texts: the units are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.layer_sweep.scores import LayerScorer
from valens.errors import SelectionError
from valens.evaluation.suite_scores import FIRST, SECOND, WHOLE, Scores
from valens.layers.layer_set import LayerSet
from valens.representations.named import Representation
from valens.selectors import (
    SELECTORS,
    Choice,
    LayerCurves,
    TaskCurve,
    check_task_types,
    check_tasks,
    mean_over_types,
    means_by_type,
    selector,
)
from valens.statistics import paired_difference, percentile_interval

BASELINES = ("best", "half", "all")
"""The rules with which the chosen set is always compared."""


@dataclass(frozen=True)
class Rule:
    """What one selector chooses from all units, and from either split; or why it cannot."""

    name: str
    choice: Choice | None
    splits: tuple[LayerSet, ...] = ()
    """Chosen on the first split and on the second; empty where no splits are scored."""
    refused: str | None = None

    def sets(self) -> list[LayerSet]:
        """Every set that it chooses."""
        return [*([self.choice.layers] if self.choice else []), *self.splits]


@dataclass(frozen=True)
class SelectorResults:
    """One representation's layers scored alone, what the rules make of that, and the scores of the sets they choose."""

    representation: Representation
    layers: tuple[int, ...]
    alone: Scores
    dimension: Float[np.ndarray, " layer"]
    select: str
    rules: tuple[Rule, ...]
    sets: dict[LayerSet, int]
    """In which row of `averaged` each set is."""
    averaged: Scores

    @property
    def choice(self) -> Choice:
        """What the rule chooses that was asked for."""
        return next(rule.choice for rule in self.rules if rule.name == self.select and rule.choice)

    def chosen_sets(self) -> dict[str, LayerSet]:
        """Return each rule's set, if it could choose, by its name, and first, as `chosen`, that of the rule asked for."""
        by_rule = {rule.name: rule.choice.layers for rule in self.rules if rule.choice}
        return {"chosen": self.choice.layers} | by_rule

    def scores_of(self, layers: LayerSet) -> Scores:
        """Return what the embedding averaged over one of the sets scores."""
        return self.averaged.row(self.sets[layers])

    def mean_of(self, layers: LayerSet, view: int = WHOLE) -> TaskCurve:
        """Return the mean over task types of what the embedding averaged over one of the sets scores."""
        return mean_over_types(self.scores_of(layers).without(self.alone.undefined()).curves(view))


def evaluate_selectors(
    scorer: LayerScorer, representation: Representation, layers: Sequence[int], *, select: str, names: Sequence[str]
) -> SelectorResults:
    """Score layers alone, let the rule `select` and the others of these names choose, and score what they choose.

    A task without a score at any of the layers has no say in a choice, and is in no mean. Raises SelectionError if the rule
    asked for cannot choose, or no task has a score; of the others the result says why.
    """
    alone = scorer.layers(representation, layers)
    _check_scores(representation, alone)
    dimension = scorer.dimension(representation, layers)
    curves = _candidates(scorer, representation, layers, alone, dimension)
    asked = _asked(select, curves, representation, alone.undefined())
    given = [task.task_type for task, _ in alone.tasks]
    others = [_other(name, curves, given) for name in names if name != select]
    ordered = sorted([asked, *others], key=lambda rule: list(SELECTORS).index(rule.name))
    sets = list(dict.fromkeys(layer_set for rule in ordered for layer_set in rule.sets()))
    return SelectorResults(
        representation=representation,
        layers=tuple(layers),
        alone=alone,
        dimension=dimension,
        select=select,
        rules=tuple(ordered),
        sets={layer_set: index for index, layer_set in enumerate(sets)},
        averaged=scorer.sets(representation, sets),
    )


def _check_scores(representation: Representation, alone: Scores) -> None:
    undefined = alone.undefined()
    if len(undefined) == len(alone.tasks):
        raise SelectionError(
            f"No task has a score at any layer of {representation} ({', '.join(undefined)}): the model gives all texts the "
            "same vector. Give texts that its tokenizer tells apart, or another model."
        )


def paired_differences(
    one: SelectorResults, layers: LayerSet, other: SelectorResults, others: LayerSet
) -> list[dict[str, Any]]:
    """Return how far one averaged embedding is from another, with paired intervals, by task type and over all types.

    Tasks that have no score at any layer of one of the two representations are left out; empty if none is left.
    """
    undefined = {*one.alone.undefined(), *other.alone.undefined()}
    ours, theirs = (
        result.scores_of(chosen).without(undefined).curves() for result, chosen in ((one, layers), (other, others))
    )
    return [
        {"task_type": mine.task_type} | _difference(mine, yours)
        for mine, yours in zip(means_by_type(ours), means_by_type(theirs), strict=True)
    ]


def rule_rows(result: SelectorResults) -> list[dict[str, Any]]:
    """Return a row a rule: its set and what that scores as a mean over task types, on its own data and on other data."""
    return [
        {"representation": result.representation.name, "selector": rule.name} | _row(result, rule)
        for rule in result.rules
    ]


def rule_table(results: Sequence[SelectorResults]) -> pd.DataFrame:
    """Return the rows of `rule_rows` of all representations."""
    return pd.DataFrame([row for result in results for row in rule_rows(result)])


def _candidates(
    scorer: LayerScorer,
    representation: Representation,
    layers: Sequence[int],
    alone: Scores,
    dimension: Float[np.ndarray, " layer"],
) -> list[LayerCurves]:
    """Return what a selector is given, on all units and on either split: the layers from 1, a block each."""
    keep = [index for index, layer in enumerate(layers) if layer > 0]
    undefined = alone.undefined()
    return [
        LayerCurves(
            scorer.model.n_layers,
            tuple(layers[index] for index in keep),
            tuple(curve.at(keep) for curve in alone.without(undefined).comparable(view)),
            dimension=dimension[keep],
            score_sets=scorer.quick_score(representation, view, without=undefined),
        )
        for view in scorer.views
    ]


def _asked(name: str, curves: Sequence[LayerCurves], representation: Representation, undefined: Sequence[str]) -> Rule:
    """Let the rule choose that was asked for; SelectionError that names tasks without a score, which it may have needed."""
    try:
        return _rule(name, curves)
    except SelectionError as error:
        if not undefined:
            raise
        raise SelectionError(f"{', '.join(undefined)}: no score at any layer of {representation}. {error}") from error


def _other(name: str, curves: Sequence[LayerCurves], given: Sequence[str]) -> Rule:
    """Let a rule choose for comparison, or keep why it cannot; `given` are the types of the tasks of the suite."""
    try:
        check_tasks(selector(name), given)
        return _rule(name, curves)
    except SelectionError as error:
        return Rule(name, None, refused=str(error))


def _rule(name: str, curves: Sequence[LayerCurves]) -> Rule:
    rule = selector(name)
    check_task_types(rule, curves[0].task_types)
    choice, *on_splits = [rule.select(view) for view in curves]
    return Rule(name, choice, tuple(one.layers for one in on_splits))


def _row(result: SelectorResults, rule: Rule) -> dict[str, Any]:
    if rule.choice is None:
        return {"layers": None, "refused": rule.refused}
    chosen, own = result.mean_of(result.choice.layers), result.mean_of(rule.choice.layers)
    low, high = percentile_interval(own.replicates)
    difference = {
        f"chosen_minus_this{'' if key == 'difference' else '_' + key}": value
        for key, value in _difference(chosen, own).items()
    }
    whole = {
        "layers": str(rule.choice.layers),
        "score": float(own.score[0]),
        "low": float(low[0]),
        "high": float(high[0]),
    }
    return whole | difference | _nested(result, rule) | {"refused": None}


def _nested(result: SelectorResults, rule: Rule) -> dict[str, Any]:
    """Return the rule's sets chosen on one split: their mean score on it, and on the held-out one with its interval."""
    if not rule.splits:
        return {}
    first, second = rule.splits
    in_sample = [result.mean_of(first, FIRST), result.mean_of(second, SECOND)]
    held_out = [result.mean_of(first, SECOND), result.mean_of(second, FIRST)]
    low, high = percentile_interval(np.mean([curve.replicates[0] for curve in held_out], axis=0)[None])
    return {
        "layers_of_splits": " and ".join(map(str, rule.splits)),
        "in_sample": float(np.mean([curve.score[0] for curve in in_sample])),
        "held_out": float(np.mean([curve.score[0] for curve in held_out])),
        "held_out_low": float(low[0]),
        "held_out_high": float(high[0]),
    }


def _difference(one: TaskCurve, other: TaskCurve) -> dict[str, float]:
    paired = paired_difference(one.replicates[0], other.replicates[0])
    difference = float(one.score[0] - other.score[0])
    return {"difference": difference, "low": float(paired.low), "high": float(paired.high)}
