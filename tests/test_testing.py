"""What users add is held to what ours keep: each check passes ours, and finds what breaks its promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from jaxtyping import TypeCheckError
from test_tasks import TASKS
from tiny import one_thread  # noqa: F401

from valens.errors import ProbeError, RepresentationError, ResultError, SelectionError, TaskError
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.layers.layer_set import LayerSet
from valens.layers.sites import Stream
from valens.model import loading
from valens.model.model import Model
from valens.representations.named import VA, Representation
from valens.representations.poolings import CustomPooling, Pooling, pooling_weights
from valens.representations.readings import Reading
from valens.results.result import Result
from valens.results.section import Section
from valens.selectors import SELECTORS, Choice, LayerCurves, register, selector
from valens.store.store import ActivationStore
from valens.testing import check_pooling, check_probe, check_result, check_selector, check_task


def first(pooling_mask: torch.Tensor) -> torch.Tensor:
    return (pooling_mask & (pooling_mask.cumsum(dim=1) == 1)).float()


def mean(pooling_mask: torch.Tensor) -> torch.Tensor:
    return pooling_mask.float() / pooling_mask.sum(dim=1, keepdim=True)


# --- poolings ---------------------------------------------------------------------------------------------------------


BY_PLACE = [pooling for pooling in Pooling if not pooling.sees_vectors]


@pytest.mark.parametrize("pooling", [*BY_PLACE, CustomPooling("first", first)], ids=str)
def test_a_pooling_that_keeps_its_promises(pooling: Pooling | CustomPooling) -> None:
    check_pooling(pooling)


@pytest.mark.parametrize(
    ("weigh", "what"),
    [
        (lambda pooling_mask: pooling_mask.float(), "sum to"),
        (lambda pooling_mask: torch.full(pooling_mask.shape, 1 / pooling_mask.shape[1]), "token outside the mask"),
        (lambda pooling_mask: mean(pooling_mask)[:, :1], "of shape"),
        (lambda pooling_mask: mean(pooling_mask).double(), "in torch.float64"),
        (lambda pooling_mask: mean(pooling_mask) * float("nan"), "sum to nan"),
        (lambda pooling_mask: first(pooling_mask) if len(pooling_mask) > 1 else mean(pooling_mask), "other texts"),
        (lambda pooling_mask: first(pooling_mask) if pooling_mask.shape[1] > 9 else mean(pooling_mask), "padding"),
    ],
)
def test_a_pooling_that_breaks_one(weigh, what: str) -> None:
    with pytest.raises(RepresentationError, match=what):
        check_pooling(CustomPooling("broken", weigh))


def test_a_store_tells_two_functions_of_one_name_apart_and_knows_one_again() -> None:
    one, other = CustomPooling("mine", first), CustomPooling("mine", mean)
    same = CustomPooling("mine", lambda pooling_mask: (pooling_mask.cumsum(dim=1) == 1).float() * pooling_mask)
    assert str(Reading(Stream.VALUES, one)) == str(Reading(Stream.VALUES, same))
    assert str(one) != str(other)
    assert str(one).startswith("mine~")


@pytest.mark.parametrize("name", ["mean", "a/b", "Two Words", ""])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(RepresentationError, match="cannot name a user-defined pooling"):
        CustomPooling(name, first)


def test_the_mean_by_one_s_own_hand_is_the_mean() -> None:
    pooling_mask = torch.tensor([[True, False, True], [False, True, False]])
    assert torch.equal(
        pooling_weights(CustomPooling("my-mean", mean), pooling_mask), pooling_weights(Pooling.MEAN, pooling_mask)
    )


# --- selectors --------------------------------------------------------------------------------------------------------


@dataclass
class Rule:
    """The deepest candidate, or what a test makes of it."""

    needs: ClassVar[tuple[str, ...]] = ()
    fewest_tasks: ClassVar[int] = 1
    name: str = "deepest"
    calls: int = 0
    fault: str = ""

    def select(self, curves: LayerCurves) -> Choice:
        self.calls += 1
        chosen = {"stranger": 99, "moody": curves.layers[-self.calls % 2]}.get(self.fault, curves.layers[-1])
        if self.fault == "meddler":
            curves.tasks[0].score[:] = 0.123
        reasons = {} if self.fault == "silent" else dict.fromkeys(curves.layers, "by depth alone")
        return Choice("another" if self.fault == "impostor" else self.name, LayerSet.of([chosen]), reasons)


@pytest.mark.parametrize("rule", [*SELECTORS.values(), Rule()], ids=lambda rule: rule.name)
def test_a_selector_that_keeps_its_promises(rule) -> None:
    check_selector(rule)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("stranger", "it chose 99 of"),
        ("silent", "no reason for layer"),
        ("impostor", "names the selector 'another'"),
        ("moody", "two choices"),
        ("meddler", "changes the curves"),
    ],
)
def test_a_selector_that_breaks_one(fault: str, what: str) -> None:
    with pytest.raises(SelectionError, match=what):
        check_selector(Rule(fault=fault))


def test_a_registered_selector_is_found_by_its_name_until_another_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valens.selectors.SELECTORS", table := dict(SELECTORS))
    rule = register(Rule())
    assert selector("deepest") is rule
    assert list(table)[-1] == "deepest"
    assert selector("deepest") is not register(Rule())
    with pytest.raises(SelectionError, match="'paper' is a selector of valens"):
        register(Rule(name="paper"))
    with pytest.raises((SelectionError, TypeCheckError)):
        register("deepest")


# --- tasks and results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_that_keeps_its_promises(task) -> None:
    check_task(task)


def test_a_task_that_cannot_be_scored() -> None:
    sts = next(task for task in TASKS if task.name == "sts")
    with pytest.raises(TaskError, match="random vectors score"):
        check_task(replace(sts, texts=sts.texts, first=(0, 0), second=(1, 1), gold=(1.0, 2.0)))


RESULT = Result("my-probe", pd.DataFrame({"layer": [1, 2], "score": [0.5, np.nan]}), {"seed": 0, "of": {"a": [1, "b"]}})


def test_a_result_that_keeps_its_promises() -> None:
    check_result(RESULT)
    check_result(replace(RESULT, details={"ranks": RESULT.table}))


@pytest.mark.parametrize(
    "broken",
    [
        replace(RESULT, table=RESULT.table[:0]),
        replace(RESULT, provenance={"layers": (1, 2)}),
        replace(RESULT, table=RESULT.table.set_axis([5, 6])),
    ],
    ids=["no rows", "a tuple in the provenance", "an index that is lost"],
)
def test_a_result_that_breaks_one(broken: Result) -> None:
    with pytest.raises(ResultError):
        check_result(broken)


# --- probes -----------------------------------------------------------------------------------------------------------


class Spread(Result, kind="test-spread"):
    def section(self) -> Section:
        return Section("Spread", self.provenance["question"])


class Plain(Result):
    """Not what the probe says that it gives."""


@dataclass(frozen=True)
class Norms:
    """How long the mean vectors are, or a probe that breaks a promise of a probe."""

    fault: str = ""
    kind: ClassVar[str] = "test-spread"
    question: ClassVar[str] = "How long are the vectors?"
    result: ClassVar[type[Result]] = Spread

    def plan(
        self, model: Model, data: Sequence[str], representations: Sequence[Representation], *, store: Any
    ) -> NormsJob:
        readings = [made.reading for made in representations]
        reading = extract.plan(model, list(data), readings, store=ActivationStore.of(store))
        if self.fault == "reads ahead":
            reading.run()
        return NormsJob(self.fault, reading)


@dataclass(frozen=True)
class NormsJob:
    fault: str
    reading: extract.Job
    runs: ClassVar[list[str]] = []

    def estimate(self) -> Estimate:
        return self.reading.estimate()

    def run(self) -> Result:
        self.runs.append(self.fault)
        found = self.reading.run()
        norms = [float(np.linalg.norm(found.vectors(found_reading, 1))) for found_reading in self.reading.readings]
        table = pd.DataFrame({"layer": 1, "score": norms}) + (len(self.runs) if self.fault == "moody" else 0)
        facts = {"question": "What?" if self.fault == "asks another" else Norms.question}
        facts |= {"forward_passes": found.passes + (self.fault == "reads again")}
        made = Plain if self.fault == "another class" else Spread
        return made("another" if self.fault == "another kind" else Norms.kind, table, facts)


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


def test_a_probe_that_keeps_its_promises(model: Model) -> None:
    result = check_probe(Norms(), model, ["w5 w6 w7", "w8"], [VA])
    assert type(result) is Spread
    check_result(result)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("reads ahead", "no forward pass before anything was read"),
        ("another class", "is a Plain, not a Spread"),
        ("another kind", "of kind 'another', not 'test-spread'"),
        ("asks another", "does not ask its question"),
        ("reads again", "a second run makes forward passes"),
        ("moody", "a second run finds something else"),
    ],
)
def test_a_probe_that_breaks_one(model: Model, fault: str, what: str) -> None:
    with pytest.raises(ProbeError, match=f"^Norms: .*{what}"):
        check_probe(Norms(fault), model, ["w5 w6 w7", "w8"], [VA])
