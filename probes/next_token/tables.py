"""The tables of a next-token probing: its scores, learning curves, and the scores of every document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.next_token.names import CONTROL, METRICS, SELECTIVITY, VALIDATION
from probes.next_token.scores import Curve, Held, Site
from valens.corpora import Corpus
from valens.model.model import Model
from valens.statistics import percentile_interval

_COLUMNS = ["model", "corpus", "representation", "layers", "layer", "depth", "metric"]
_COLUMNS += ["score", "low", "high", "between_seeds", "n", "prefixes"]

BaselineSums = Mapping[str, Float[np.ndarray, "metric document"]]
"""What each document adds to each metric of a baseline, by the baseline's name."""


def score_table(
    model: Model, corpus: Corpus, curves: Sequence[Curve], baselines: BaselineSums, held: Held
) -> pd.DataFrame:
    """One row a number: what every probe scores at the end of training, and what every baseline scores."""
    rows = [row for curve in curves for row in _probe_rows(curve, held)]
    rows += [row for name, sums in baselines.items() for row in _baseline_rows(name, sums, held)]
    table = pd.DataFrame(rows).astype({"layer": "Int64", "n": "Int64", "prefixes": "Int64"})
    depth = (table.layer / model.n_layers).astype("Float64")
    return table.assign(model=model.name, corpus=corpus.name, depth=depth)[_COLUMNS]


def curve_table(curves: Sequence[Curve], held: Held) -> pd.DataFrame:
    """One row a probe, metric and checkpoint."""
    return pd.DataFrame([row for curve in curves for row in _curve_rows(curve, held)]).astype({"layer": "Int64"})


def document_table(corpus: Corpus, curves: Sequence[Curve], baselines: BaselineSums, held: Held) -> pd.DataFrame:
    """One row a document and probe or baseline, whose `layers` are empty; probes have the mean over the seeds."""
    names = [corpus.ids[index] for index in held.documents]
    final = {curve.site: curve.final.mean(axis=1) for curve in curves}
    return _document_rows(final | {Site(name, ""): sums for name, sums in baselines.items()}, names, held)


def _probe_rows(curve: Curve, held: Held) -> Iterator[dict[str, Any]]:
    """Yield what a probe scores at the end, a row a metric."""
    what = {"representation": curve.site.representation, "layers": curve.site.layers, "layer": curve.site.layer}
    final = curve.final
    for metric, by_seed in zip(METRICS, final, strict=True):
        yield what | {"metric": metric} | held.numbers(by_seed.mean(axis=0)) | {"between_seeds": _spread(by_seed, held)}
    loss = {"score": float(curve.validation[0]), "low": np.nan, "high": np.nan}
    yield what | {"metric": VALIDATION} | loss | {"between_seeds": _deviation(curve.validation)}
    if curve.control is not None:  # learnt with the first seed alone: selectivity is the seeds' mean above it
        yield what | {"metric": CONTROL} | held.numbers(curve.control)
        yield what | {"metric": SELECTIVITY} | held.numbers(final[0].mean(axis=0) - curve.control)


def _baseline_rows(name: str, sums: Float[np.ndarray, "metric document"], held: Held) -> Iterator[dict[str, Any]]:
    """Yield what something that is not trained scores, a row a metric."""
    for metric, by_document in zip(METRICS, sums, strict=True):
        yield {"representation": name, "metric": metric} | held.numbers(by_document)


def _curve_rows(curve: Curve, held: Held) -> Iterator[dict[str, Any]]:
    """Yield what a probe scored at each checkpoint: `lowest` and `highest` are over the seeds."""
    what = {"representation": curve.site.representation, "layers": curve.site.layers, "layer": curve.site.layer}
    for metric, sums in zip(METRICS, curve.sums, strict=True):
        by_seed, mean = held.score(sums), sums.mean(axis=0)
        low, high = percentile_interval(held.replicates(mean))
        for index, step in enumerate(curve.steps):
            yield what | {
                "metric": metric,
                "step": step,
                "score": by_seed[:, index].mean(),
                "low": low[index],
                "high": high[index],
                "lowest": by_seed[:, index].min(),
                "highest": by_seed[:, index].max(),
            }


def _document_rows(
    sites: Mapping[Site, Float[np.ndarray, "metric document"]], names: Sequence[str], held: Held
) -> pd.DataFrame:
    """One row a document and site: how many prefixes it has, and their mean score in each metric, over the seeds."""
    parts = []
    for site, sums in sites.items():
        means = dict(zip(METRICS, sums / held.sizes, strict=True))
        what = {"representation": site.representation, "layers": site.layers, "document": held.documents}
        parts.append(pd.DataFrame(what | {"id": names, "prefixes": held.sizes} | means))
    return pd.concat(parts, ignore_index=True)


def _spread(by_seed: Float[np.ndarray, "seed document"], held: Held) -> float:
    return _deviation(held.score(by_seed))


def _deviation(by_seed: Float[np.ndarray, " seed"]) -> float:
    """Return the standard deviation over the seeds; nan for one."""
    return float(by_seed.std(ddof=1)) if len(by_seed) > 1 else np.nan
