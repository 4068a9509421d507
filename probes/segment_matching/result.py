"""What segment matching found, from its tables alone: no model, no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from probes.contract import PlottableResult
from probes.segment_matching.metrics import score_of
from probes.segment_matching.recall import DIRECTIONS
from valens.errors import ResultError
from valens.results.formatting import with_interval
from valens.statistics import compare_paired

KIND = "segment-matching"


class SegmentMatchingResult(PlottableResult):
    """Scores by layer, and the rank of every document's own other half.

    `table` has one row a number: model, representation, layer, depth, corpus, direction, metric, score, low, high, …, n.
    `between_resplits` is the standard deviation of the score over the resplits (missing with one draw), and
    `among_best` says which layers cannot be told from the best of their representation (see `valens.statistics`).
    """

    @property
    def ranks(self) -> pd.DataFrame:
        """One row a document, resplit, direction, representation and layer: the rank, from 1, of its own other half."""
        return self.detail("ranks")

    @property
    def metrics(self) -> tuple[str, ...]:
        """What was measured: recall@k for each k, and MRR."""
        return tuple(dict.fromkeys(self.table.metric))

    @property
    def main_metric(self) -> str:
        """The recall with the largest k."""
        return max((name for name in self.metrics if "@" in name), key=lambda name: int(name.partition("@")[2]))

    @property
    def representations(self) -> tuple[str, ...]:
        """What was measured at single layers, in the order in which it was asked for."""
        return tuple(dict.fromkeys(self.table.representation[self.table.layer.notna()]))

    def forward(self, metric: str) -> pd.DataFrame:
        """The rows of a metric for each beginning looking for its end, the first of the directions."""
        return self.table[(self.table.direction == DIRECTIONS[0]) & (self.table.metric == metric)]

    def compare(
        self,
        first: str,
        second: str,
        *,
        metric: str = "recall@10",
        direction: str = DIRECTIONS[0],
        resamples: int = 10_000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """First − second at every layer that both have, paired by document: layer, difference, low, high, p, p_holm.

        [low, high] is a 95 % bootstrap interval over documents, `p` a sign-flip test of no difference, `p_holm` corrected
        over the layers. Resplits are averaged first. ResultError for what was not measured.
        """
        ours, theirs = (self._scores(name, metric, direction) for name in (first, second))
        layers = ours.index.intersection(theirs.index)
        found = compare_paired(
            ours.loc[layers].to_numpy(), theirs.loc[layers].to_numpy(), resamples=resamples, seed=seed
        )
        return pd.DataFrame({"layer": layers.astype(int), **found.columns()})

    def figures(self) -> Mapping[str, Callable[[], Any]]:
        """Figure 2."""
        from probes.segment_matching.figure import matching_curves

        return {"figure2": partial(matching_curves, self.table)}

    def findings(self) -> dict[str, str]:
        """Each representation's best layer, in the first direction."""
        metric, direction = self.main_metric, DIRECTIONS[0]
        rows = self.forward(metric)
        rows = rows[rows.layer.notna()]
        best = rows.loc[rows.groupby("representation", sort=False).score.idxmax()]
        found = best[["representation", "layer", "score", "low", "high"]].itertuples(index=False)
        return {
            f"best {name}": f"layer {at}, {metric} {with_interval(*score)}, {direction}" for name, at, *score in found
        }

    def _scores(self, representation: str, metric: str, direction: str) -> pd.DataFrame:
        """A document's score, [layer, document], the mean over the resplits."""
        ranks = self.ranks
        part = ranks[(ranks.representation == representation) & (ranks.direction == direction) & ranks.layer.notna()]
        if part.empty:
            there = ", ".join(dict.fromkeys(ranks.representation[ranks.layer.notna()]))
            raise ResultError(f"There are no layers of {representation!r}, {direction!r}; there are {there}.")
        scores = part.assign(score=score_of(part["rank"].to_numpy(), metric))
        return scores.pivot_table(index="layer", columns="document", values="score", aggfunc="mean", sort=False)
