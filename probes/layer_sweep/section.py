"""What a layer sweep says: every layer's scores, which layers each rule chooses and what that scores, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from probes.layer_sweep.comparison import curve_of, scored_tasks
from valens.evaluation.tfidf import LEXICAL
from valens.layers.layer_set import LayerSet
from valens.plotting.axes import n_layers_of
from valens.results.formatting import at_layers, number, with_interval
from valens.results.section import Figures, LayerSetSection, Section, as_good, layer_by_layer, pictures_of
from valens.results.views import Cell, View, view
from valens.selectors import AVERAGE, Choice
from valens.statistics import not_distinguishable_by_replicates

QUESTION = "Which layers should an embedding average?"

_METRICS = {"spearman": "Spearman", "ndcg_at_10": "nDCG@10", "map": "MAP", "v_measure": "V-measure"}
_SETS = {"chosen": "chosen set", "best": "best layer", "half": "deep half", "all": "all layers"}
_COMPARED = {"chosen": "chosen sets", "best": "best single layers"}
_RULES = ["selector", "layers", "score", "low", "high", "chosen_minus_this", "chosen_minus_this_low"]
_RULES += ["chosen_minus_this_high", "in_sample", "held_out", "held_out_low", "held_out_high"]
_RULE_NAMES = {"selector": "rule", "chosen_minus_this": "chosen − this"}
_SCORES = ["score", "low", "high"]


if TYPE_CHECKING:

    class Sweep(Protocol):
        """What is asked of a result of the layer sweep."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def details(self) -> Mapping[str, pd.DataFrame]: ...  # noqa: D102
        @property
        def choices(self) -> dict[str, Choice]: ...  # noqa: D102
        @property
        def sets(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def rules(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def comparisons(self) -> pd.DataFrame: ...  # noqa: D102
        def compare(self, first: str, second: str) -> pd.DataFrame: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Sweep) -> Section:
    """Put a sweep into words, figures, layer sets and tables."""
    names = " and ".join(result.choices)
    caption = (
        f"Score by layer for {names}, one line a task type with its 95 % band. A dot is a type’s best layer, a short dashed "
        "line what words alone (TF-IDF) score, and the shaded layers are the chosen set."
    )
    tables = [_by_type(result, name, choice) for name, choice in result.choices.items()]
    tables += [replace(_by_task(result, name), folded=True) for name in result.choices]
    tables += [
        view(result.sets, "Averaged embeddings over each rule’s set", folded=True, filtered=True),
        view(result.table, "All scores of single layers", folded=True, filtered=True),
    ]
    return Section(
        "Layer sweep",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=tuple(_findings(result)),
        pictures=pictures_of(result.figures(), {"figure3": caption}),
        sets=tuple(_chosen_set(result, name, choice) for name, choice in result.choices.items()),
        tables=tuple(tables),
    )


def chosen_lines(result: Sweep) -> dict[str, str]:
    """Return each representation's best layer and chosen set, with the mean score over task types."""
    lines = {}
    for name, choice in result.choices.items() if "choices" in result.details else ():
        rules = _rules_of(result, name)
        if "best" in rules.index and not pd.isna(rules.loc["best", "layers"]):
            lines[f"best {name}"] = f"layer {rules.loc['best', 'layers']}, {_mean(rules.loc['best'])}"
        score = f", {_mean(rules.loc[choice.selector])}" if choice.selector in rules.index else ""
        lines[f"chosen {name}"] = f"{choice.layers}, by `{choice.selector}`{score}"
    return lines


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    suite = facts.get("suite")
    if not isinstance(suite, Mapping):
        return
    sizes = ", ".join(
        f"{name} ({size:,})" if isinstance(size, int) else str(name) for name, size in suite["tasks"].items()
    )
    yield f"{suite['name']}: {sizes}."
    cut = facts.get("texts_truncated", 0)
    if cut:
        yield f"{cut:,} texts were cut at the limit of tokens."


def undefined_tasks(facts: Mapping[str, Any]) -> Iterator[str]:
    """Name the tasks that have no score at any layer."""
    for name, tasks in facts.get("without_scores", {}).items():
        for task in tasks:
            yield (
                f"{task} has no score at any layer of {name}: all texts have the same vector. It has no say in the "
                "choice and is in no mean."
            )


def _findings(result: Sweep) -> Iterator[str]:
    for name, choice in result.choices.items():
        rules = _rules_of(result, name)
        yield f"{_chosen(name, choice, rules)} {_best(result, name, rules)}".strip()
        if "held_out" in rules and choice.selector in rules.index:
            row = rules.loc[choice.selector]
            unseen = with_interval(row.held_out, row.held_out_low, row.held_out_high)
            yield (
                f"The honest score of that rule for {name}: choosing on one split of the data, its sets scored "
                f"{number(row.in_sample)} on it and {unseen} on the split that was held out."
            )
    yield from _compared(result.comparisons)
    if len(result.choices) > 1 and "replicates" in result.details:
        first, *others = result.choices
        for second in (name for name in others if scored_tasks(result.table, [first, name])):
            yield layer_by_layer(result.compare(first, second), first, second, "paired by resample")
    words = _words(result.table, result.choices)
    if len(words):
        yield f"Words alone ({LEXICAL}) score {number(words.mean())}."
    yield (
        "Scores are means over task types. Layers were chosen on these very scores, which flatters them: judge a set on "
        "other data."
    )


def _chosen(name: str, choice: Choice, rules: pd.DataFrame) -> str:
    sentence = f"For {name} the rule “{choice.selector}” chooses {at_layers(str(choice.layers))}"
    if choice.selector not in rules.index:
        return f"{sentence}."
    return f"{sentence}: the embedding scores {with_interval(*rules.loc[choice.selector, _SCORES])}."


def _best(result: Sweep, name: str, rules: pd.DataFrame) -> str:
    """Name the best single layer, as the rule of that name has it."""
    if "best" not in rules.index or pd.isna(rules.loc["best", "layers"]):
        return ""
    best = rules.loc["best"]
    sentence = f"Its best single layer is {best.layers}: {with_interval(*best[_SCORES])}"
    return (
        f"{sentence}; {as_good(int(best.layers), _among_best(result, name))}."
        if "replicates" in result.details
        else f"{sentence}."
    )


def _among_best(result: Sweep, name: str) -> list[int]:
    """Find the layers from 1 whose mean over task types cannot be told from the best one's."""
    tasks = scored_tasks(result.table, [name])
    single = result.table[(result.table.layer.fillna(0) > 0) & result.table.task.isin(tasks)]
    layers = sorted({int(layer) for layer in single.layer[single.representation == name]})
    curve = curve_of(single, result.details["replicates"], name, layers, AVERAGE)
    among = not_distinguishable_by_replicates(curve.score, curve.replicates)
    return [layer for layer, indistinguishable in zip(layers, among, strict=True) if indistinguishable]


def _compared(comparisons: pd.DataFrame) -> Iterator[str]:
    if comparisons.empty:
        return
    averages = comparisons[comparisons.task_type == AVERAGE]
    for row in averages.drop_duplicates(["first_layers", "second_layers"]).itertuples():
        sets = f"{row.first_layers} and {row.second_layers}"
        gap = with_interval(row.difference, row.low, row.high, signed=True)
        yield f"{row.first} − {row.second}, {_COMPARED[row.set]} ({sets}): {gap}, paired."


def _rules_of(result: Sweep, name: str) -> pd.DataFrame:
    rules = result.details.get("rules", pd.DataFrame(columns=["representation", "selector", "layers"]))
    return rules[rules.representation == name].set_index("selector")


def _mean(rule: pd.Series) -> str:
    return f"{with_interval(*rule[_SCORES])} as a mean over task types"


def _chosen_set(result: Sweep, name: str, choice: Choice) -> LayerSetSection:
    n_layers = n_layers_of(result.table) or 0
    why = {layer: choice.reasons[layer] for layer in choice.layers if layer in choice.reasons}
    rules, reasons = _rules(result, name, n_layers), _reasons(name, choice)
    n_out = len(choice.reasons) - len(why)
    others = f"The other {n_out} are out; the files have the reason for each." if n_out else ""
    return LayerSetSection(name, choice.selector, choice.layers, n_layers, rules, reasons, why, others)


def _rules(result: Sweep, name: str, n_layers: int) -> View:
    """Show what each rule would choose, what that set scores, and how far it is from the chosen one."""
    ours = result.rules[result.rules.representation == name]
    rules = ours[ours.layers.notna()].copy()
    refused = [f"No set by “{row.selector}”: {row.refused}" for row in ours[ours.layers.isna()].itertuples()]
    asked = (rules.selector == result.choices[name].selector).to_numpy()
    rules.loc[asked, [column for column in rules if column.startswith("chosen_minus_this")]] = float("nan")
    shown = rules[[column for column in _RULES if column in rules]].rename(columns=_RULE_NAMES)
    shown = shown.rename(columns=lambda column: column.replace("chosen_minus_this_", "chosen − this_"))
    honest = (
        ""
        if "held_out" not in rules
        else (
            "`held out` is honest: the rule chose on one split of the data, and its set scored `in sample` on that split "
            "and `held out` on the other."
        )
    )
    sentences = ["Means over task types with 95 % intervals; differences are paired.", honest, *refused]
    note = " ".join(filter(None, sentences))
    plain = view(shown, f"What each rule chooses for {name}", note=note, constants_apart=False)
    sets = [frozenset(LayerSet.parse(layers, n_layers)) for layers in rules.layers]
    at = [column.name for column in plain.columns].index("layers")
    rows = tuple(
        (*row[:at], replace(row[at], layers=layers), *row[at + 1 :])
        for row, layers in zip(plain.rows, sets, strict=True)
    )
    return replace(
        plain, rows=rows, n_layers=n_layers, chosen=frozenset(index for index, yes in enumerate(asked) if yes)
    )


def _reasons(name: str, choice: Choice) -> View:
    """Show one row a layer, those in the set first."""
    rows = [
        {"layer": layer, "set": "in" if layer in choice.layers else "out", "why": why}
        for layer, why in sorted(choice.reasons.items(), key=lambda reason: (reason[0] not in choice.layers, reason[0]))
    ]
    return view(pd.DataFrame(rows), f"Why each layer of {name} is in or out")


def _by_type(result: Sweep, name: str, choice: Choice) -> View:
    """Show one row a layer and one column a task type, the best of each marked; below, the averaged sets and words alone."""
    single = result.table[(result.table.representation == name) & result.table.layer.notna()]
    metrics = single.drop_duplicates("task_type").set_index("task_type").metric
    heads = {
        task_type: f"{task_type} {_METRICS.get(metrics[task_type], metrics[task_type])}" for task_type in metrics.index
    }
    by_layer = _wide(single, "layer")
    title = f"{name}: score by layer (* best, > in the chosen set)"
    plain = view(by_layer.reset_index().rename(columns=heads), title, constants_apart=False)
    layers = [int(layer) for layer in by_layer.index]
    best = [by_layer[task_type] == by_layer[task_type].max() for task_type in by_layer]
    rows = [
        (row[0], *(replace(cell, best=bool(best[index].iloc[number])) for index, cell in enumerate(row[1:])))
        for number, row in enumerate(plain.rows)
    ]
    rows += _further_rows(result, name, list(by_layer))
    chosen = frozenset(index for index, layer in enumerate(layers) if layer in choice.layers)
    return replace(plain, rows=tuple(rows), chosen=chosen)


def _further_rows(result: Sweep, name: str, types: list[str]) -> Iterator[tuple[Cell, ...]]:
    """Yield the averaged embeddings over layer sets, and the lexical baseline, as rows below the layers."""
    ours = result.sets[result.sets.representation == name]
    averaged, layers = _wide(ours, "set"), ours.drop_duplicates("set").set_index("set").layers
    for set_name, label in _SETS.items():
        if set_name in layers:
            named = "" if set_name == "chosen" else f" ({layers[set_name]})"  # the chosen layers are marked above
            yield Cell(f"{label}{named}"), *map(_score, averaged.loc[set_name, types])
    words = _words(result.table, [name])
    if len(words):
        yield Cell(f"{LEXICAL}, words only"), *map(_score, words.reindex(types))


def _words(table: pd.DataFrame, names: Iterable[str]) -> pd.Series:
    """Return what words alone score by task type, on the tasks that have a score of each of these representations."""
    words = table[(table.representation == LEXICAL) & table.task.isin(scored_tasks(table, names))]
    return words.groupby("task_type").score.mean()


def _score(score: float) -> Cell:
    return Cell(number(score), None if pd.isna(score) else float(score))


def _by_task(result: Sweep, name: str) -> View:
    """Show one row a layer, one column a task, with intervals."""
    single = result.table[(result.table.representation == name) & result.table.layer.notna()]
    columns: dict[str, pd.Series] = {}
    for task, part in single.groupby("task", sort=False):
        by_layer = part.set_index("layer")
        columns |= {str(task): by_layer.score, f"{task}_low": by_layer.low, f"{task}_high": by_layer.high}
    metrics = single.drop_duplicates("task").itertuples()
    described = "; ".join(f"{row.task}: {row.task_type}, {row.metric}" for row in metrics)
    return view(
        pd.DataFrame(columns).reset_index(),
        f"{name}: score by layer and task",
        note=f"{described}. With 95 % intervals.",
    )


def _wide(table: pd.DataFrame, index: str) -> pd.DataFrame:
    """Return the mean score with task types across, in the order in which they first appear."""
    types = list(dict.fromkeys(table.task_type))
    return table.pivot_table(index=index, columns="task_type", values="score", aggfunc="mean", dropna=False)[types]
