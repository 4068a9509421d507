"""What is said of a sweep: what stands in which row, what is marked, and that nothing wraps."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from probes.layer_sweep.result import KIND, LayerSweepResult, choice_table
from valens.layers.layer_set import LayerSet
from valens.results.section import Section
from valens.results.views import View
from valens.selectors import Choice
from valens.terminal.sections import show_section, view_table

METRICS = {
    "STS": "spearman",
    "Retrieval": "ndcg_at_10",
    "Reranking": "map",
    "Clustering": "v_measure",
    "Classification": "accuracy",
}
LAYERS = range(1, 41)
CHOICE = Choice("paper", LayerSet.of([26, 27, 29, 30, 31]), {layer: f"because {layer}" for layer in LAYERS})


def rows(representation: str, layer: int | None, score: float) -> list[dict[str, object]]:
    return [
        {
            "model": "large",
            "representation": representation,
            "layer": layer,
            "depth": None if layer is None else layer / len(LAYERS),
            "task": name,
            "task_type": name,
            "metric": metric,
            "score": score,
            "low": score - 0.1,
            "high": score + 0.1,
        }
        for name, metric in METRICS.items()
    ]


@pytest.fixture
def table() -> pd.DataFrame:
    """Layer l scores l / 100 everywhere, and words alone 0.5; another representation must not show."""
    found = [*rows("TF-IDF", None, 0.5), *rows("HS", 1, 0.99)]
    found += [row for layer in LAYERS for row in rows("VA", layer, layer / 100)]
    return pd.DataFrame(found).astype({"layer": "Int64", "depth": "Float64"})


@pytest.fixture
def sets() -> pd.DataFrame:
    found = []
    for place, (name, layers) in enumerate(
        {"chosen": "26,27,29-31", "best": "40", "half": "20-40", "all": "1-40"}.items()
    ):
        found += [row | {"set": name, "layers": layers} for row in rows("VA", None, 0.6 + place / 100)]
    return pd.DataFrame(found)


@pytest.fixture
def rules() -> pd.DataFrame:
    made = {"representation": "VA", "selector": "paper", "layers": "26,27,29-31", "score": 0.6, "refused": None}
    made |= {"low": 0.5, "high": 0.7, "in_sample": 0.59, "held_out": 0.58, "held_out_low": 0.4, "held_out_high": 0.7}
    made |= {"chosen_minus_this": 0.0, "chosen_minus_this_low": 0.0, "chosen_minus_this_high": 0.0}
    gap = {"chosen_minus_this": 0.1, "chosen_minus_this_low": -0.05, "chosen_minus_this_high": 0.2}
    dimension = {"selector": "intrinsic-dimension", "layers": "1,5,9,13,17,21,25,29", "score": 0.5, "held_out": np.nan}
    return pd.DataFrame(
        [
            made,
            made | gap | dimension,
            made | {"selector": "greedy", "layers": None, "refused": "It cannot."},
            made | {"representation": "HS", "score": 0.99},
        ]
    )


def swept(table: pd.DataFrame, sets: pd.DataFrame, choice: Choice = CHOICE, **details: pd.DataFrame) -> Section:
    """What is said of a sweep of VA with these tables."""
    none = pd.DataFrame({"representation": [], "selector": [], "layers": []}, dtype=object)
    found = {"choices": choice_table({"VA": choice}), "sets": sets, "rules": none} | details
    return LayerSweepResult(KIND, table, {}, found).section()


def shown(view: View, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(view_table(view, width=width))
    return console.file.getvalue().splitlines()


def by_type(table: pd.DataFrame, sets: pd.DataFrame, width: int = 80) -> list[str]:
    return shown(swept(table, sets).tables[0], width)


def cells(lines: list[str], label: str) -> list[str]:
    (line,) = [line for line in lines if line.strip().startswith(f"{label} ")]
    return line.strip().removeprefix(label).split()


@pytest.mark.parametrize("width", [80, 120])
def test_five_task_types_fit_a_terminal_one_line_a_layer(table: pd.DataFrame, sets: pd.DataFrame, width: int) -> None:
    lines = by_type(table, sets, width)
    assert max(map(len, lines)) <= width
    header = 2 if width == 80 else 1
    assert len(lines) == header + len(LAYERS) + 4 + 1  # layers, sets, words
    for word in (*METRICS, "Spearman", "nDCG@10", "MAP", "V-measure", "accuracy"):
        assert sum(word in line.split() for line in lines) == 1


def test_layers_sets_and_words_have_their_own_scores(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    lines = by_type(table, sets)
    assert cells(lines, "12") == ["0.120"] * 5
    assert cells(lines, "> 26") == ["0.260"] * 5
    assert cells(lines, "40") == ["0.400*"] * 5
    assert cells(lines, "chosen set") == ["0.600"] * 5
    assert cells(lines, "best layer (40)") == ["0.610"] * 5
    assert cells(lines, "deep half (20-40)") == ["0.620"] * 5
    assert cells(lines, "all layers (1-40)") == ["0.630"] * 5
    assert cells(lines, "TF-IDF, words only") == ["0.500"] * 5
    marked = [line.split()[1] for line in lines if line.strip().startswith(">")]
    assert marked == [str(layer) for layer in CHOICE.layers]


def test_the_best_of_each_column_is_marked_ties_too(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    table.loc[(table.layer == 7) & (table.task == "STS") & (table.representation == "VA"), "score"] = 0.9
    table.loc[(table.layer == 8) & (table.task == "STS") & (table.representation == "VA"), "score"] = 0.9
    lines = by_type(table, sets)
    assert cells(lines, "7") == ["0.900*", *["0.070"] * 4]
    assert cells(lines, "8") == ["0.900*", *["0.080"] * 4]
    assert cells(lines, "40") == ["0.400", *["0.400*"] * 4]


def test_an_undefined_score_is_a_dash_and_never_the_best(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    table.loc[table.task == "STS", "score"] = np.nan
    sets.loc[sets.task == "STS", "score"] = np.nan
    lines = by_type(table, sets)
    assert cells(lines, "40") == ["–", *["0.400*"] * 4]
    assert cells(lines, "chosen set")[0] == cells(lines, "TF-IDF, words only")[0] == "–"


def test_tasks_of_one_type_are_averaged(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    other = table[table.task == "STS"].assign(task="another", score=lambda part: part.score + 0.1)
    lines = by_type(pd.concat([table, other]), sets)
    assert cells(lines, "12") == ["0.170", *["0.120"] * 4]
    assert cells(lines, "TF-IDF, words only") == ["0.550", *["0.500"] * 4]


def test_what_all_layers_score_alike_is_shown_too(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    table.loc[table.task == "Reranking", "score"] = 1.0
    lines = by_type(table, sets)
    assert cells(lines, "12") == ["0.120", "0.120", "1.000*", "0.120", "0.120"]
    assert cells(lines, "chosen set") == ["0.600"] * 5


def test_every_chosen_layer_has_its_reason(table: pd.DataFrame, sets: pd.DataFrame, rules: pd.DataFrame) -> None:
    everything = Choice("all", LayerSet.of(LAYERS), dict.fromkeys(LAYERS, "in all"))
    for choice, outside in (
        (CHOICE, ["  The other 35 are out; the files have the reason for each."]),
        (everything, []),
    ):
        console = Console(file=io.StringIO(), width=80)
        show_section(console, swept(table, sets, choice, rules=rules))
        lines = console.file.getvalue().splitlines()
        (first,) = [n for n, line in enumerate(lines) if line.startswith(f"VA: the `{choice.selector}` rule chooses ")]
        assert choice.selector == "all" or lines[first].endswith("layers 26, 27, 29–31:")
        inside = [f"  {layer}: {choice.reasons[layer]}" for layer in choice.layers]
        told = lines[first + 1 : lines.index("", first)]
        assert told == inside + outside
    (said,) = swept(table, sets).sets
    assert [row[0].text for row in said.reasons.rows][:5] == [str(layer) for layer in CHOICE.layers]
    assert len(said.reasons.rows) == len(LAYERS)


def test_where_the_other_reasons_are_is_said_by_the_section_and_not_by_the_terminal(
    table: pd.DataFrame, sets: pd.DataFrame
) -> None:
    (chosen,) = swept(table, sets).sets
    console = Console(file=io.StringIO(), width=80)
    show_section(console, Section("Of one's own", sets=(replace(chosen, others="Ask its author."),)))
    assert "  Ask its author." in console.file.getvalue().splitlines()
    assert "the files have" not in console.file.getvalue()


def test_each_rule_has_its_set_its_score_and_its_distance(
    table: pd.DataFrame, sets: pd.DataFrame, rules: pd.DataFrame
) -> None:
    (said,) = swept(table, sets, rules=rules).sets
    lines = shown(said.rules)
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[0] == "rule"  # below the first word of `in sample`
    assert cells(lines, "> paper") == ["26,27,29-31", "0.600", "–", "0.590", "0.580"]  # it is not compared with itself
    layers, *numbers = cells(lines, "intrinsic-dimension")
    assert layers + lines[-1].strip() == "1,5,9,13,17,21,25,29"
    assert numbers == ["0.500", "+0.100", "[−0.050,", "+0.200]", "0.590", "–"]
    assert cells(shown(said.rules, 200), "> paper") == (
        ["26,27,29-31", "0.600", "[0.500,", "0.700]", "–", "0.590", "0.580", "[0.400,", "0.700]"]
    )
    assert "0.990" not in "".join(lines)
    assert said.rules.note.endswith("No set by “greedy”: It cannot.")


def test_rules_that_all_choose_one_set_show_it(table: pd.DataFrame, sets: pd.DataFrame, rules: pd.DataFrame) -> None:
    (said,) = swept(table, sets, rules=rules[:2].assign(layers="26,27,29-31")).sets
    assert [row[1].layers for row in said.rules.rows] == [frozenset(CHOICE.layers)] * 2


def test_without_splits_there_is_no_column_for_them(
    table: pd.DataFrame, sets: pd.DataFrame, rules: pd.DataFrame
) -> None:
    bare = rules.drop(columns=["in_sample", "held_out", "held_out_low", "held_out_high"])
    section = swept(table, sets, rules=bare)
    assert not {"in sample", "held out"} & {column.name for column in section.sets[0].rules.columns}
    assert "held out" not in " ".join([section.sets[0].rules.note, *section.findings])
    honest = "its sets scored 0.590 on it and 0.580 [0.400, 0.700] on the split that was held out"
    assert honest in " ".join(swept(table, sets, rules=rules).findings)


def test_two_representations_are_compared_by_their_sets_and_their_best_layers(
    table: pd.DataFrame, sets: pd.DataFrame
) -> None:
    chosen = {"first": "VA", "second": "HS", "set": "chosen", "first_layers": "26,27", "second_layers": "30"}
    chosen |= {"task_type": "average", "difference": 0.05, "low": 0.01, "high": 0.09}
    best = chosen | {"set": "best", "first_layers": "27", "difference": -0.01}
    compared = pd.DataFrame([chosen, chosen | {"task_type": "STS", "difference": 1}, best])
    for comparisons, expected in (
        (
            compared,
            [
                "VA − HS, chosen sets (26,27 and 30): +0.050 [+0.010, +0.090], paired.",
                "VA − HS, best single layers (27 and 30): −0.010 [+0.010, +0.090], paired.",
            ],
        ),
        (compared.head(0), []),
    ):
        findings = swept(table, sets, comparisons=comparisons).findings
        assert [line for line in findings if line.startswith("VA − HS")] == expected
