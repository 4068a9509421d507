"""What segment matching found, from its tables alone: no model, no store."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from probes.segment_matching.metrics import score_of
from probes.segment_matching.recall import DIRECTIONS
from probes.segment_matching.section import best_layer_lines, section_of
from valens.errors import ResultError
from valens.results.result import Result
from valens.results.section import Figures, Section
from valens.results.tables import records
from valens.statistics import compare_paired

KIND = "segment-matching"


class SegmentMatchingResult(Result, kind=KIND):
    """Scores by layer, and the rank of every document's own other segment.

    `table` has one row a number: model, representation, layer, depth, corpus, direction, metric, score, low, high, …, n.
    `between_resplits` is the standard deviation of the score over the draws of the cuts (missing with one draw), and
    `among_best` says which layers cannot be told from the best of their representation (see `valens.statistics`).
    """

    @property
    def ranks(self) -> pd.DataFrame:
        """One row a document, draw, direction, representation and layer: the rank, from 1, of its own other segment."""
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
        """Return the rows of a metric for each beginning looking for its end, the first of the directions."""
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
        over the layers. Draws of the cuts are averaged first. ResultError for what was not measured.
        """
        ours, theirs = (self._scores(name, metric, direction) for name in (first, second))
        layers = ours.index.intersection(theirs.index)
        paired = compare_paired(
            ours.loc[layers].to_numpy(), theirs.loc[layers].to_numpy(), resamples=resamples, seed=seed
        )
        return pd.DataFrame({"layer": layers.astype(int), **paired.columns()})

    def figures(self) -> Figures:
        """Figure 2."""
        from probes.segment_matching.figure import matching_curves

        return {"figure2": partial(matching_curves, self.table)}

    def headlines(self) -> dict[str, str]:
        """Return each representation's best layer, in the first direction."""
        return best_layer_lines(self)

    def section(self) -> Section:
        """Who finds the other segment, where, and how far representations are apart."""
        return section_of(self)

    def to_json(self) -> dict[str, Any]:
        """Scores and provenance, and under `compared` the paired differences of the first representation to each other."""
        first, *others = self.representations
        compared = [
            {"first": first, "second": second, "metric": metric} | row
            for second in others
            for metric in self.metrics
            for row in records(self.compare(first, second, metric=metric))
        ]
        return super().to_json() | {"compared": compared}

    def _scores(self, representation: str, metric: str, direction: str) -> pd.DataFrame:
        """Return a document's score, [layer, document], the mean over the draws."""
        ranks = self.ranks
        part = ranks[(ranks.representation == representation) & (ranks.direction == direction) & ranks.layer.notna()]
        if part.empty:
            names = ", ".join(dict.fromkeys(ranks.representation[ranks.layer.notna()]))
            raise ResultError(f"There are no layers of {representation!r}, {direction!r}; there are {names}.")
        scores = part.assign(score=score_of(part["rank"].to_numpy(), metric))
        return scores.pivot_table(index="layer", columns="document", values="score", aggfunc="mean", sort=False)
