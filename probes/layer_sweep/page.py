"""What a page says of a layer sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from probes.layer_sweep.comparison import curve_of
from valens.layers.layer_set import LayerSet
from valens.plotting.axes import n_layers_of
from valens.probes import LEXICAL, LayerSweepResult
from valens.report.section import LayerSetSection, Section, as_good, at_layers, layer_by_layer, pictured
from valens.report.views import View, number, view, with_interval
from valens.selectors import AVERAGE, Choice
from valens.statistics import not_distinguishable_by_replicates

_COMPARISONS = {"chosen": "chosen sets", "best": "best single layers"}
_RULES = ["selector", "layers", "score", "low", "high", "chosen_minus_this", "chosen_minus_this_low"]
_RULES += ["chosen_minus_this_high", "in_sample", "held_out", "held_out_low", "held_out_high"]
_RULE_NAMES = {"selector": "rule", "chosen_minus_this": "chosen − this"}
_SCORES = ["score", "low", "high"]


def section(found: LayerSweepResult) -> Section:
    """A sweep: what each rule chooses and scores, why each layer is in or out, and every layer's scores."""
    names = " and ".join(found.choices)
    caption = (
        f"Score by layer for {names}, one line a task type with its 95 % band. A dot is a type’s best layer, a short dashed "
        "line what words alone (TF-IDF) score, and the shaded layers are the chosen set."
    )
    tables = [_by_layer(found, name) for name in found.choices]
    tables += [
        view(found.sets, "Averaged embeddings over each rule’s set", folded=True, filtered=True),
        view(found.table, "All scores of single layers", folded=True, filtered=True),
    ]
    return Section(
        "Layer sweep",
        "Which layers should an embedding average?",
        tuple(_findings(found)),
        pictured(found.figures(), {"figure3": caption}),
        tuple(_layer_set_section(found, name, choice) for name, choice in found.choices.items()),
        tuple(tables),
    )


def _findings(found: LayerSweepResult) -> Iterator[str]:
    for name, choice in found.choices.items():
        rules = found.rules[found.rules.representation == name].set_index("selector")
        yield f"{_chosen(name, choice, rules)} {_best(found, name, rules)}".strip()
        if "held_out" in rules and choice.selector in rules.index:
            row = rules.loc[choice.selector]
            new = with_interval(row.held_out, row.held_out_low, row.held_out_high)
            yield (
                f"The honest score of that rule for {name}: choosing on half of the data, its sets scored "
                f"{number(row.in_sample)} there and {new} on the other half."
            )
    yield from _comparisons(found.comparisons)
    if len(found.choices) > 1 and "replicates" in found.details:
        first, second, *_ = found.choices
        yield layer_by_layer(found.compare(first, second), first, second, "paired by resample")
    words = found.table[found.table.representation == LEXICAL]
    if len(words):
        yield f"Words alone ({LEXICAL}) score {number(words.groupby('task_type').score.mean().mean())}."
    yield "Scores are means over task types. Layers were chosen on these very scores, which flatters them."


def _chosen(name: str, choice: Choice, rules: pd.DataFrame) -> str:
    said = f"For {name} the rule “{choice.selector}” chooses {at_layers(str(choice.layers))}"
    if choice.selector not in rules.index:
        return f"{said}."
    return f"{said}: the embedding scores {with_interval(*rules.loc[choice.selector, _SCORES])}."


def _best(found: LayerSweepResult, name: str, rules: pd.DataFrame) -> str:
    """The best single layer, as the rule of that name has it."""
    if "best" not in rules.index or pd.isna(rules.loc["best", "layers"]):
        return ""
    best = rules.loc["best"]
    said = f"Its best single layer is {best.layers}: {with_interval(*best[_SCORES])}."
    return f"{said} {as_good(int(best.layers), _among_best(found, name))}" if "replicates" in found.details else said


def _among_best(found: LayerSweepResult, name: str) -> list[int]:
    """The layers from 1 whose mean over task types cannot be told from the best one's."""
    single = found.table[found.table.layer.fillna(0) > 0]
    layers = sorted({int(layer) for layer in single.layer[single.representation == name]})
    curve = curve_of(single, found.detail("replicates"), name, layers, AVERAGE)
    among = not_distinguishable_by_replicates(curve.score, curve.replicates)
    return [layer for layer, kept in zip(layers, among, strict=True) if kept]


def _comparisons(comparisons: pd.DataFrame) -> Iterator[str]:
    if comparisons.empty:
        return
    for row in (
        comparisons[comparisons.task_type == "average"].drop_duplicates(["first_layers", "second_layers"]).itertuples()
    ):
        sets = f"{row.first_layers} and {row.second_layers}"
        difference = with_interval(row.difference, row.low, row.high, signed=True)
        yield f"{row.first} − {row.second}, {_COMPARISONS[row.set]} ({sets}): {difference}, paired."


def _layer_set_section(found: LayerSweepResult, name: str, choice: Choice) -> LayerSetSection:
    n_layers = n_layers_of(found.table) or 0
    return LayerSetSection(
        name, choice.selector, choice.layers, n_layers, _rules(found, name, n_layers), _reasons(name, choice)
    )


def _rules(found: LayerSweepResult, name: str, n_layers: int) -> View:
    ours = found.rules[found.rules.representation == name]
    made = ours[ours.layers.notna()].copy()
    refused = [f"No set by “{row.selector}”: {row.refused}" for row in ours[ours.layers.isna()].itertuples()]
    asked = made.selector == found.choices[name].selector
    made.loc[asked, [column for column in made if column.startswith("chosen_minus_this")]] = float("nan")
    made.loc[asked, "selector"] += ", chosen"
    shown = made[[column for column in _RULES if column in made]].rename(columns=_RULE_NAMES)
    shown = shown.rename(columns=lambda column: column.replace("chosen_minus_this_", "chosen − this_"))
    note = " ".join(["Means over task types with 95 % intervals; differences are paired.", *refused])
    plain = view(shown, f"What each rule chooses for {name}", note=note)
    sets = [frozenset(LayerSet.parse(layers, n_layers)) for layers in made.layers]
    at = [column.name for column in plain.columns].index("layers")
    rows = tuple(
        (*row[:at], replace(row[at], layers=layers), *row[at + 1 :])
        for row, layers in zip(plain.rows, sets, strict=True)
    )
    return replace(plain, rows=rows, n_layers=n_layers)


def _reasons(name: str, choice: Choice) -> View:
    """One row a layer, those in the set first."""
    rows = [
        {"layer": layer, "set": "in" if layer in choice.layers else "out", "why": why}
        for layer, why in sorted(choice.reasons.items(), key=lambda reason: (reason[0] not in choice.layers, reason[0]))
    ]
    return view(pd.DataFrame(rows), f"Why each layer of {name} is in or out")


def _by_layer(found: LayerSweepResult, name: str) -> View:
    """One row a layer, one column a task."""
    single = found.table[(found.table.representation == name) & found.table.layer.notna()]
    columns: dict[str, pd.Series] = {}
    for task, part in single.groupby("task", sort=False):
        by_layer = part.set_index("layer")
        columns |= {str(task): by_layer.score, f"{task}_low": by_layer.low, f"{task}_high": by_layer.high}
    metrics = single.drop_duplicates("task").itertuples()
    told = "; ".join(f"{row.task}: {row.task_type}, {row.metric}" for row in metrics)
    return view(pd.DataFrame(columns).reset_index(), f"{name}: score by layer", note=f"{told}. With 95 % intervals.")
