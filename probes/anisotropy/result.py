"""What the anisotropy probe found, from its tables alone: no model, no store."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from probes.anisotropy.section import METRICS, RAW, lowest_lines, section_of
from valens.errors import ResultError
from valens.results.result import Result
from valens.results.section import Figures, Section
from valens.results.tables import records
from valens.statistics import compare_replicates

KIND = "anisotropy"


class AnisotropyResult(Result, kind=KIND):
    """The mean cosine between different texts by layer, as it is and after centring.

    `table` has one row a number: representation, layer, metric, score, low, high, model, corpus, n (texts), depth.
    """

    @property
    def representations(self) -> tuple[str, ...]:
        """What was measured, in the order in which it was asked for."""
        return tuple(dict.fromkeys(self.table.representation))

    def compare(self, first: str, second: str, *, metric: str = RAW) -> pd.DataFrame:
        """First − second at every layer that both have, paired by resample: layer, difference, low, high, p, p_holm.

        A negative difference: the first is spread over more directions. [low, high] is a 95 % bootstrap interval over texts,
        `p` of no difference as the bootstrap's standard error has it, `p_holm` corrected over the layers. ResultError for
        what was not measured.
        """
        (ours, our_replicates), (theirs, their_replicates) = (self._curve(name, metric) for name in (first, second))
        layers = ours.index.intersection(theirs.index)
        if layers.empty:
            raise ResultError(f"{first!r} and {second!r} have no layers in common.")
        paired = compare_replicates(
            ours[layers].to_numpy(),
            theirs[layers].to_numpy(),
            our_replicates.loc[layers].to_numpy(),
            their_replicates.loc[layers].to_numpy(),
        )
        return pd.DataFrame({"layer": layers.astype(int), **paired.columns()})

    def figures(self) -> Figures:
        """Mean cosine by layer, a panel as it is and one after centring."""
        from probes.anisotropy.figure import anisotropy_curves

        return {"anisotropy": partial(anisotropy_curves, self.table)}

    def headlines(self) -> dict[str, str]:
        """Return the layer at which each representation is spread over the most directions, and over the fewest."""
        return lowest_lines(self)

    def section(self) -> Section:
        """Return how alike different texts are at each layer, and how much of it is one shared direction."""
        return section_of(self)

    def to_json(self) -> dict[str, Any]:
        """Scores and provenance, and under `compared` the paired differences of the first representation to each other."""
        first, *others = self.representations
        compared = [
            {"first": first, "second": second, "metric": metric} | row
            for second in others
            for metric in METRICS
            for row in records(self.compare(first, second, metric=metric))
        ]
        return super().to_json() | {"compared": compared}

    def _curve(self, name: str, metric: str) -> tuple[pd.Series, pd.DataFrame]:
        """Return the scores by layer, and the same in every resample, [layer, resample]."""
        rows = self.table[(self.table.representation == name) & (self.table.metric == metric)]
        if rows.empty:
            raise ResultError(
                f"There is no {metric!r} of {name!r}; there are {', '.join(METRICS)} of {', '.join(self.representations)}."
            )
        replicates = self.detail("replicates")
        part = replicates[(replicates.representation == name) & (replicates.metric == metric)]
        resampled = part.pivot_table(index="layer", columns="resample", values="value", dropna=False, observed=True)
        return rows.set_index("layer").score, resampled.astype(np.float64)
