"""What the ladder found, from its tables alone: no model, no store."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from probes.ladder.names import BEST_HIDDEN, VA
from probes.ladder.section import section_of, verdict_lines
from valens.errors import ResultError
from valens.results.result import Result
from valens.results.section import Figures, Section
from valens.results.tables import records

KIND = "ladder"


class LadderResult(Result, kind=KIND):
    """Every step from the mean of hidden states to the mean of values, and every fix of either.

    `table` has one row a number: representation (the rung), layer (the block), task, task_type, score, low, high, depth,
    model; `average` is the mean over task types. `details["ways"]` has what each rung scores under each way of choosing
    layers, and the share of the gap from HS to VA that it closes; `details["verdicts"]` the paired differences that decide.
    """

    @property
    def representations(self) -> tuple[str, ...]:
        """The rungs, the four steps first; words alone last."""
        return tuple(dict.fromkeys(self.table.representation))

    @property
    def ways(self) -> pd.DataFrame:
        """way, representation, layers, task_type, score, low, high, share, share_low, share_high."""
        return self.detail("ways")

    @property
    def verdicts(self) -> pd.DataFrame:
        """way, first, second, task_type, difference, low, high, p, p_holm, first_is, second_is."""
        return self.detail("verdicts")

    def verdict(self, way: str, first: str = VA, second: str = BEST_HIDDEN) -> pd.DataFrame:
        """Return first − second under one way of choosing layers, a row a task type and the average.

        `way` is `half`, `all`, `set`, `own layer` or `own set`. ResultError for what was not compared.
        """
        table = self.verdicts
        rows = table[(table.way == way) & (table["first"] == first) & (table.second == second)]
        if rows.empty:
            ways = ", ".join(dict.fromkeys(table.way))
            pairs = ", ".join(dict.fromkeys(f"{row['first']} − {row['second']}" for row in records(table)))
            raise ResultError(
                f"{first} − {second} was not compared by {way!r}. The ways are {ways}; the pairs {pairs}."
            )
        return rows.reset_index(drop=True)

    def figures(self) -> Figures:
        """Return the steps and fixes by block, and what each fix makes good."""
        from probes.ladder.figure import ladder_curves, shares_closed

        gap = self.ways.share.notna().any()  # where values are not ahead, there is none to close
        shares = {"ladder-shares": partial(shares_closed, self.ways)} if gap else {}
        return {"ladder": partial(ladder_curves, self.table)} | shares

    def headlines(self) -> dict[str, str]:
        """Return the verdict under each way of choosing layers."""
        return verdict_lines(self)

    def section(self) -> Section:
        """Return how much each fix makes good, what is left to the values, and every rung's scores."""
        return section_of(self)

    def to_json(self) -> dict[str, Any]:
        """Scores and provenance, with the ways and verdicts as records."""
        return super().to_json() | {"ways": records(self.ways), "verdicts": records(self.verdicts)}
