"""What next-token probing found, from its tables alone: no model, no store."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from probes.next_token.comparison import compared
from probes.next_token.names import ACCURACY, METRICS, VALIDATION
from probes.next_token.scores import Site
from probes.next_token.section import best_layer_lines, section_of
from valens.errors import ResultError
from valens.results.result import Result
from valens.results.section import Figures, Section
from valens.results.tables import records

KIND = "next-token"


class NextTokenResult(Result, kind=KIND):
    """Scores of every probe at the end of training, its learning curve, and the scores of every document.

    `table` has one row a number: model, corpus, representation, layers, layer, depth, metric, score, low, high, …, n,
    prefixes. All is measured on held-out documents, but for the `validation cross-entropy`. `layer` is missing for layer
    sets and baselines, `between_seeds` is the standard deviation over the seeds, `n` how many documents were scored.
    `selectivity` is the seeds' mean accuracy less the accuracy on the control task, which is learnt with the first seed.
    """

    @property
    def curves(self) -> pd.DataFrame:
        """One row a site, metric and checkpoint: the score after that many steps, its interval, and its range over seeds."""
        return self.detail("curves")

    @property
    def representations(self) -> tuple[str, ...]:
        """What was probed, in the order in which it was asked for."""
        return tuple(dict.fromkeys(self.table.representation[self.table.metric == VALIDATION]))

    def best(self, representation: str) -> str:
        """Return the layers at which a representation has the lowest loss on VALIDATION documents, never on scored ones."""
        rows = self._probed(representation)
        if rows.empty:
            raise ResultError(f"{representation!r} was not probed; there are {', '.join(self.representations)}.")
        return str(rows.layers.iloc[int(np.argmin(rows.score))])

    def compare(
        self, first: str, second: str, *, metric: str = ACCURACY, resamples: int = 10_000, seed: int = 0
    ) -> pd.DataFrame:
        """First − second wherever both were probed, paired by document, and p values corrected over those (Holm)."""
        pairs = [(Site(first, at), Site(second, at)) for at in self._shared(first, second)]
        if not pairs:
            raise ResultError(f"{first} and {second} were probed at no layers in common.")
        return compared(self.detail("documents"), pairs, metric, resamples=resamples, seed=seed)

    def compare_best(
        self, first: str, second: str, *, metric: str = ACCURACY, resamples: int = 10_000, seed: int = 0
    ) -> pd.DataFrame:
        """Return the same for the best layers of each, as the validation documents have them: one row."""
        pair = Site(first, self.best(first)), Site(second, self.best(second))
        return compared(self.detail("documents"), [pair], metric, resamples=resamples, seed=seed)

    def comparisons(self, first: str, second: str, metric: str) -> Iterator[tuple[str, pd.DataFrame]]:
        """Both comparisons: at the `best layers` of each, and at the `same layers` where they have any in common."""
        yield "best layers", self.compare_best(first, second, metric=metric)
        if self._shared(first, second):
            yield "same layers", self.compare(first, second, metric=metric)

    def figures(self) -> Figures:
        """Figure 6, accuracy and loss over training steps at each one's best layers; and both by single layer."""
        from probes.next_token.figure import learning_curves, next_token_layers

        figures = {"figure6": partial(learning_curves, self.table, self.curves)}
        if self.table.layer.notna().any():
            figures["figure6-layers"] = partial(next_token_layers, self.table)
        return figures

    def extra_files(self) -> tuple[str, ...]:
        """Return the files of both figures, even if no single layer was probed: another result may have left the second."""
        return tuple(f"figure6{part}.{suffix}" for part in ("", "-layers") for suffix in ("pdf", "png"))

    def headlines(self) -> dict[str, str]:
        """Return each representation's accuracy at its best layers."""
        return best_layer_lines(self)

    def section(self) -> Section:
        """Return how much each representation knows, at which layers, and how far they are apart."""
        return section_of(self)

    def to_json(self) -> dict[str, Any]:
        """Scores and provenance; the best layers; the paired differences of the first representation to each other."""
        first, *others = self.representations
        compared = [
            {"at": at} | row
            for second in others
            for metric in METRICS
            for at, table in self.comparisons(first, second, metric)
            for row in records(table)
        ]
        best = {name: self.best(name) for name in self.representations}
        return super().to_json() | {"best": best, "compared": compared}

    def _probed(self, representation: str) -> pd.DataFrame:
        return self.table[(self.table.metric == VALIDATION) & (self.table.representation == representation)]

    def _shared(self, first: str, second: str) -> list[str]:
        """At which layers both were probed, in the first one's order."""
        theirs = set(self._probed(second).layers)
        return [at for at in self._probed(first).layers if at in theirs]
