"""What `valens sweep-layers` says of a result: its scores, why each layer is chosen, and what other rules would choose."""

from __future__ import annotations

import pandas as pd
from rich.table import Table
from rich.text import Text

from valens.results.formatting import at_layers, with_interval
from valens.selectors import AVERAGE, Choice
from valens.terminal.tables import as_said

_SETS = {"chosen": "chosen set", "best": "best layer", "half": "deep half", "all": "all layers"}
_METRICS = {"spearman": "Spearman", "ndcg_at_10": "nDCG@10", "map": "MAP", "v_measure": "V-measure"}
_LABEL_LENGTH = 18
"""With labels no longer than this, five task types fit into 80 columns."""
_COMPARISONS = {"chosen": "chosen sets", "best": "best single layers"}


def sweep_table(table: pd.DataFrame, sets: pd.DataFrame, representation: str, choice: Choice, baseline: str) -> Table:
    """One representation's scores: layers down, task types with their metric across; the best of each column has a `*`.

    Below the layers stand the averaged embeddings over the layer sets, and the lexical baseline. A score that is
    undefined (all texts alike) is a dash.
    """
    single = table[table.representation == representation]
    layers = _wide(single, "layer")
    title = as_said(f"{representation}: score by layer (* best, > in the chosen set)", "italic")
    out = Table(title=title, title_justify="left", box=None)
    out.add_column("layer", justify="right", no_wrap=True)
    metrics = single.drop_duplicates("task_type").set_index("task_type").metric
    for task_type in layers.columns:
        out.add_column(as_said(f"{task_type}\n{_METRICS.get(metrics[task_type], metrics[task_type])}"), justify="right")
    best = layers.max()
    for layer, row in layers.iterrows():
        chosen = layer in choice.layers
        cells = [_cell(score, best=bool(score == best[name])) for name, score in row.items()]
        out.add_row(f"{'> ' if chosen else ''}{layer}", *cells, style="bold" if chosen else None)
    out.add_row()
    ours = sets[sets.representation == representation]
    averaged = _wide(ours, "set")
    names = ours.drop_duplicates("set").set_index("set").layers
    for name, label in _SETS.items():
        if name in names:
            out.add_row(as_said(_label(label, names[name])), *map(_cell, averaged.loc[name]))
    words = table[table.representation == baseline].groupby("task_type").score.mean()
    out.add_row(f"{baseline}, words only", *[_cell(words[name]) for name in layers.columns], style="dim")
    return out


def reasons(choice: Choice) -> list[str | Text]:
    """The chosen set, a line for each of its layers that says why it is in, and one for how many are out."""
    word, _, layers = at_layers(str(choice.layers)).partition(" ")
    head = Text.assemble(f"The `{choice.selector}` rule chooses {word} ", (layers, "bold"), ":")
    inside = [f"  {layer}: {choice.reasons[layer]}" for layer in choice.layers]
    n_outside = len(set(choice.reasons) - set(choice.layers))
    outside = [f"  The other {n_outside} are out; layers.json says why for each."] if n_outside else []
    return [head, *inside, *outside]


def rule_table(rules: pd.DataFrame, representation: str, select: str) -> Table:
    """What each rule would choose: its set, the averaged embedding's mean score, and how far the chosen set is from it.

    The last columns, if splits were scored, are what the rule's sets score on the split that they were chosen on,
    and on the held-out one.
    """
    ours = rules[(rules.representation == representation) & rules.layers.notna()]
    nested = "held_out" in ours
    out = Table(box=None, pad_edge=False)
    out.add_column("rule", no_wrap=True)
    out.add_column("layers", overflow="fold")
    for name in ("score", "chosen − this", *(["in sample", "held out"] if nested else [])):
        out.add_column(name, justify="right", no_wrap=True)
    for row in ours.itertuples():
        asked = row.selector == select
        difference = with_interval(
            row.chosen_minus_this, row.chosen_minus_this_low, row.chosen_minus_this_high, signed=True
        )
        cells = [f"{'> ' if asked else ''}{row.selector}", row.layers, _number(row.score), "" if asked else difference]
        cells += [_number(score) for score in (row.in_sample, row.held_out)] if nested else []
        out.add_row(*map(as_said, cells), style="bold" if asked else None)
    return out


def refusals(rules: pd.DataFrame, representation: str) -> list[str]:
    """The rules that could not choose, and why."""
    ours = rules[(rules.representation == representation) & rules.layers.isna()]
    return [f"  No set by `{row.selector}`: {row.refused}" for row in ours.itertuples()]


def comparison_lines(comparisons: pd.DataFrame) -> list[str]:
    """How the first representation compares with the second, each with its chosen set and with its best single layer."""
    if comparisons.empty:
        return []
    rows = comparisons[comparisons.task_type == AVERAGE].drop_duplicates(["first_layers", "second_layers"])
    return [
        f"{row.first} − {row.second}, {_COMPARISONS[row.set]} ({row.first_layers} and {row.second_layers}): "
        f"{with_interval(row.difference, row.low, row.high, signed=True)}"
        for row in rows.itertuples()
    ]


def caution(rules: pd.DataFrame) -> str:
    """What a reader of the scores must bear in mind: they chose the layers."""
    what = "Scores of rules are means over task types, with paired 95 % intervals of the differences. "
    if "held_out" in rules:
        return what + (
            "Layers were chosen on these very scores, which flatters them. The last column is honest: the rule chose on "
            "half of the data, and its set scored `in sample` on that half and `held out` on the other."
        )
    return what + "Layers were chosen on these very scores, which flatters them: judge a set on other data."


def _wide(table: pd.DataFrame, index: str) -> pd.DataFrame:
    """Mean score with task types across, in the order in which they first appear."""
    types = list(dict.fromkeys(table.task_type))
    return table.pivot_table(index=index, columns="task_type", values="score", aggfunc="mean", dropna=False)[types]


def _cell(score: float, *, best: bool = False) -> Text:
    return as_said(f"{score:.3f}*", "bold") if best else as_said(f"{_number(score)} ")


def _number(score: float) -> str:
    return "–" if pd.isna(score) else f"{score:.3f}"


def _label(name: str, layers: str) -> str:
    """A set's name with its layers, where there is room for them."""
    whole = f"{name} ({layers})"
    return whole if len(whole) <= _LABEL_LENGTH else name
