"""What the sinks probe says: where one token is longer than all others, and what that does to a mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from probes.sinks.names import (
    ACTIVATIONS,
    FIRST_IS_LONGEST,
    FIRST_LENGTH,
    FIRST_SHARE,
    HS,
    HS_BUT_FIRST,
    LARGEST_SHARE,
    LENGTH_CORRELATION,
    LONGEST_LENGTH,
    MEAN_COSINE,
    METRICS,
    SINK_SCORE,
    SINKS,
    VA,
)
from valens.representations.thresholds import SINK_FACTOR
from valens.results.formatting import layers_named, number, with_interval
from valens.results.section import Figures, Section, near_duplicates_said, pictures_of
from valens.results.views import View, view

QUESTION = "Is a mean one token?"

if TYPE_CHECKING:

    class Sunk(Protocol):
        """What is asked of a result of the sinks probe."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def tokens(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def dimensions(self) -> pd.DataFrame: ...  # noqa: D102
        def of(self, representation: str, metric: str) -> pd.DataFrame: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Sunk) -> Section:
    """Put what was measured of sinks into words, a figure and tables."""
    units = "; ".join(f"{metric}: {unit}" for metric, unit in METRICS.items())
    return Section(
        "Attention sinks",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=tuple(_findings(result)),
        pictures=pictures_of(result.figures(), {"sinks": f"All by layer, with 95 % bands over texts. {units}."}),
        tables=(
            _by_layer(result),
            view(result.tokens, "Which token is the longest", note="Of the hidden states.", folded=True),
            view(result.dimensions, "Dimensions with massive activations", folded=True),
            view(result.table, "All that was measured", folded=True, filtered=True),
        ),
    )


def peak_lines(result: Sunk) -> dict[str, str]:
    """Return where the first token's hidden state is longest, its share of the mean, and its value's length there."""
    peak = _highest(result.of("hidden", FIRST_LENGTH))
    share = _at(result.of("hidden", FIRST_SHARE), peak.layer)
    line = f"{_times(peak)} the median token at layer {peak.layer}, {share.score:.0%} of the mean"
    return {"first token’s hidden state": line}


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    counts = facts["documents"]
    yield (
        f"{counts['used']:,} different texts of {facts['corpus']['name']}, {facts['model']['model']}. "
        f"{facts['texts_truncated']:,} were cut at the limit of tokens; {counts['repeated']:,} repeat another and count "
        "once."
    )
    yield from near_duplicates_said(facts["corpus"])


def _findings(result: Sunk) -> Iterator[str]:
    first, longest = result.of("hidden", FIRST_LENGTH), result.of("hidden", LONGEST_LENGTH)
    peak, top = _highest(first), _highest(longest)
    is_first = _at(result.of("hidden", FIRST_IS_LONGEST), top.layer)
    yield (
        f"The first token’s hidden state is {_times(peak)} as long as the median of the others at layer {peak.layer}, and "
        f"more than {SINK_FACTOR} times at {_above(first, SINK_FACTOR)}. The longest token of a text, wherever it stands, "
        f"is at most {_times(top)} as long (layer {top.layer}); there it is the first token in {is_first.score:.0%} of the "
        f"texts. A text has {number(_highest(result.of('hidden', SINKS)).score)} sinks at the most."
    )
    share, largest = result.of("hidden", FIRST_SHARE), result.of("hidden", LARGEST_SHARE)
    worst = _highest(share)
    yield (
        f"The mean of hidden states is mostly the first token at {_above(share, 0.5)}, and mostly some one token at "
        f"{_above(largest, 0.5)}; at layer {worst.layer} the first makes {worst.score:.0%} of it. Of the mean of values it "
        f"makes {_highest(result.of('values', FIRST_SHARE)).score:.0%} at the most."
    )
    drain = result.of("values", FIRST_LENGTH)
    least, most = _lowest(drain), _highest(drain)
    yield (
        f"The first token’s value is {number(least.score)} (layer {least.layer}) to {number(most.score)} (layer "
        f"{most.layer}) times as long as the others’: shorter at {_below(drain, 1)}."
    )
    yield from _massive(result)
    heads = _highest(result.of("attention", SINK_SCORE))
    yield (
        f"Heads attend to the first token (mean above .3) most at layer {heads.layer}: "
        f"{with_interval(heads.score, heads.low, heads.high)} of them."
    )
    correlations = [
        f"{name} {with_interval(row.score, row.low, row.high, signed=True)} (layer {row.layer})"
        for name in (HS, HS_BUT_FIRST, VA)
        for row in [_highest(result.of(name, LENGTH_CORRELATION))]
    ]
    highest = "; ".join(correlations)
    yield f"The cosine of two texts follows how alike their lengths are, with rank correlations up to {highest}."


def _massive(result: Sunk) -> Iterator[str]:
    counts = result.of("hidden", ACTIVATIONS)
    if not counts.score.max() > 0:
        yield "No activation of a hidden state is massive by the published threshold."
        return
    most = _highest(counts)
    often = result.dimensions.groupby("dimension").a_text.sum().sort_values(ascending=False).index[:5].tolist()
    yield (
        f"Massive activations are at {_above(counts, 0.5)}, {number(most.score)} a text at layer {most.layer}, in "
        f"dimensions {', '.join(map(str, sorted(often)))}."
    )


def _by_layer(result: Sunk) -> View:
    wanted = {
        "hidden: first": ("hidden", FIRST_LENGTH),
        "hidden: longest": ("hidden", LONGEST_LENGTH),
        "first’s share": ("hidden", FIRST_SHARE),
        "values: first": ("values", FIRST_LENGTH),
        "sink heads": ("attention", SINK_SCORE),
        "cosine, length: HS": (HS, LENGTH_CORRELATION),
        "cosine, length: VA": (VA, LENGTH_CORRELATION),
        "mean cosine, HS": (HS, MEAN_COSINE),
    }
    columns = {title: result.of(*curve).set_index("layer").score.round(3) + 0.0 for title, curve in wanted.items()}
    note = (
        "first, longest: length over that of the median other token. first’s share: of the mean of hidden states. cosine, "
        "length: rank correlation of the two. Intervals, and more: in the files and on the page."
    )
    return view(pd.DataFrame(columns).sort_index().reset_index(), "Sinks by layer", note=note)


def _times(row: Any) -> str:
    return f"{row.score:,.0f} times" if row.score >= 10 else f"{row.score:.1f} times"  # noqa: PLR2004


def _above(curve: pd.DataFrame, limit: float) -> str:
    return layers_named(curve.layer[curve.score > limit])


def _below(curve: pd.DataFrame, limit: float) -> str:
    return layers_named(curve.layer[curve.score < limit])


def _highest(curve: pd.DataFrame) -> Any:
    return next(curve.sort_values("score", ascending=False, kind="stable").iloc[[0]].itertuples(index=False))


def _lowest(curve: pd.DataFrame) -> Any:
    return next(curve.sort_values("score", kind="stable").iloc[[0]].itertuples(index=False))


def _at(curve: pd.DataFrame, layer: int) -> Any:
    return next(curve[curve.layer == layer].itertuples(index=False))
