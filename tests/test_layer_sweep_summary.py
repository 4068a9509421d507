"""What is said of a sweep: what stands in which row, what is marked, and that nothing wraps."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console, RenderableType

from probes.layer_sweep import summary as told
from valens.layers.layer_set import LayerSet
from valens.selectors import Choice

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
            "representation": representation,
            "layer": layer,
            "task": name,
            "task_type": name,
            "metric": metric,
            "score": score,
        }
        for name, metric in METRICS.items()
    ]


@pytest.fixture
def table() -> pd.DataFrame:
    """Layer l scores l / 100 everywhere, and words alone 0.5; another representation must not show."""
    found = [*rows("TF-IDF", None, 0.5), *rows("HS", 1, 0.99)]
    found += [row for layer in LAYERS for row in rows("VA", layer, layer / 100)]
    return pd.DataFrame(found).astype({"layer": "Int64"})


@pytest.fixture
def sets() -> pd.DataFrame:
    found = []
    for place, (name, layers) in enumerate(
        {"chosen": "26,27,29-31", "best": "40", "half": "20-40", "all": "1-40"}.items()
    ):
        found += [row | {"set": name, "layers": layers} for row in rows("VA", None, 0.6 + place / 100)]
    return pd.DataFrame(found)


def shown(what: RenderableType, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    return console.file.getvalue().splitlines()


def cells(lines: list[str], label: str) -> list[str]:
    (line,) = [line for line in lines if line.strip().startswith(f"{label} ")]
    return line.strip().removeprefix(label).split()


@pytest.mark.parametrize("width", [80, 120])
def test_five_task_types_fit_a_terminal_one_line_a_layer(table: pd.DataFrame, sets: pd.DataFrame, width: int) -> None:
    lines = shown(told.sweep_table(table, sets, "VA", CHOICE, "TF-IDF"), width)
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + 2 + len(LAYERS) + 1 + 4 + 1  # title, header, layers, a gap, sets, words
    for word in (*METRICS, "Spearman", "nDCG@10", "MAP", "V-measure", "accuracy"):
        assert sum(word in line.split() for line in lines) == 1


def test_layers_sets_and_words_have_their_own_scores(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    lines = shown(told.sweep_table(table, sets, "VA", CHOICE, "TF-IDF"))
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
    lines = shown(told.sweep_table(table, sets, "VA", CHOICE, "TF-IDF"))
    assert cells(lines, "7") == ["0.900*", *["0.070"] * 4]
    assert cells(lines, "8") == ["0.900*", *["0.080"] * 4]
    assert cells(lines, "40") == ["0.400", *["0.400*"] * 4]


def test_an_undefined_score_is_a_dash_and_never_the_best(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    table.loc[table.task == "STS", "score"] = np.nan
    sets.loc[sets.task == "STS", "score"] = np.nan
    lines = shown(told.sweep_table(table, sets, "VA", CHOICE, "TF-IDF"))
    assert cells(lines, "40") == ["–", *["0.400*"] * 4]
    assert cells(lines, "chosen set")[0] == cells(lines, "TF-IDF, words only")[0] == "–"


def test_tasks_of_one_type_are_averaged(table: pd.DataFrame, sets: pd.DataFrame) -> None:
    other = table[table.task == "STS"].assign(task="another", score=lambda part: part.score + 0.1)
    lines = shown(told.sweep_table(pd.concat([table, other]), sets, "VA", CHOICE, "TF-IDF"))
    assert cells(lines, "12") == ["0.170", *["0.120"] * 4]
    assert cells(lines, "TF-IDF, words only") == ["0.550", *["0.500"] * 4]


def test_every_chosen_layer_has_its_reason() -> None:
    first, *inside, last = told.reasons(CHOICE)
    assert "`paper`" in first
    assert "26,27,29-31" in first
    assert inside == [f"  {layer}: because {layer}" for layer in CHOICE.layers]
    assert "35 are out" in last
    everything = Choice("all", LayerSet.all(3), dict.fromkeys((1, 2, 3), "in all"))
    assert len(told.reasons(everything)) == 4


@pytest.fixture
def rules() -> pd.DataFrame:
    made = {"representation": "VA", "selector": "paper", "layers": "26,27,29-31", "score": 0.6, "refused": None}
    made |= {"chosen_minus_this": 0.0, "chosen_minus_this_low": 0.0, "chosen_minus_this_high": 0.0}
    made |= {"in_sample": 0.59, "held_out": 0.58}
    gap = {"chosen_minus_this": 0.1, "chosen_minus_this_low": -0.05, "chosen_minus_this_high": 0.2}
    return pd.DataFrame(
        [
            made,
            made
            | gap
            | {"selector": "intrinsic-dimension", "layers": "1,5,9,13,17,21,25,29", "score": 0.5, "held_out": np.nan},
            made | {"selector": "greedy", "layers": None, "refused": "It cannot."},
            made | {"representation": "HS", "score": 0.99},
        ]
    )


def test_each_rule_has_its_set_its_score_and_its_distance(rules: pd.DataFrame) -> None:
    lines = shown(told.rule_table(rules, "VA", "paper"))
    assert max(map(len, lines)) <= 80
    assert lines[0].split("  ")[0] == "rule"
    assert lines[1].split() == [
        ">",
        "paper",
        "26,27,29-31",
        "0.600",
        "0.590",
        "0.580",
    ]  # it is not compared with itself
    name, layers, *numbers = lines[2].split()
    assert (name, layers + lines[3].strip()) == ("intrinsic-dimension", "1,5,9,13,17,21,25,29")
    assert numbers == ["0.500", "+0.100", "[-0.050,", "+0.200]", "0.590", "–"]
    assert "0.990" not in "".join(lines)
    assert told.refusals(rules, "VA") == ["  No set by `greedy`: It cannot."]
    assert told.refusals(rules, "HS") == []


def test_without_splits_there_is_no_column_for_them(rules: pd.DataFrame) -> None:
    head, *_ = shown(told.rule_table(rules.drop(columns="held_out"), "VA", "paper"))
    assert not {"sample", "held"} & set(head.split())


def test_two_representations_are_compared_by_their_sets_and_their_best_layers() -> None:
    chosen = {"first": "VA", "second": "HS", "set": "chosen", "first_layers": "26,27", "second_layers": "30"}
    chosen |= {"task_type": "average", "difference": 0.05, "low": 0.01, "high": 0.09}
    best = chosen | {"set": "best", "first_layers": "27", "difference": -0.01}
    comparisons = pd.DataFrame([chosen, chosen | {"task_type": "STS", "difference": 1}, best])
    assert told.comparison_lines(comparisons) == [
        "VA − HS, chosen sets (26,27 and 30): +0.050 [+0.010, +0.090]",
        "VA − HS, best single layers (27 and 30): -0.010 [+0.010, +0.090]",
    ]
    assert told.comparison_lines(comparisons.head(0)) == []
