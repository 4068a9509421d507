"""What the sinks probe found, from its tables alone: no model, no store."""

from __future__ import annotations

from functools import partial

import pandas as pd

from probes.sinks.section import peak_lines, section_of
from valens.results.result import Result
from valens.results.section import Figures, Section

KIND = "sinks"


class SinksResult(Result, kind=KIND):
    """Attention sinks, massive activations and what they do to a mean, at every layer.

    `table` has one row a number: representation (a stream, `attention`, or an embedding), layer, metric, score, low, high,
    depth, n (texts), model, corpus. `details["tokens"]` has the tokens that are most often a text's longest at each layer,
    `details["dimensions"]` the dimensions with massive activations.
    """

    def of(self, representation: str, metric: str) -> pd.DataFrame:
        """Return one curve, a row a layer; empty where it was not measured."""
        rows = self.table[(self.table.representation == representation) & (self.table.metric == metric)]
        return rows.sort_values("layer").reset_index(drop=True)

    @property
    def tokens(self) -> pd.DataFrame:
        """layer, token, position (first or later), share of the texts."""
        return self.detail("tokens")

    @property
    def dimensions(self) -> pd.DataFrame:
        """layer, dimension, a_text (massive activations a text)."""
        return self.detail("dimensions")

    def figures(self) -> Figures:
        """Return all that was measured, by depth."""
        from probes.sinks.figure import sinks_by_layer

        return {"sinks": partial(sinks_by_layer, self.table)}

    def headlines(self) -> dict[str, str]:
        """Return where the first token is longest, and what it does to the mean there."""
        return peak_lines(self)

    def section(self) -> Section:
        """Return how long sinks are at each layer, which tokens they are, and what becomes of a mean."""
        return section_of(self)
