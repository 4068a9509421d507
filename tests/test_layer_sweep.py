"""The sweep on a tiny model: its numbers are those worked by hand from a bare forward, and each text is read once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from small_suite import CLUSTERING, PAIRS, RETRIEVAL, STS, SUITE, TEXTS

from probes.catalogue import read_result
from probes.layer_sweep.probe import LayerSweep, layer_sweep
from probes.layer_sweep.result import LayerSweepResult
from valens.errors import LayerSetError, PromptError, ResultError, SelectionError, SiteError, TaskError
from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.evaluate import evaluate
from valens.evaluation.tfidf import LEXICAL, tfidf
from valens.extraction.embedding import encode
from valens.layers.layer_set import LayerSet
from valens.metrics.two_nn import two_nn
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import HS, VA, Representation
from valens.representations.prompts import Prompt
from valens.selectors import SELECTORS, TopK
from valens.suites import named
from valens.tasks import LeftOut, Retrieval, Sts, Suite, Task

N_LAYERS = 3
COLUMNS = ["model", "representation", "layer", "depth", "task", "task_type", "metric", "score", "low", "high", "n"]
SETTINGS = {"resamples": 60}

# --- a tiny model, and a bare forward of the same -----------------------------------------------------------------------


def small_model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are most of the time of a model this small, on a machine that is shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def by_hand() -> dict[str, np.ndarray]:
    """Each representation as [layer, text, d], from a bare forward of each text alone and a mean over its tokens."""
    network, tokenizer = tiny.network("llama"), tiny.tokenizer()
    found: dict[str, list[list[np.ndarray]]] = {"VA": [], "HS": []}

    def keep(name: str, tokens: torch.Tensor) -> None:
        found[name][-1].append(tokens[0].mean(dim=0).numpy())

    network.model.layers[0].register_forward_pre_hook(lambda _, inputs: keep("HS", inputs[0]))
    for block in network.model.layers:
        block.self_attn.v_proj.register_forward_hook(lambda _, inputs, output: keep("VA", output))
        block.register_forward_hook(lambda _, inputs, output: keep("HS", output))
    for text in TEXTS:
        for layers in found.values():
            layers.append([])
        with torch.no_grad():
            network.model(torch.tensor([tokenizer(text)["input_ids"]]), use_cache=False)
    return {name: np.array(texts).swapaxes(0, 1) for name, texts in found.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep") / "store"


@pytest.fixture(scope="module")
def swept(model: Model, store: Path) -> tuple[LayerSweepResult, Counter[tuple[int, ...]]]:
    """A first sweep, and how often it ran the model on each text; rows that only fill a batch repeat one beside them."""
    texts: Counter[tuple[int, ...]] = Counter()
    run = Model.run_body

    def counting(self: Model, ids: torch.Tensor, *rest: torch.Tensor) -> None:
        texts.update({tuple(np.trim_zeros(row, "b")) for row in ids.tolist()})
        run(self, ids, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "run_body", counting)
        return layer_sweep(model, SUITE, [VA, HS], store=store, **SETTINGS), texts


@pytest.fixture(scope="module")
def sweep(swept: tuple[LayerSweepResult, Counter[tuple[int, ...]]]) -> LayerSweepResult:
    return swept[0]


@pytest.fixture
def no_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Model, ids: torch.Tensor, *rest: torch.Tensor) -> None:
        pytest.fail("A forward pass was made.")

    monkeypatch.setattr(Model, "run_body", refused)


def rows(table: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.name)
@pytest.mark.parametrize(("representation", "first"), [("VA", 1), ("HS", 0)])
def test_a_layer_alone_scores_what_its_vectors_by_hand_score(
    sweep: LayerSweepResult, by_hand: dict[str, np.ndarray], task: Task, representation: str, first: int
) -> None:
    expected = evaluate(task, by_hand[representation][:, : len(task.texts)], **SETTINGS)
    found = rows(sweep.table, representation=representation, task=task.name)
    assert list(found.layer) == list(range(first, N_LAYERS + 1))
    assert list(found.depth) == pytest.approx([layer / N_LAYERS for layer in found.layer])
    # Ranks and labels only move where two cosines are equal to 1e-5, and no two of these are.
    np.testing.assert_allclose(found.score, expected.score, atol=1e-6)
    np.testing.assert_allclose(found[["low", "high"]], np.stack(expected.interval(), axis=1), atol=1e-6)
    assert set(found.n) == {expected.n}


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.name)
@pytest.mark.parametrize(
    ("name", "layers"), [("all", [1, 2, 3]), ("half", [1, 2, 3]), ("chosen", None), ("best", None)]
)
@pytest.mark.parametrize(("representation", "first"), [("VA", 1), ("HS", 0)])
def test_a_set_scores_what_the_average_by_hand_scores(
    sweep: LayerSweepResult,
    by_hand: dict[str, np.ndarray],
    task: Task,
    name: str,
    layers: list[int] | None,
    representation: str,
    first: int,
) -> None:
    (found,) = rows(sweep.sets, representation=representation, set=name, task=task.name).itertuples()
    wanted = layers or list(LayerSet.parse(found.layers, N_LAYERS))
    averaged = by_hand[representation][[layer - first for layer in wanted], : len(task.texts)].mean(axis=0)
    assert list(LayerSet.parse(found.layers, N_LAYERS)) == wanted
    assert found.score == pytest.approx(evaluate(task, averaged[None], **SETTINGS).score[0], abs=1e-6)


def test_the_chosen_and_the_best_set_are_the_selectors_own(sweep: LayerSweepResult, model: Model, store: Path) -> None:
    best = layer_sweep(model, SUITE, [VA, HS], store=store, select="best", **SETTINGS)
    for name, choice in sweep.choices.items():
        assert set(rows(sweep.sets, representation=name, set="chosen").layers) == {str(choice.layers)}
        assert set(rows(sweep.sets, representation=name, set="best").layers) == {str(best.choices[name].layers)}
        average = rows(sweep.table, representation=name).groupby("layer").score.mean()
        assert [average[1:].idxmax() if 0 in average.index else average.idxmax()] == list(best.choices[name].layers)
    assert sweep.layers == sweep.choices["VA"].layers == sweep.choice.layers


def test_words_alone_are_a_row_a_task(sweep: LayerSweepResult) -> None:
    found = rows(sweep.table, representation=LEXICAL)
    assert list(found.task) == [task.name for task in SUITE.tasks]
    assert found.layer.isna().all()
    assert found.depth.isna().all()
    for task, score in zip(SUITE.tasks, found.score, strict=True):
        assert score == pytest.approx(evaluate(task, tfidf(task.texts)[None], **SETTINGS).score[0])


def test_the_table_is_tidy(sweep: LayerSweepResult) -> None:
    table = sweep.table
    assert list(table.columns) == COLUMNS
    assert set(table.model) == {"tiny"}
    assert not table.duplicated(["representation", "layer", "task"]).any()
    assert len(table) == len(SUITE.tasks) * (1 + N_LAYERS + N_LAYERS + 1)
    assert (table.low <= table.high).all()
    assert dict(zip(table.task, zip(table.task_type, table.metric, strict=True), strict=True)) == {
        task.name: (task.task_type, task.metric) for task in SUITE.tasks
    }


# --- differences ------------------------------------------------------------------------------------------------------


def average(sweep: LayerSweepResult, representation: str, name: str) -> float:
    return rows(sweep.sets, representation=representation, set=name).score.mean()


def test_differences_are_those_of_the_scores_and_lie_in_their_interval(sweep: LayerSweepResult) -> None:
    for gap in rows(sweep.paired_differences, task_type="average").itertuples():
        expected = average(sweep, gap.representation, "chosen") - average(sweep, gap.representation, gap.against)
        assert gap.difference == pytest.approx(expected)
    for gap in rows(sweep.comparisons, task_type="average").itertuples():
        assert gap.difference == pytest.approx(average(sweep, "VA", gap.set) - average(sweep, "HS", gap.set))
        assert gap.low <= gap.high
    assert set(sweep.comparisons.set) == {"chosen", "best"}
    assert set(sweep.comparisons.task_type) == {"average", *(task.task_type for task in SUITE.tasks)}


def test_changing_sides_changes_the_sign(sweep: LayerSweepResult, model: Model, store: Path) -> None:
    turned = layer_sweep(model, SUITE, [HS, VA], store=store, **SETTINGS)
    assert (set(turned.comparisons["first"]), set(turned.comparisons.second)) == ({"HS"}, {"VA"})
    ours, theirs = sweep.comparisons[["difference", "low", "high"]], turned.comparisons[["difference", "high", "low"]]
    np.testing.assert_allclose(ours, -theirs, atol=1e-12)


def test_equal_vectors_differ_by_nothing_at_all(model: Model, store: Path) -> None:
    """The resamples are paired: what is the same under two names differs by 0 in each of them."""
    twin = Representation("twin", VA.reading)
    comparisons = layer_sweep(model, SUITE, [VA, twin], store=store, **SETTINGS).comparisons
    assert (comparisons[["difference", "low", "high"]] == 0).all(axis=None)


def test_one_representation_has_no_rival(model: Model, store: Path) -> None:
    alone = layer_sweep(model, SUITE, [VA], store=store, **SETTINGS)
    assert alone.comparisons.empty
    assert list(alone.choices) == ["VA"]


# --- what every rule would choose -------------------------------------------------------------------------------------


def typical(evaluations: list[Evaluation], split: int | None = None) -> np.ndarray:
    """The mean over these tasks, which are of five types, of every row's score on all units or on one half."""
    return np.mean([(found if split is None else found.splits[split]).score for found in evaluations], axis=0)


