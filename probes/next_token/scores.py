"""From losses and ranks of single prefixes to scores with intervals: everything is kept as sums over documents.

A score is a ratio, the sum over documents over the number of their prefixes, so a document counts as often as it has
prefixes. Resamples draw documents, and are the same for every probe and baseline: differences are paired. Seeds of the same
documents are averaged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt16

from valens.statistics import percentile_interval, resample_counts

FEW = 30
"""By fewer prefixes than this, which checkpoint and which layer is best is decided by little more than chance."""

_TOP = 5
_HELD_COUNTS = 2**22
"""How many counts are multiplied at once: 32 MiB of them."""


@dataclass(frozen=True)
class Held:
    """The held-out documents and what is the same for all that are scored on them."""

    document: Int[np.ndarray, " test"] = field(repr=False)
    """Which document each prefix is of."""
    resamples: int
    seed: int

    @property
    def documents(self) -> Int[np.ndarray, " document"]:
        """The different documents, in order."""
        return np.unique(self.document)

    @property
    def sizes(self) -> Int[np.ndarray, " document"]:
        """How many prefixes each has."""
        return np.unique(self.document, return_counts=True)[1]

    def sums(
        self, losses: Float[np.ndarray, "*batch test"], ranks: Int[np.ndarray, "*batch test"]
    ) -> Float[np.ndarray, "metric *batch document"]:
        """Return what each document adds to each of `names.METRICS`."""
        starts = np.searchsorted(np.sort(self.document), self.documents)
        order = np.argsort(self.document, kind="stable")
        single = np.stack([ranks == 1, ranks <= _TOP, losses]).astype(np.float64)
        return np.add.reduceat(single[..., order], starts, axis=-1)

    def score(self, sums: Float[np.ndarray, "*batch document"]) -> Float[np.ndarray, "*batch"]:
        """Return the mean over all prefixes."""
        return np.asarray(sums.sum(axis=-1) / self.sizes.sum())

    def replicates(self, sums: Float[np.ndarray, "*batch document"]) -> Float[np.ndarray, "*batch resample"]:
        """Return the score in each resample of the documents."""
        return self._resampled(sums) / self._prefixes_drawn

    def numbers(self, sums: Float[np.ndarray, " document"]) -> dict[str, Any]:
        """Return a score with its 95 % interval."""
        low, high = percentile_interval(self.replicates(sums))
        return {"score": float(self.score(sums)), "low": float(low), "high": float(high)} | self.size

    @cached_property
    def _counts(self) -> UInt16[np.ndarray, "resample document"]:
        """How often each document is drawn: drawn once, and kept in two bytes each, as there are many."""
        return resample_counts(len(self.sizes), self.resamples, self.seed).astype(np.uint16)

    @cached_property
    def _prefixes_drawn(self) -> Float[np.ndarray, " resample"]:
        return self._resampled(self.sizes.astype(np.float64))

    def _resampled(self, sums: Float[np.ndarray, "*batch document"]) -> Float[np.ndarray, "*batch resample"]:
        """Return the sum over the documents of each resample, some resamples at a time."""
        rows = max(1, _HELD_COUNTS // len(self.sizes))
        parts = np.split(self._counts, range(rows, self.resamples, rows))
        return np.concatenate([sums @ counts.T.astype(np.float64) for counts in parts], axis=-1)

    @property
    def size(self) -> dict[str, int]:
        """How many documents and prefixes are scored."""
        return {"n": len(self.sizes), "prefixes": int(self.sizes.sum())}


@dataclass(frozen=True)
class Site:
    """What one probe reads: a representation at a layer, or averaged over a set of layers."""

    representation: str
    layers: str
    """In the notation of layer sets: `12`, or `26-30`."""

    @property
    def layer(self) -> int | None:
        """The layer, if it is a single one."""
        return int(self.layers) if self.layers.isdecimal() else None


@dataclass(frozen=True)
class Curve:
    """What one probe scored as it learnt, over all seeds."""

    site: Site
    steps: tuple[int, ...]
    sums: Float[np.ndarray, "metric seed checkpoint document"] = field(repr=False)
    best_checkpoints: tuple[int, ...]
    """For each seed, the checkpoint whose weights were kept: that of the lowest validation loss."""
    validation: Float[np.ndarray, " seed"] = field(repr=False)
    """The validation loss at each seed's best checkpoint."""
    start: float
    """The validation loss before the first step: that of the classes' frequencies."""
    control: Float[np.ndarray, " document"] | None = field(default=None, repr=False)
    """What each document adds to the accuracy on the control task, with the first seed."""

    @property
    def final(self) -> Float[np.ndarray, "metric seed document"]:
        """The sums at each seed's best checkpoint."""
        return self.sums[:, np.arange(len(self.best_checkpoints)), list(self.best_checkpoints)]


def notes_of(curves: Sequence[Curve], n_validation: int) -> list[str]:
    """Say what makes the numbers doubtful, a sentence for each thing; empty where all is well."""
    notes = []
    if n_validation < FEW:
        notes.append(
            f"{n_validation} prefixes decide when a probe stops and which layer is best, which leaves that to chance. Give "
            "more or longer texts."
        )
    idle = [curve for curve in curves if float(curve.validation.max()) > curve.start]
    if idle:
        first = idle[0]
        notes.append(
            f"{len(idle)} of {len(curves)} probes have learnt less than how frequent the classes are, with one order of the "
            f"rows at least: {first.site.representation} at {first.site.layers} ends at {first.validation.max():.2f} nats "
            f"on the validation documents, and the frequencies alone have {first.start:.2f}. Try a lower --lr or more texts."
        )
    return notes
