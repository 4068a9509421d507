"""From ranks to the rows of a table: recall@k and MRR with their intervals, and what chance would score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.segment_matching.metrics import CHANCE, MRR, score_of
from probes.segment_matching.ranks import Ranks
from probes.segment_matching.recall import DIRECTIONS
from valens.model.model import Model
from valens.statistics import (
    bca_interval,
    bootstrap_means,
    jackknife_means,
    not_distinguishable_by_replicates,
    percentile_interval,
    wilson_interval,
)


@dataclass(frozen=True)
class Measured:
    """How ranks become the rows of a table."""

    model: Model
    corpus: str
    recalls: tuple[str, ...]
    resamples: int
    seed: int
    interval: str

    def table(self, ranks: Ranks) -> pd.DataFrame:
        """One row a number, as `SegmentMatchingResult.table` describes it."""
        n_documents = next(iter(ranks.values())).shape[-1]
        names = list(dict.fromkeys(name for name, _ in ranks))
        rows = list(self._chance(n_documents))
        for name, metric, (index, direction) in product(names, (*self.recalls, MRR), enumerate(DIRECTIONS)):
            by_layer = {layer: score_of(part[:, index], metric) for (one, layer), part in ranks.items() if one == name}
            shared = {"representation": name, "direction": direction, "metric": metric, "n": n_documents}
            rows += [shared | numbers for numbers in self._numbers(by_layer, recall=metric != MRR)]
        table = pd.DataFrame(rows).assign(model=self.model.name, corpus=self.corpus)
        table["layer"] = table.layer.astype("Int64")
        table["depth"] = (table.layer / self.model.n_layers).astype("Float64")
        table["among_best"] = table.among_best.astype("boolean")
        return table[_COLUMNS]

    def _numbers(
        self, by_layer: Mapping[int | None, Float[np.ndarray, "_resplit document"]], *, recall: bool
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of one representation, metric and direction: one a layer."""
        scores = np.stack(list(by_layer.values()))
        by_document, resplits = scores.mean(axis=1), scores.mean(axis=2)
        mean = by_document.mean(axis=1)
        replicates = bootstrap_means(by_document, resamples=self.resamples, seed=self.seed)
        low, high = self._interval(by_document, replicates, proportion=recall and resplits.shape[1] == 1)
        best = not_distinguishable_by_replicates(mean, replicates)
        for index, layer in enumerate(by_layer):
            yield {
                "layer": layer,
                "score": mean[index],
                "low": low[index],
                "high": high[index],
                "between_resplits": resplits[index].std(ddof=1) if resplits.shape[1] > 1 else np.nan,
                "among_best": None if layer is None else bool(best[index]),
            }

    def _interval(
        self,
        by_document: Float[np.ndarray, "layer document"],
        replicates: Float[np.ndarray, "layer resample"],
        *,
        proportion: bool,
    ) -> tuple[Float[np.ndarray, " layer"], Float[np.ndarray, " layer"]]:
        """Return the bounds of the means: Wilson's of a proportion, which neither MRR nor a mean over several cuts is."""
        if self.interval == "percentile":
            return percentile_interval(replicates)
        if self.interval == "wilson" and proportion:
            return wilson_interval(by_document.sum(axis=1).astype(int), by_document.shape[1])
        return bca_interval(by_document.mean(axis=1), replicates, jackknife_means(by_document))

    def _chance(self, n: int) -> Iterator[dict[str, Any]]:
        """Yield what ranks drawn at random score: k / n, and the mean of 1 / rank."""
        ranks = np.arange(1, n + 1)
        for metric, direction in product((*self.recalls, MRR), DIRECTIONS):
            score = score_of(ranks, metric).mean()
            shared = {"representation": CHANCE, "direction": direction, "metric": metric, "n": n}
            yield shared | {"layer": None, "score": score, "low": np.nan, "high": np.nan, "among_best": None}


_COLUMNS = ["model", "representation", "layer", "depth", "corpus", "direction", "metric"]
_COLUMNS += ["score", "low", "high", "between_resplits", "among_best", "n"]