def evaluations(vectors: np.ndarray, tasks: tuple[Task, ...] = SUITE.tasks) -> list[Evaluation]:
    return [evaluate(task, vectors[:, : len(task.texts)], resamples_of_splits=1, **SETTINGS) for task in tasks]


@pytest.fixture(scope="module")
def alone(by_hand: dict[str, np.ndarray]) -> list[Evaluation]:
    """The layers of VA, each alone on every task."""
    return evaluations(by_hand["VA"])


def test_every_rule_has_its_set_and_what_that_scores(sweep: LayerSweepResult) -> None:
    for name in ("VA", "HS"):
        ours = rows(sweep.rules, representation=name)
        assert list(ours.selector) == list(SELECTORS)
        for rule in ours.itertuples():
            assert rule.layers == rows(sweep.sets, representation=name, set=rule.selector).layers.iloc[0]
            assert rule.score == pytest.approx(average(sweep, name, rule.selector))
            assert rule.low <= rule.score <= rule.high
            assert rule.chosen_minus_this == pytest.approx(average(sweep, name, "chosen") - rule.score)
            assert rule.chosen_minus_this_low <= rule.chosen_minus_this <= rule.chosen_minus_this_high
        asked = rows(ours, selector="paper")
        assert asked.layers.item() == str(sweep.choices[name].layers)
        assert asked.chosen_minus_this_high.item() == 0


