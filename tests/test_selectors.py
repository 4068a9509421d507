"""From curves to a layer set: each rule on curves worked by hand, and what every rule promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valens.errors import SelectionError
from valens.layers.layer_set import LayerSet
from valens.selectors import (
    SELECTORS,
    Contiguous,
    Greedy,
    IntrinsicDimension,
    LayerCurves,
    Paper,
    TaskCurve,
    TopK,
    check_tasks,
    selector,
)

CERTAIN, UNSURE = 0.0, 1.0
"""The noise of replicates that make every difference significant, or none."""

SCATTER = np.random.default_rng(0).normal(size=(12, 200))


def curve(task_type: str, scores: list[float], noise: float | list[float] = CERTAIN, task: str = "") -> TaskCurve:
    """A task whose layers have these scores, and replicates that scatter about them independently."""
    score = np.array(scores, dtype=float)
    noises = np.broadcast_to(np.array(noise, dtype=float), score.shape)
    return TaskCurve(task or task_type, task_type, score, score[:, None] + noises[:, None] * SCATTER[: len(scores)])


def curves(*tasks: TaskCurve, layers: tuple[int, ...] | None = None, n_layers: int | None = None) -> LayerCurves:
    """Curves of which sets score the mean of their layers, and whose deepest layers have the least dimension."""
    there = layers or tuple(range(1, len(tasks[0].score) + 1))
    bare = LayerCurves(n_layers or there[-1], there, tasks)
    average = dict(zip(there, bare.average().score, strict=True))

    def score_sets(sets: Sequence[LayerSet]) -> np.ndarray:
        return np.array([np.mean([average[layer] for layer in layers]) for layers in sets])

    return replace(bare, dimension=1.0 / np.array(there), score_sets=score_sets)


# --- the paper's rule -------------------------------------------------------------------------------------------------


def test_a_layer_is_in_unless_its_retrieval_is_significantly_below_the_best() -> None:
    choice = Paper().select(curves(curve("Retrieval", [0.50, 0.70, 0.69, 0.40], [0, 0, 0.05, 0])))
    assert str(choice.layers) == "2,3"
    assert choice.reasons[2] == "retrieval 0.700, the best"
    assert choice.reasons[3].startswith("retrieval 0.690, not significantly below layer 2 (-0.010 [")
    assert choice.reasons[1] == "retrieval 0.500, significantly below layer 2 (-0.200 [-0.200, -0.200])"


def test_a_candidate_is_dropped_for_degrading_two_other_types_and_kept_for_one() -> None:
    choice = Paper().select(
        curves(
            curve("Retrieval", [0.7, 0.7, 0.7, 0.7]),
            curve("STS", [0.1, 0.1, 0.5, 0.5]),  # the median is 0.3: layers 1 and 2 are below
            curve("Clustering", [0.1, 0.5, 0.5, 0.5]),  # the median is 0.5: layer 1 is below
        )
    )
    assert str(choice.layers) == "2-4"
    assert choice.reasons[1].endswith("; significantly below the candidates' median in sts and clustering")
    assert choice.reasons[2].endswith("; significantly below the candidates' median in sts only")


def test_a_difference_that_may_be_chance_degrades_nothing() -> None:
    low = [0.1, 0.5, 0.5, 0.5]
    sure = [curve("Retrieval", [0.7] * 4), curve("STS", low), curve("Clustering", low)]
    unsure = [sure[0], curve("STS", low, UNSURE), curve("Clustering", low, UNSURE)]
    assert str(Paper().select(curves(*sure)).layers) == "2-4"
    assert str(Paper().select(curves(*unsure)).layers) == "1-4"


def test_the_median_is_that_of_the_candidates_alone() -> None:
    """Were the layers that fail in retrieval counted, both candidates would be below the median 0.7, and 1 would stay."""
    other = [0.3, 0.5, 0.9, 0.9]
    choice = Paper().select(
        curves(curve("Retrieval", [0.7, 0.7, 0.1, 0.1]), curve("STS", other), curve("Clustering", other))
    )
    assert str(choice.layers) == "2"


def test_at_most_max_layers_by_retrieval_score() -> None:
    rising = [0.60 + 0.01 * place for place in range(10)]
    choice = Paper().select(curves(curve("Retrieval", rising, UNSURE)))
    assert str(choice.layers) == "3-10"
    assert choice.reasons[2].endswith("; only the 8 best are taken")
    assert str(Paper(max_layers=2).select(curves(curve("Retrieval", rising, UNSURE))).layers) == "9,10"


def test_of_equal_layers_the_shallower_are_taken() -> None:
    assert str(Paper(max_layers=3).select(curves(curve("Retrieval", [0.5] * 6))).layers) == "1-3"


def test_where_every_candidate_degrades_the_best_in_retrieval_stays() -> None:
    choice = Paper().select(
        curves(
            curve("Retrieval", [0.70, 0.71], UNSURE),
            curve("STS", [0.1, 0.5]),
            curve("Clustering", [0.1, 0.5]),
            curve("Reranking", [0.5, 0.1]),
            curve("Classification", [0.5, 0.1]),
        )
    )
    assert str(choice.layers) == "2"
    assert choice.reasons[2].endswith("in reranking and classification; kept all the same, as no candidate is better")


def test_without_retrieval_the_paper_s_rule_says_what_it_needs() -> None:
    with pytest.raises(SelectionError, match=r"`paper` needs a task of type Retrieval; .* STS, Clustering"):
        Paper().select(curves(curve("STS", [0.1, 0.2]), curve("Clustering", [0.1, 0.2])))


# --- the other rules --------------------------------------------------------------------------------------------------


def test_a_type_weighs_the_same_however_many_tasks_it_has() -> None:
    """By tasks, layer 1 would lead with 0.4 against 0.3; by types, layer 2 does with 0.45 against 0.3."""
    tasks = [curve("STS", [0.6, 0.0], task="a"), curve("STS", [0.6, 0.0], task="b"), curve("Retrieval", [0.0, 0.9])]
    assert str(selector("best").select(curves(*tasks)).layers) == "2"


def test_top_k_takes_the_k_best_averages() -> None:
    choice = TopK(k=2).select(curves(curve("STS", [0.1, 0.4, 0.2, 0.3]), curve("Retrieval", [0.1, 0.4, 0.6, 0.3])))
    assert str(choice.layers) == "2,3"
    assert choice.reasons == {
        1: "average 0.100, number 4 of 4",
        2: "average 0.400, number 1 of 4",
        3: "average 0.400, number 2 of 4",
        4: "average 0.300, number 3 of 4",
    }


def test_contiguous_prefers_a_good_run_to_a_peak() -> None:
    lone_peak = curves(curve("STS", [0.9, 0, 0, 0, 0, 0.3, 0.3, 0.3, 0.3, 0.3]))
    assert str(selector("best").select(lone_peak).layers) == "1"
    assert str(Contiguous(width=5).select(lone_peak).layers) == "6-10"
    assert str(Contiguous(width=99).select(lone_peak).layers) == "1-10"


def test_half_and_all_follow_from_the_number_of_layers_within_the_candidates() -> None:
    six = curves(curve("STS", [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]))
    assert [str(selector(name).select(six).layers) for name in ("half", "all")] == ["3-6", "1-6"]
    two = curves(curve("STS", [0.5, 0.4]), layers=(2, 3), n_layers=6)
    assert [str(selector(name).select(two).layers) for name in ("half", "all")] == ["3", "2,3"]


def test_no_candidate_in_the_half_is_an_error() -> None:
    shallow = curves(curve("STS", [0.5, 0.4]), layers=(1, 2), n_layers=6)
    with pytest.raises(SelectionError, match="None of the layers 1,2 is in `half`, which is 3-6"):
        selector("half").select(shallow)


# --- greedy -----------------------------------------------------------------------------------------------------------


def scored(alone: list[float], value: Callable[[LayerSet], float]) -> LayerCurves:
    """Curves of one task type whose averaged embeddings score what `value` says."""
    return replace(curves(curve("STS", alone)), score_sets=lambda sets: np.array([value(layers) for layers in sets]))


def test_greedy_adds_what_helps_the_average_and_not_what_is_good_alone() -> None:
    """Layer 3 is next best alone and adds nothing to layer 2; layer 1 is worst alone and does."""
    worth = {"2": 0.6, "1,2": 0.7, "2,3": 0.6, "1-3": 0.65}
    choice = Greedy().select(scored([0.1, 0.6, 0.5], lambda layers: worth[str(layers)]))
    assert str(choice.layers) == "1,2"
    assert choice.reasons == {
        2: "the best alone: average 0.600 in quick scores",
        1: "number 2 to be added: average 0.600 to 0.700 in quick scores",
        3: "with it the average would go from 0.700 to 0.650 in quick scores",
    }


def test_greedy_stops_where_nothing_is_gained() -> None:
    assert str(Greedy().select(scored([0.1, 0.6, 0.5], lambda layers: 0.6)).layers) == "2"


def test_greedy_takes_no_more_than_its_most() -> None:
    choice = Greedy(max_layers=3).select(scored([0.9] * 6, lambda layers: float(len(layers))))
    assert str(choice.layers) == "1-3"
    assert choice.reasons[6] == "3 layers are taken already"
    assert len(Greedy().select(scored([0.9] * 12, lambda layers: float(len(layers)))).layers) == 8


@given(st.integers(1, 7), st.integers(0, 99))
def test_no_single_layer_and_no_one_layer_more_beats_what_greedy_finds(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.uniform(size=2 ** (n + 1))

    def value(layers: LayerSet) -> float:
        return float(worth[sum(2**layer for layer in layers)])

    alone = [value(LayerSet.of([layer])) for layer in range(1, n + 1)]
    chosen = Greedy().select(scored(alone, value)).layers
    assert value(chosen) >= max(alone)
    assert all(value(LayerSet.of([*chosen, layer])) <= value(chosen) for layer in range(1, n + 1))


def test_without_vectors_greedy_has_nothing_to_average() -> None:
    with pytest.raises(SelectionError, match="`greedy` scores averaged embeddings"):
        Greedy().select(replace(curves(curve("STS", [0.1, 0.2])), score_sets=None))


# --- intrinsic dimension ----------------------------------------------------------------------------------------------


def of_dimension(*dimension: float) -> LayerCurves:
    return replace(curves(curve("STS", [0.1] * len(dimension))), dimension=np.array(dimension))


def test_the_layer_of_least_dimension_is_chosen_whatever_it_scores() -> None:
    found = of_dimension(9.0, 4.0, np.nan, 6.0)
    choice = IntrinsicDimension().select(found)
    assert str(choice.layers) == "2"
    assert choice.reasons[4] == "dimension 6.0, number 2 of 4 from the least"
    assert str(IntrinsicDimension(k=2).select(found).layers) == "2,4"
    assert str(IntrinsicDimension(k=9).select(found).layers) == "1,2,4"


@pytest.mark.parametrize("dimension", [None, np.array([np.nan, np.nan])])
def test_without_a_dimension_there_is_no_choice(dimension: np.ndarray | None) -> None:
    with pytest.raises(SelectionError, match="no layer has one"):
        IntrinsicDimension().select(replace(of_dimension(1.0, 2.0), dimension=dimension))


# --- what every rule promises -----------------------------------------------------------------------------------------


@st.composite
def drawn(draw: st.DrawFn) -> tuple[tuple[int, ...], list[tuple[str, list[float]]], float]:
    """Some layers of a model, a retrieval task and others, scored coarsely, so that ties happen, and how noisily."""
    layers = tuple(sorted(draw(st.sets(st.integers(1, 12), min_size=1))))
    scores = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6]), min_size=len(layers), max_size=len(layers))
    types = ["Retrieval", *draw(st.lists(st.sampled_from(["STS", "Clustering", "Reranking", "Retrieval"]), max_size=4))]
    return layers, [(name, draw(scores)) for name in types], draw(st.sampled_from([CERTAIN, 0.1, UNSURE]))


def made(layers: tuple[int, ...], scores: list[tuple[str, list[float]]], noise: float) -> LayerCurves:
    """The drawn curves; the run-time checks draw at random too, which a strategy must not."""
    return curves(
        *(curve(name, part, noise, f"{name}{place}") for place, (name, part) in enumerate(scores)), layers=layers
    )


each_selector = pytest.mark.parametrize("name", SELECTORS)


@each_selector
@given(what=drawn())
def test_a_choice_is_some_of_the_candidates_with_a_reason_for_each(name: str, what: tuple) -> None:
    given_curves = made(*what)
    choice = selector(name).select(given_curves)
    assert choice.selector == name
    assert set(choice.layers) <= set(given_curves.layers)
    assert set(choice.reasons) == set(given_curves.layers)
    assert all(reason.strip() for reason in choice.reasons.values())


@each_selector
@given(what=drawn())
def test_the_same_curves_give_the_same_choice_and_stay_as_they_are(name: str, what: tuple) -> None:
    given_curves = made(*what)
    before = [(task.score.copy(), task.replicates.copy()) for task in given_curves.tasks]
    assert selector(name).select(given_curves) == selector(name).select(given_curves)
    for task, (score, replicates) in zip(given_curves.tasks, before, strict=True):
        np.testing.assert_array_equal(task.score, score)
        np.testing.assert_array_equal(task.replicates, replicates)


@each_selector
@given(what=drawn(), seed=st.integers(0, 99))
def test_last_bits_choose_nothing(name: str, what: tuple, seed: int) -> None:
    """Sums that are taken in another order move a score by some 1e-16 of it, as another processor does."""
    given_curves, chance = made(*what), np.random.default_rng(seed)

    def moved(numbers: np.ndarray) -> np.ndarray:
        return numbers + 1e-15 * chance.choice([-1, 0, 1], size=numbers.shape)

    other = replace(
        given_curves,
        tasks=tuple(
            replace(task, score=moved(task.score), replicates=moved(task.replicates)) for task in given_curves.tasks
        ),
        score_sets=lambda sets: moved(given_curves.score_sets(sets)),
    )
    assert selector(name).select(other).layers == selector(name).select(given_curves).layers


@each_selector
def test_a_selector_chooses_wherever_what_it_needs_is_there(name: str) -> None:
    rule = selector(name)
    types = (*rule.needs, "STS", "Clustering")
    check_tasks(rule, types)
    rule.select(curves(*(curve(task_type, [0.1, 0.2, 0.3]) for task_type in types)))
    for needed in rule.needs:
        with pytest.raises(SelectionError, match=needed):
            check_tasks(rule, [other for other in ("STS", *rule.needs) if other != needed])


@given(what=drawn())
def test_the_best_layer_is_among_the_best_few(what: tuple) -> None:
    given_curves = made(*what)
    assert set(selector("best").select(given_curves).layers) <= set(selector("top-k").select(given_curves).layers)


@pytest.mark.parametrize("name", ["paper", "greedy"])
def test_what_tasks_agree_on_needs_more_than_one(name: str) -> None:
    with pytest.raises(
        SelectionError, match=f"`{name}` chooses by what tasks agree on; one task was given, of type Ret"
    ):
        check_tasks(selector(name), ["Retrieval"])
    check_tasks(selector("top-k"), ["Retrieval"])


def test_an_unknown_selector_is_answered_with_the_nearest() -> None:
    with pytest.raises(SelectionError, match=r"no selector 'topk'. Did you mean top-k\? Choose one of paper, best"):
        selector("topk")


def test_nothing_to_select_from_is_an_error() -> None:
    with pytest.raises(SelectionError, match="nothing to select from"):
        LayerCurves(3, (1, 2, 3), ())
