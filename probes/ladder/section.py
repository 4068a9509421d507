"""What the ladder says: how much of the lead of values is pooling, under each way of choosing layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from probes.ladder.names import BEST_HIDDEN, BEST_VALUES, HS, NORMED, STEPS, UNIT, VA, of_hidden
from valens.results.formatting import LEVEL, number, probability, with_interval
from valens.results.section import Figures, Section, pictures_of
from valens.results.views import View, view
from valens.selectors import AVERAGE

QUESTION = "Is it the values, or the pooling?"

WAYS = {
    "set": "over the set of layers that was asked for",
    "half": "over the deep half of the layers",
    "all": "over all layers",
    "own layer": "at each one's best layer, chosen on the other half of the data",
    "own set": "over each one's own set, chosen on the other half of the data",
}
"""The ways of choosing layers, as they are said."""

if TYPE_CHECKING:

    class Climbed(Protocol):
        """What is asked of a result of the ladder."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def ways(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def verdicts(self) -> pd.DataFrame: ...  # noqa: D102
        def verdict(self, way: str, first: str, second: str) -> pd.DataFrame: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Climbed) -> Section:
    """Put a ladder into words, figures and tables."""
    captions = {
        "ladder": "Mean score over task types by block, with 95 % bands: the four steps from hidden states (HS) to values "
        "(VA), and fixes of hidden states.",
        "ladder-shares": "How much of the gap between HS and VA each step and fix closes, with 95 % intervals, for each way "
        "of choosing layers: 0 is HS as it is, 1 is VA.",
    }
    return Section(
        "The ladder",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=tuple(line for way in _ways(result) for line in _findings(result, way)),
        pictures=pictures_of(result.figures(), captions),
        tables=(
            _shares(result),
            _verdicts(result),
            view(result.verdicts, "Every paired difference", folded=True, filtered=True),
            view(result.ways, "Every rung under every way of choosing layers", folded=True, filtered=True),
            view(result.table, "All scores by block", folded=True, filtered=True),
        ),
    )


def verdict_lines(result: Climbed) -> dict[str, str]:
    """Return what is left of the lead of values under each way, both sides pooled as well as they can be."""
    lines = {}
    for way in _ways(result):
        row = _average_of(result.verdict(way, VA, BEST_HIDDEN))
        lines[way] = (
            f"{VA} − {BEST_HIDDEN} ({row.second_is}) {with_interval(row.difference, row.low, row.high, signed=True)}"
        )
    return lines


def _ways(result: Climbed) -> list[str]:
    return list(dict.fromkeys(result.ways.way))


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    fit = facts["fit"]
    yield (
        f"{len(facts['suite']['tasks'])} tasks of {facts['suite']['name']}, {facts['model']['model']}, seed "
        f"{facts['seed']}. What is fitted (standardised, abtt, PCA) is fitted on {fit['texts']:,} texts of {fit['name']}, "
        f"none of which is evaluated. Clusterings and classifications take {facts['runs']} of mteb’s ten runs: the scores "
        "compare with each other."
    )


def _findings(result: Climbed, way: str) -> Iterator[str]:
    scores = result.ways[(result.ways.way == way) & (result.ways.task_type == AVERAGE)].set_index("representation")
    bottom, top = scores.loc[HS], scores.loc[VA]
    raw = _average_of(result.verdict(way, VA, HS))
    yield (
        f"{_capital(WAYS.get(way, way))}: HS {number(bottom.score)}, VA {number(top.score)}; VA − HS is "
        f"{_gap(raw)}. {_closed(scores)}"
    )
    fixed = _average_of(result.verdict(way, VA, BEST_HIDDEN))
    both = _average_of(result.verdict(way, BEST_VALUES, BEST_HIDDEN))
    yield (
        f"{_capital(WAYS.get(way, way))}, VA against hidden states pooled as well as they can be ({fixed.second_is}, chosen "
        f"on the other half): {_gap(fixed)}; with the best fix on both sides ({both.first_is}): {_gap(both)}. "
        f"{_by_type(result.verdict(way, VA, BEST_HIDDEN))}"
    )


def _gap(row: Any) -> str:
    return f"{with_interval(row.difference, row.low, row.high, signed=True)}, {probability(row.p)}"


def _closed(scores: pd.DataFrame) -> str:
    """Say what share of the gap the steps and the fixes of hidden states close."""
    if pd.isna(scores.share[VA]):
        return "VA is not surely ahead, so there is no gap to close."
    rows = scores.loc[[name for name in of_hidden(scores.index) if name != HS]]
    shares = "; ".join(
        f"{name} {row.share:.0%} [{row.share_low:.0%}, {row.share_high:.0%}]" for name, row in rows.iterrows()
    )
    return f"Of that gap close: {shares}."


def _by_type(rows: pd.DataFrame) -> str:
    """Say on which task types the first is ahead, after Holm's correction over them."""
    types = rows[rows.task_type != AVERAGE]
    sure = types[types.p_holm < LEVEL]
    ahead, behind = (", ".join(sure.task_type[sign * sure.difference > 0]) or "none" for sign in (1, -1))
    return f"By task type (Holm): ahead on {ahead}; behind on {behind}; of {len(types)}."


def _average_of(rows: pd.DataFrame) -> Any:
    return next(rows[rows.task_type == AVERAGE].itertuples(index=False))


def _shares(result: Climbed) -> View:
    """Show each rung's score under each way, with the share of the gap that it closes."""
    rows = result.ways[result.ways.task_type == AVERAGE]
    columns: dict[str, pd.Series] = {}
    for way in _ways(result):
        part = rows[rows.way == way].set_index("representation")
        columns |= {way: part.score, f"{way}_low": part.low, f"{way}_high": part.high}
    return view(
        pd.DataFrame(columns).rename_axis("rung").reset_index(),
        "Score by way of choosing layers, mean over task types",
        note=f"{', '.join(STEPS)} are the four steps: tokens of one length ({UNIT}), the norm’s gain ({NORMED}), the value "
        f"matrix ({VA}). The hidden states are those that enter the block of the value.",
    )


def _verdicts(result: Climbed) -> View:
    """Show the paired differences over all task types."""
    rows = result.verdicts[result.verdicts.task_type == AVERAGE]
    table = rows.assign(compared=rows["first"] + " − " + rows.second)
    return view(
        table[["way", "compared", "difference", "low", "high", "p"]],
        "What is left to the values",
        note="Paired by resample. The best of several rungs is chosen on one half of all units and judged on the other.",
        constants_apart=False,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