def test_the_best_layer_of_half_of_the_data_is_scored_on_the_other_half(
    sweep: LayerSweepResult, alone: list[Evaluation]
) -> None:
    splits = [typical(alone, split) for split in (0, 1)]
    best = [int(split.argmax()) for split in splits]
    (found,) = rows(sweep.rules, representation="VA", selector="best").itertuples()
    assert found.layers_of_splits == f"{best[0] + 1} and {best[1] + 1}"
    assert found.held_out == pytest.approx((splits[1][best[0]] + splits[0][best[1]]) / 2, abs=1e-6)
    assert found.in_sample == pytest.approx((splits[0][best[0]] + splits[1][best[1]]) / 2, abs=1e-6)
    assert found.held_out_low <= found.held_out <= found.held_out_high


def test_a_rule_that_looks_at_no_score_does_as_well_on_new_data(sweep: LayerSweepResult) -> None:
    for rule in sweep.rules[sweep.rules.selector.isin(["all", "half", "intrinsic-dimension"])].itertuples():
        assert rule.in_sample == pytest.approx(rule.held_out, abs=1e-12)


def test_greedy_adds_layers_while_the_average_gains(
    sweep: LayerSweepResult, by_hand: dict[str, np.ndarray], alone: list[Evaluation]
) -> None:
    """It tries sets in the first two runs of the tasks that have several; what it chose is then scored in all."""
    vectors = by_hand["VA"]
    brief = tuple(replace(task, experiments=2) if hasattr(task, "experiments") else task for task in SUITE.tasks)
    chosen = [int(typical(alone).argmax())]
    score = typical(evaluations(vectors[chosen], brief)).item()
    while others := [layer for layer in range(N_LAYERS) if layer not in chosen]:
        tried = np.stack([vectors[[*chosen, layer]].mean(axis=0) for layer in others])
        gained = typical(evaluations(tried, brief))
        if gained.max() <= score:
            break
        chosen, score = [*chosen, others[int(gained.argmax())]], float(gained.max())
    (found,) = rows(sweep.rules, representation="VA", selector="greedy").itertuples()
    assert found.layers == str(LayerSet.of(layer + 1 for layer in chosen))
    in_all_runs = typical(evaluations(vectors[chosen].mean(axis=0)[None]))
    assert found.score == pytest.approx(in_all_runs.item(), abs=1e-6)


