"""From losses and ranks of single prefixes to scores with intervals: everything is kept as sums over documents.

A score is a ratio, the sum over documents over the number of their prefixes, so a document counts as often as it has
prefixes. Resamples draw documents, and are the same for every probe and baseline: differences are paired. Seeds of the same
documents are averaged first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt16

from valens.errors import ResultError
from valens.statistics import bootstrap_means, holm, percentile_interval, resample_counts, sign_flip_test

ACCURACY, TOP_5, LOSS = "accuracy", "top-5 accuracy", "cross-entropy"
METRICS = (ACCURACY, TOP_5, LOSS)
"""What is scored: shares of prefixes whose next token is ranked first, or among five; and nats."""

CONTROL, SELECTIVITY, VALIDATION = "control accuracy", "selectivity", "validation cross-entropy"

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
        """What each document adds to each of `METRICS`."""
        starts = np.searchsorted(np.sort(self.document), self.documents)
        order = np.argsort(self.document, kind="stable")
        single = np.stack([ranks == 1, ranks <= _TOP, losses]).astype(np.float64)
        return np.add.reduceat(single[..., order], starts, axis=-1)

    def score(self, sums: Float[np.ndarray, "*batch document"]) -> Float[np.ndarray, "*batch"]:
        """The mean over all prefixes."""
        return np.asarray(sums.sum(axis=-1) / self.sizes.sum())

    def replicates(self, sums: Float[np.ndarray, "*batch document"]) -> Float[np.ndarray, "*batch resample"]:
        """The score in each resample of the documents."""
        return self._resampled(sums) / self._prefixes_drawn

    def numbers(self, sums: Float[np.ndarray, " document"]) -> dict[str, Any]:
        """A score with its 95 % interval."""
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
        """The sum over the documents of each resample, some resamples at a time."""
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
    kept: tuple[int, ...]
    """For each seed, which checkpoint was kept."""
    validation: Float[np.ndarray, " seed"] = field(repr=False)
    """The validation loss of what each seed kept."""
    start: float
    """The validation loss before the first step: that of the classes' frequencies."""
    control: Float[np.ndarray, " document"] | None = field(default=None, repr=False)
    """What each document adds to the accuracy on the control task, with the first seed."""

    @property
    def final(self) -> Float[np.ndarray, "metric seed document"]:
        """The sums of what is kept."""
        return self.sums[:, np.arange(len(self.kept)), list(self.kept)]


def probe_rows(curve: Curve, held: Held) -> Iterator[dict[str, Any]]:
    """What a probe scores at the end, a row a metric."""
    what = {"representation": curve.site.representation, "layers": curve.site.layers, "layer": curve.site.layer}
    final = curve.final
    for metric, by_seed in zip(METRICS, final, strict=True):
        yield what | {"metric": metric} | held.numbers(by_seed.mean(axis=0)) | {"between_seeds": _spread(by_seed, held)}
    loss = {"score": float(curve.validation.mean()), "low": np.nan, "high": np.nan}
    yield what | {"metric": VALIDATION} | loss | {"between_seeds": _deviation(curve.validation)}
    if curve.control is not None:  # learnt with the first seed alone: selectivity is the seeds' mean above it
        yield what | {"metric": CONTROL} | held.numbers(curve.control)
        yield what | {"metric": SELECTIVITY} | held.numbers(final[0].mean(axis=0) - curve.control)


def baseline_rows(name: str, sums: Float[np.ndarray, "metric document"], held: Held) -> Iterator[dict[str, Any]]:
    """What something that is not trained scores, a row a metric."""
    for metric, by_document in zip(METRICS, sums, strict=True):
        yield {"representation": name, "metric": metric} | held.numbers(by_document)


def curve_rows(curve: Curve, held: Held) -> Iterator[dict[str, Any]]:
    """What a probe scored at each checkpoint: `lowest` and `highest` are over the seeds."""
    what = {"representation": curve.site.representation, "layers": curve.site.layers, "layer": curve.site.layer}
    for metric, sums in zip(METRICS, curve.sums, strict=True):
        by_seed, mean = held.score(sums), sums.mean(axis=0)
        low, high = percentile_interval(held.replicates(mean))
        for place, step in enumerate(curve.steps):
            yield what | {
                "metric": metric,
                "step": step,
                "score": by_seed[:, place].mean(),
                "low": low[place],
                "high": high[place],
                "lowest": by_seed[:, place].min(),
                "highest": by_seed[:, place].max(),
            }


def document_rows(
    sites: Mapping[Site, Float[np.ndarray, "metric document"]], names: Sequence[str], held: Held
) -> pd.DataFrame:
    """One row a document and site: how many prefixes it has, and their mean score in each metric, over the seeds."""
    parts = []
    for site, sums in sites.items():
        means = dict(zip(METRICS, sums / held.sizes, strict=True))
        what = {"representation": site.representation, "layers": site.layers, "document": held.documents}
        parts.append(pd.DataFrame(what | {"id": names, "prefixes": held.sizes} | means))
    return pd.concat(parts, ignore_index=True)


def compared(
    documents: pd.DataFrame, pairs: Sequence[tuple[Site, Site]], metric: str, *, resamples: int, seed: int
) -> pd.DataFrame:
    """First − second for each pair of sites, with paired 95 % intervals, sign-flip p values, and Holm's over the pairs."""
    sums = {(row.representation, row.layers): part for row, part in _by_site(documents, metric)}
    sizes = documents.drop_duplicates("document").sort_values("document").prefixes.to_numpy()
    differences = np.stack(
        [sums[one.representation, one.layers] - sums[other.representation, other.layers] for one, other in pairs]
    )
    *drawn, prefixes_drawn = bootstrap_means(np.vstack([differences, sizes]), resamples=resamples, seed=seed)
    low, high = percentile_interval(np.stack(drawn) / prefixes_drawn)
    p = sign_flip_test(differences, seed=seed)
    return pd.DataFrame(
        {
            "first": [one.representation for one, _ in pairs],
            "second": [other.representation for _, other in pairs],
            "first_layers": [one.layers for one, _ in pairs],
            "second_layers": [other.layers for _, other in pairs],
            "metric": metric,
            "difference": differences.sum(axis=1) / sizes.sum(),
            "low": low,
            "high": high,
            "p": p,
            "p_holm": holm(p),
        }
    )


def _by_site(documents: pd.DataFrame, metric: str) -> Iterator[tuple[Site, Float[np.ndarray, " document"]]]:
    if metric not in METRICS:
        raise ResultError(f"A metric is {', '.join(METRICS)}; {metric!r} was asked for.")
    for (name, layers), part in documents.groupby(["representation", "layers"], sort=False):
        ordered = part.sort_values("document")
        yield Site(str(name), str(layers)), (ordered[metric] * ordered.prefixes).to_numpy()


def _spread(by_seed: Float[np.ndarray, "seed document"], held: Held) -> float:
    return _deviation(held.score(by_seed))


def _deviation(by_seed: Float[np.ndarray, " seed"]) -> float:
    """The standard deviation over the seeds; nan for one."""
    return float(by_seed.std(ddof=1)) if len(by_seed) > 1 else np.nan
