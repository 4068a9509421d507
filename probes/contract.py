"""What a probe is: settings that plan a job, a job that knows its cost and runs, and a result that says what it found.

A probe is a frozen record of its settings, `SegmentMatching(max_tokens=512)`; settings that no model allows are refused when
it is made. `plan` draws what has to be read of a model and some data and refuses what this model or these data do not allow;
the job it gives says what reading would cost, and `run` reads and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from valens.extraction.estimate import Estimate
from valens.model.model import Model
from valens.representations.named import Representation
from valens.results.result import Result
from valens.store.store import ActivationStore

Data = TypeVar("Data", contravariant=True)


class Job(Protocol):
    """A probe of one model on some data, planned; nothing of it has been read by the model yet."""

    def estimate(self) -> Estimate:
        """What `run` would cost; reads as little as measuring the speed takes, and keeps nothing."""
        ...

    def run(self) -> Result:
        """Read what the store lacks, measure, and say what was found."""
        ...


class Probe(Protocol[Data]):
    """A question put to a model's vectors, with its settings."""

    @property
    def kind(self) -> str:
        """The kind of its results: `segment-matching`."""
        ...

    @property
    def question(self) -> str:
        """The question that it answers, as a newcomer would ask it."""
        ...

    @property
    def result(self) -> type[Result]:
        """The class of its results."""
        ...

    def plan(
        self,
        model: Model,
        data: Data,
        representations: Sequence[Representation],
        *,
        store: ActivationStore | str | Path,
    ) -> Job:
        """Plan the probe of a model on a corpus or suite; ValensError for settings that these do not allow."""
        ...


def check_probe(probe: Probe[Any], model: Model, data: Any, representations: Sequence[Representation]) -> Result:
    """Hold a probe to what every probe promises, on a model and data of your choice, and give the result.

    Planning and estimating make no result and keep nothing; running gives a result of the probe's class and kind, whose
    section asks the probe's question; a second run reads nothing and finds the same. ProbeError for what does not hold.
    """
    import tempfile

    from valens.errors import ProbeError

    with tempfile.TemporaryDirectory(prefix="valens-") as folder:
        cost = probe.plan(model, data, representations, store=folder).estimate()
        first = probe.plan(model, data, representations, store=folder).run()
        second = probe.plan(model, data, representations, store=folder).run()
    broken = {
        "its estimate counts no forward pass before anything was read": cost.passes == 0,
        f"its result is a {type(first).__name__}, not a {probe.result.__name__}": type(first) is not probe.result,
        f"its result is of kind {first.kind!r}, not {probe.kind!r}": first.kind != probe.kind,
        "its result's section does not ask its question": first.section().question != probe.question,
        "a second run makes forward passes": second.provenance.get("forward_passes") != 0,
        "a second run finds something else": not first.table.equals(second.table),
    }
    for what, holds in broken.items():
        if holds:
            raise ProbeError(f"{type(probe).__name__}: {what}.")
    return first