def test_the_dimension_is_that_of_the_vectors_by_hand(sweep: LayerSweepResult, by_hand: dict[str, np.ndarray]) -> None:
    dimension = sweep.details["dimension"]
    for name, first in (("VA", 1), ("HS", 0)):
        found = rows(dimension, representation=name)
        assert list(found.layer) == list(range(first, N_LAYERS + 1))
        assert list(found.dimension) == pytest.approx([two_nn(layer) for layer in by_hand[name]], rel=1e-3)
        blocks = found[found.layer > 0]
        least = str(int(blocks.layer[blocks.dimension.idxmin()]))
        assert rows(sweep.rules, representation=name, selector="intrinsic-dimension").layers.item() == least


def test_the_samples_are_what_the_scores_are_made_of(sweep: LayerSweepResult) -> None:
    samples = sweep.details["samples"]
    for task in ("SmallRetrieval", "SmallReranking", "SmallClassification"):
        means = rows(samples, task=task).groupby(["representation", "layer"]).value.mean()
        scores = rows(sweep.table, task=task).dropna().set_index(["representation", "layer"]).score
        assert means.to_dict() == pytest.approx(scores.to_dict(), abs=5.1e-6)  # mteb reports a search to five decimals
    assert len(rows(samples, task="SmallSTS", representation="VA", layer=1)) == len(PAIRS)


def test_without_a_comparison_the_choice_is_the_same_and_little_else_is_scored(
    sweep: LayerSweepResult, model: Model, store: Path
) -> None:
    bare = layer_sweep(model, SUITE, [VA, HS], store=store, compare=False, **SETTINGS)
    assert bare.choices == sweep.choices
    assert set(bare.sets.set) == {"chosen", "paper", "best", "half", "all"}
    assert "held_out" not in bare.rules
    pd.testing.assert_frame_equal(bare.table, sweep.table, check_exact=True)
    pd.testing.assert_frame_equal(bare.comparisons, sweep.comparisons, check_exact=True)


