"""What a logit lens found, from its tables alone: no model, no text."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.logit_lens.names import HELD_OUT, ONE_NORM, reciprocal
from probes.logit_lens.section import score_lines, section_of
from probes.logit_lens.tables import scores_held_out
from valens.errors import ResultError
from valens.results.result import Result
from valens.results.section import Figures, Section
from valens.results.tables import records
from valens.statistics.cross_fit import RESPLITS, compare_cross_fits

KIND = "logit-lens"


class LogitLensResult(Result, kind=KIND):
    """MRR@100 by layer and of the best layer, and the rank of every true token.

    `table` has one row a number: model, corpus, representation, offset, norm, layer, depth, metric, score, low, high, n.
    """

    @property
    def ranks(self) -> pd.DataFrame:
        """One row a document, prefix, offset, representation, norm and layer: the true token's rank, from 1."""
        return self.detail("ranks")

    @property
    def differences(self) -> pd.DataFrame:
        """First − second, paired by document, at layers chosen on documents that are not scored."""
        return self.detail("differences")

    def best(self, choice: str = HELD_OUT) -> pd.DataFrame:
        """Return each line at its best layer, `held out` (chosen on documents not scored) or the `best layer` of all.

        The first is what a layer is worth; the second is what the paper reports, and flatters. ResultError for another.
        """
        table = self.detail("best")
        if choice not in set(table.choice):
            raise ResultError(f"Layers are chosen as {', '.join(dict.fromkeys(table.choice))}; not as {choice!r}.")
        return table[table.choice == choice].drop(columns="choice").reset_index(drop=True)

    def compare(
        self,
        first: str,
        second: str,
        *,
        norm: bool = False,
        resplits: int | None = None,
        resamples: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """First − second at every offset, paired by document: offset, difference, low, high, p, p_holm.

        Each has its layer chosen on the documents that are not scored, over `resplits` random splits. `norm` is whether the
        final norm is applied; LHS has it in any case. [low, high] is a 95 % bootstrap interval over documents, in every
        resample of which layers are chosen anew; `p` is of no difference as the bootstrap's standard error has it, `p_holm`
        corrected over the offsets. Settings that are None are those that the result was made with, so that the numbers are
        those of `.differences`. ResultError for what has no ranks.
        """
        facts = self.provenance
        scores = [self._scores(name, norm=ONE_NORM.get(name, norm)) for name in (first, second)]
        lines = scores_held_out(
            scores,
            resplits=facts.get("resplits", RESPLITS) if resplits is None else resplits,
            resamples=facts["resamples"] if resamples is None else resamples,
            seed=facts["seed"] if seed is None else seed,
        )
        return pd.DataFrame({"offset": sorted(self.ranks.offset.unique()), **compare_cross_fits(*lines).columns()})

    def figures(self) -> Figures:
        """Figure 8, MRR@100 by offset; the same by layer; and both as a map."""
        from probes.logit_lens.figure import lens_by_layer, lens_by_offset, lens_map

        return {
            "figure8": partial(lens_by_offset, self.detail("best")),
            "figure8-layers": partial(lens_by_layer, self.table),
            "figure8-map": partial(lens_map, self.table),
        }

    def headlines(self) -> dict[str, str]:
        """Return what each line scores at the first and the last offset."""
        return score_lines(self)

    def section(self) -> Section:
        """Return which vector ranks the tokens after a prefix highest, offset by offset, and who is ahead of whom."""
        return section_of(self)

    def to_json(self) -> dict[str, Any]:
        """Scores and provenance; each line at its best layer; and the paired differences."""
        return super().to_json() | {"best": records(self.detail("best")), "differences": records(self.differences)}

    def _scores(self, representation: str, *, norm: bool) -> Float[np.ndarray, "layer offset document"]:
        """Return a document's score, the mean over its prefixes."""
        ranks = self.ranks
        part = ranks[(ranks.representation == representation) & (ranks.norm == norm)]
        if part.empty:
            names = ", ".join(map(str, ranks.representation.unique()))
            raise ResultError(
                f"There are no ranks of {representation!r}; there are {names}. `.differences` has other lines too."
            )
        scores = part.assign(score=reciprocal(part["rank"].to_numpy())).groupby(["layer", "offset", "document"]).score
        mean = scores.mean().sort_index()
        return mean.to_numpy().reshape([len(level) for level in mean.index.levels])
