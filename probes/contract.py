"""What a probe is: settings that plan a job, a job that knows its cost and runs, and a result that says what it found.

A probe is a frozen record of its settings, `SegmentMatching(max_tokens=512)`; settings that no model allows are refused when
it is made. `plan` draws what has to be read of a model and some data and refuses what this model or these data do not allow;
the job it gives says what reading would cost, and `run` reads and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from valens.extraction.estimate import Estimate
from valens.model.model import Model
from valens.representations.named import Representation
from valens.results.result import Result
from valens.store.store import ActivationStore

Data_contra = TypeVar("Data_contra", contravariant=True)


@runtime_checkable
class Job(Protocol):
    """A probe of one model on some data, planned; nothing of it has been read by the model yet."""

    def estimate(self) -> Estimate:
        """Return what `run` would cost; reads as little as measuring the speed takes, and keeps nothing."""
        ...

    def run(self) -> Result:
        """Read what the store lacks, measure, and say what was found."""
        ...


@runtime_checkable
class Probe(Protocol[Data_contra]):
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
        data: Data_contra,
        representations: Sequence[Representation],
        *,
        store: ActivationStore | str | Path,
    ) -> Job:
        """Plan the probe of a model on a corpus or suite; ValensError for settings that these do not allow.

        A probe with vectors of its own (the logit lens) takes no representations, and as `store` a folder for its ranks.
        """
        ...