def test_exact_scores_are_those_of_mteb_s_own_evaluators(
    model: Model, store: Path, by_hand: dict[str, np.ndarray]
) -> None:
    exact = layer_sweep(model, SUITE, [VA], store=store, compare=False, exact=True, **SETTINGS)
    for task in SUITE.tasks:
        expected = evaluate(task, by_hand["VA"][:, : len(task.texts)], exact=True, **SETTINGS).score
        np.testing.assert_allclose(rows(exact.table, representation="VA", task=task.name).score, expected, atol=1e-5)
    assert exact.provenance["exact"] is True


def test_greedy_s_trials_are_not_mteb_s(model: Model, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of sets are tried; the layers, the sets of the rules and words alone are scored exactly."""
    asked: list[int] = []
    monkeypatch.setattr(
        "valens.evaluation.mteb_exact.exact_scores",
        lambda task, vectors: asked.append(len(vectors)) or evaluate(task, vectors, resamples=1).score,
    )
    settings = {"store": store, "select": "greedy", "compare": False, "exact": True, **SETTINGS}
    found = layer_sweep(model, Suite("two", (STS, RETRIEVAL)), [VA], **settings)
    assert sum(asked) == 2 * (N_LAYERS + found.sets.layers.nunique() + 1)
    assert all(why.endswith("in quick scores") for why in found.choice.reasons.values())


def test_what_a_suite_lacks_is_in_the_provenance(model: Model, store: Path) -> None:
    lacking = Suite("lacking", (STS, RETRIEVAL), (LeftOut("Other", "It is not here."),), ("Made by hand.",), "mirror")
    lacking = lacking.limited(50)
    found = layer_sweep(model, lacking, [VA], store=store, compare=False, **SETTINGS).provenance["suite"]
    assert found["left_out"] == {"Other": "It is not here."}
    assert found["notes"] == ["Made by hand.", "Each task is cut to at most 50 texts (--limit)."]
    assert (found["limit"], found["data_root"]) == (50, "mirror")


def test_a_rule_that_cannot_choose_says_why(model: Model, store: Path) -> None:
    alone = layer_sweep(model, Suite("alone", (STS,)), [VA], store=store, select="top-k", **SETTINGS)
    refused = alone.rules.set_index("selector").refused.dropna()
    assert set(refused.index) == {"paper", "greedy"}
    assert "needs a task of type Retrieval" in refused["paper"]
    assert "one task was given" in refused["greedy"]
    assert not {"paper", "greedy"} & set(alone.sets.set)


def test_the_saved_layers_are_what_encode_takes(
    sweep: LayerSweepResult, model: Model, by_hand: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = sweep.save(tmp_path) / "layers.json"
    for representation, first in ((VA, 1), (HS, 0)):
        places = [layer - first for layer in sweep.choices[representation.name].layers]
        expected = by_hand[representation.name][places].mean(axis=0)
        found = encode(model, TEXTS, representation=representation, layers=path)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


# --- reading ----------------------------------------------------------------------------------------------------------


def test_each_text_is_read_once_for_all_tasks_layers_and_representations(
    swept: tuple[LayerSweepResult, Counter[tuple[int, ...]]],
) -> None:
    sweep, texts = swept
    assert set(texts.values()) == {1}
    assert len(texts) == sweep.provenance["forward_passes"] == len(set(TEXTS))


def test_a_second_run_reads_nothing_and_finds_the_same(sweep: LayerSweepResult, store: Path, no_forward: None) -> None:
    again = layer_sweep(small_model(), SUITE, [VA, HS], store=store, **SETTINGS)
    assert again.provenance["forward_passes"] == 0
    for name in ("table", "sets", "paired_differences", "comparisons", "rules"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(sweep, name), check_exact=True)
    assert again.choices == sweep.choices


def test_the_seed_moves_the_intervals_and_no_score(sweep: LayerSweepResult, model: Model, store: Path) -> None:
    other = layer_sweep(model, SUITE, [VA, HS], store=store, seed=1, **SETTINGS)
    pd.testing.assert_series_equal(other.table.score, sweep.table.score, check_exact=True)
    assert not other.table.low.equals(sweep.table.low)
    assert (other.provenance["seed"], sweep.provenance["seed"]) == (1, 0)


def test_layers_limit_what_is_scored_and_chosen(sweep: LayerSweepResult, model: Model, store: Path) -> None:
    limited = layer_sweep(model, SUITE, [VA, HS], store=store, layers=LayerSet.of([0, 2]), select="all", **SETTINGS)
    scored = limited.table[limited.table.layer.notna()]
    assert {name: set(part.layer) for name, part in scored.groupby("representation")} == {"VA": {2}, "HS": {0, 2}}
    assert {name: str(choice.layers) for name, choice in limited.choices.items()} == {"VA": "2", "HS": "2"}
    same = sweep.table.merge(scored, on=["representation", "layer", "task"])
    np.testing.assert_array_equal(same.score_x, same.score_y)


# --- comparing ---------------------------------------------------------------------------------------------------------


def test_the_difference_by_layer_is_that_of_the_scores_and_lies_in_its_interval(sweep: LayerSweepResult) -> None:
    types = {"average", *sweep.table.task_type}
    single = rows(sweep.table.dropna(subset="layer"), task_type=sweep.table.task_type.iloc[0])
    scores = single.pivot_table(index="layer", columns="representation", values="score")
    for task_type in types:
        found = sweep.compare("VA", "HS", task_type=task_type)
        assert list(found.layer) == [1, 2, 3]
        assert ((found.low <= found.difference + 0.05) & (found.difference - 0.05 <= found.high)).all()
        back = sweep.compare("HS", "VA", task_type=task_type)
        np.testing.assert_allclose(
            back[["difference", "low", "high"]], -found[["difference", "high", "low"]], atol=1e-9
        )
        np.testing.assert_allclose(back[["p", "p_holm"]], found[["p", "p_holm"]], atol=1e-9)
    found = sweep.compare("VA", "HS", task_type=sweep.table.task_type.iloc[0])
    np.testing.assert_allclose(found.difference, (scores.VA - scores.HS).loc[[1, 2, 3]])
    nothing = sweep.compare("HS", "HS")
    assert (nothing.difference == 0).all()
    assert (nothing.p_holm == 1).all()


def test_a_chosen_set_of_one_layer_is_compared_as_that_layer_is(sweep: LayerSweepResult) -> None:
    """The comparisons at their best single layers are those of `compare`, where both have the same one."""
    first, second = (rows(sweep.rules, representation=name, selector="best").layers.item() for name in ("VA", "HS"))
    replicates = rows(sweep.details["replicates"], resample=0)
    assert len(replicates) == 7 * len(SUITE.tasks)
    comparisons = rows(sweep.comparisons, set="best")
    assert set(comparisons.first_layers) == {first}
    for name, layer in (("VA", first), ("HS", second)):
        alone = rows(sweep.sets, representation=name, set="best")
        means = rows(sweep.details["replicates"], representation=name, layer=int(layer)).groupby("task").value
        found = {task: (values.quantile(0.025), values.quantile(0.975)) for task, values in means}
        for row in alone.itertuples():
            assert (row.low, row.high) == pytest.approx(found[row.task], abs=1e-5)


def test_what_was_not_swept_cannot_be_compared(sweep: LayerSweepResult) -> None:
    with pytest.raises(ResultError, match="'VA' and 'WVA' have no layers in common; there are VA, HS"):
        sweep.compare("VA", "WVA")
    with pytest.raises(ResultError, match=r"A task type is STS, .* or average; 'Summarisation' was asked for"):
        sweep.compare("VA", "HS", task_type="Summarisation")


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_is_saved_says_all_that_was_found(sweep: LayerSweepResult, tmp_path: Path) -> None:
    folder = sweep.save(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {
        "scores.parquet",
        *(f"{name}.parquet" for name in ("choices", "sets", "paired_differences", "comparisons", "rules")),
        *(f"{name}.parquet" for name in ("dimension", "samples", "replicates")),
        "provenance.json",
        "layers.json",
        "figure3.pdf",
        "figure3.png",
    }
    again = read_result(folder)
    assert isinstance(again, LayerSweepResult)
    assert (again.choices, again.to_json()) == (sweep.choices, sweep.to_json())
    for name, table in {"table": sweep.table, **sweep.details}.items():
        pd.testing.assert_frame_equal({"table": again.table, **again.details}[name], table, check_exact=True)
    pd.testing.assert_frame_equal(again.compare("VA", "HS"), sweep.compare("VA", "HS"))
    assert repr(again) == repr(sweep)
    found = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
    assert found["representation"] == "VA"
    assert list(found["representations"]) == ["VA", "HS"]
    assert LayerSet.parse(found["layers"], N_LAYERS) == LayerSet.of(found["list"]) == sweep.layers
    assert found["selector"] == "paper"
    assert {int(layer): reason["in"] for layer, reason in found["reasons"].items()} == {
        layer: layer in sweep.layers for layer in (1, 2, 3)
    }
    assert {row["set"] for row in found["scores"]} == {"chosen", *SELECTORS}
    assert [row["selector"] for row in found["rules"]] == list(SELECTORS)
    assert list(found["representations"]["HS"]["intrinsic_dimension"]) == ["0", "1", "2", "3"]
    assert {(row["first"], row["second"]) for row in found["comparisons"]} == {("VA", "HS")}


def test_texts_that_the_model_cannot_tell_apart_end_in_no_error_and_no_nan_on_disk(
    model: Model, store: Path, tmp_path: Path
) -> None:
    """Unknown words are one token here: every cosine is 1, and Spearman's correlation does not exist."""
    words = ("apple", "pear", "plum", "fig")
    sts = Sts("Same", words, (0, 0, 0), (1, 2, 3), (1.0, 2.0, 3.0))
    retrieval = Retrieval("SameRetrieval", words, (0,), (1, 2, 3), ({0: 1},))
    sweep = layer_sweep(model, Suite("same", (sts, retrieval)), [VA, HS], store=store, **SETTINGS)
    assert rows(sweep.table, task="Same", representation="VA").score.isna().all()
    assert sweep.provenance["without_scores"] == {"VA": ["Same"], "HS": ["Same"]}
    with pytest.raises(
        SelectionError, match=r"No task has a score at any layer of VA \(Same\): the model gives all texts"
    ):
        layer_sweep(model, Suite("same", (sts,)), [VA], store=store, select="best", **SETTINGS)
    folder = sweep.save(tmp_path)
    for name in ("layers.json", "provenance.json"):
        json.loads((folder / name).read_text(encoding="utf-8"), parse_constant=pytest.fail)


CONSTANT = Sts("Constant", TEXTS[:2], (0, 0, 0), (1, 1, 1), (1.0, 2.0, 3.0))
"""One pair, three times: every cosine is the same, and Spearman's correlation does not exist."""


def test_a_task_without_a_score_changes_nothing_but_its_own_rows(
    model: Model, store: Path, sweep: LayerSweepResult
) -> None:
    """The judge is the sweep without it. Another STS stays, so that the type has a task with a score and one without."""
    beside = layer_sweep(model, replace(SUITE, tasks=(*SUITE.tasks, CONSTANT)), [VA, HS], store=store, **SETTINGS)
    assert rows(beside.table, task="Constant").score.isna().all()
    for ours, theirs in (
        (beside.table[beside.table.task != "Constant"], sweep.table),
        (beside.sets[beside.sets.task != "Constant"], sweep.sets),
        (beside.rules, sweep.rules),
        (beside.paired_differences, sweep.paired_differences),
        (beside.comparisons, sweep.comparisons),
        (beside.detail("choices"), sweep.detail("choices")),
        (beside.compare("VA", "HS"), sweep.compare("VA", "HS")),
        (beside.compare("VA", "HS", task_type="STS"), sweep.compare("VA", "HS", task_type="STS")),
    ):
        pd.testing.assert_frame_equal(ours.reset_index(drop=True), theirs)
    assert beside.section().findings == sweep.section().findings
    assert beside.notes()[0].startswith("Constant has no score at any layer of VA: all texts have the same vector.")


class NeedsSts(TopK):
    """A user's rule."""

    needs = ("STS",)


def test_a_type_without_a_score_is_in_no_mean(model: Model, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Suite("lacking", (CONSTANT, RETRIEVAL, CLUSTERING))
    swept = layer_sweep(model, suite, [VA, HS], store=store, **SETTINGS)
    assert swept.rules.score.notna().all()
    assert set(swept.paired_differences.task_type) == {"Retrieval", "Clustering", "average"}
    mean = rows(swept.sets, representation="VA", set="chosen").groupby("task_type").score.mean()
    rule = rows(swept.rules, representation="VA", selector="paper").iloc[0]
    assert rule.score == pytest.approx((mean["Retrieval"] + mean["Clustering"]) / 2)
    assert swept.compare("VA", "HS").difference.notna().all()
    assert not [line for line in swept.section().findings if re.search(r"(?<!\d)–(?!\d)|nan", line)]
    monkeypatch.setitem(SELECTORS, "needs-sts", NeedsSts(name="needs-sts"))
    with pytest.raises(SelectionError, match=r"^Constant: no score at any layer of VA\. .* needs a task of type STS"):
        layer_sweep(model, suite, [VA], store=store, select="needs-sts", **SETTINGS)


# --- what is refused before the model runs ----------------------------------------------------------------------------


@pytest.mark.usefixtures("no_forward")
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"layers": LayerSet.of([2, 4])}, SiteError, r"tiny has layers 1\.\.3; 4 was asked for"),
        ({"layers": LayerSet.of([0])}, SiteError, "VA has no layer 0; it has 1"),
        ({"select": "papr"}, SelectionError, "no selector 'papr'. Did you mean paper"),
        ({"max_tokens": 0}, PromptError, "--max-tokens 0 was asked for"),
        ({"max_tokens": 5, "on_long": "error"}, PromptError, "texts have more than 5 tokens"),
    ],
    ids=lambda value: "" if isinstance(value, str | type) else str(value),
)
def test_settings_that_cannot_be_are_refused_first(
    model: Model, tmp_path: Path, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        layer_sweep(model, SUITE, [VA, HS], store=tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_forward")
def test_suites_that_cannot_be_are_refused_first(model: Model, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=r"`paper` needs a task of type Retrieval; .* STS"):
        layer_sweep(model, Suite("alone", (STS,)), [VA], store=tmp_path / "new")
    with pytest.raises(SelectionError, match=r"`paper` chooses by what tasks agree on; one task was given"):
        layer_sweep(model, Suite("alone", (RETRIEVAL,)), [VA], store=tmp_path / "new")
    with pytest.raises(TaskError, match="one or more tasks"):
        Suite("empty", ())
    with pytest.raises(TaskError, match=r"no built-in task 'WikiRetrival'\. Did you mean WikiRetrieval"):
        named.suite("WikiRetrival")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_forward")
@pytest.mark.parametrize("representations", [[], [VA, Representation("asked", HS.reading, Prompt("Meaning: {text}"))]])
def test_representations_of_one_prompt_are_swept(
    model: Model, tmp_path: Path, representations: list[Representation]
) -> None:
    with pytest.raises(SelectionError, match="representations of one prompt"):
        LayerSweep().plan(model, SUITE, representations, store=tmp_path / "new")


def test_a_layer_set_above_the_model_is_refused_where_it_is_read() -> None:
    with pytest.raises(LayerSetError, match=r"layers 1\.\.3; 4 was asked for"):
        LayerSet.parse("2-4", N_LAYERS)
