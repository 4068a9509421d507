"""What a page says of a segment matching."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from probes.segment_matching.recall import DIRECTIONS
from valens.probes import CHANCE, LEXICAL, SegmentMatchingResult
from valens.report.section import Section, as_good, layer_by_layer, pictured
from valens.report.views import View, number, probability, view, with_interval


def section(found: SegmentMatchingResult) -> Section:
    """A segment matching: who finds the other half, where, and how far the first two representations are apart."""
    metric = found.main_metric
    caption = (
        f"Recall by layer, {DIRECTIONS[0]}, for {', '.join(found.representations)}, with 95 % bands. Dashed lines are what "
        "words alone (TF-IDF) and chance reach."
    )
    return Section(
        "Segment matching",
        "Does a text’s beginning find its own end?",
        tuple(_findings(found, metric)),
        pictured(found.figures(), {"figure2": caption}),
        tables=(_by_layer(found, metric), view(found.table, "All scores", folded=True, filtered=True)),
    )


def _findings(found: SegmentMatchingResult, metric: str) -> Iterator[str]:
    forward = found.forward(metric)
    best = {}
    for name in found.representations:
        curve = forward[forward.representation == name]
        top = curve.loc[curve.score.idxmax()]
        best[name] = int(top.layer)
        among = curve.layer[curve.among_best.fillna(False).astype(bool)].astype(int)
        score = with_interval(top.score, top.low, top.high)
        yield f"{name} is at its best at layer {best[name]}: {metric} is {score}. {as_good(best[name], among)}"
    if len(found.representations) > 1:
        yield _compared(found, metric, best)
    words = {row.representation: row.score for row in forward[forward.layer.isna()].itertuples()}
    if {LEXICAL, CHANCE} <= set(words):
        yield f"Words alone ({LEXICAL}) reach {number(words[LEXICAL])}, chance {number(words[CHANCE])}."


def _compared(found: SegmentMatchingResult, metric: str, best: dict[str, int]) -> str:
    first, second = found.representations[:2]
    table = found.compare(first, second, metric=metric)
    at = table[table.layer == best[first]]
    said = ""
    if not at.empty:
        row = at.iloc[0]
        gap = with_interval(row.difference, row.low, row.high, signed=True)
        said = f"At layer {best[first]}, {first} − {second} is {gap}, {probability(row.p_holm)}. "
    return said + layer_by_layer(table, first, second, "paired by document")


def _by_layer(found: SegmentMatchingResult, metric: str) -> View:
    """The main metric, a row a layer, with the paired difference of the first two representations."""
    forward = found.forward(metric)
    columns: dict[str, pd.Series] = {}
    for name in found.representations:
        curve = forward[forward.representation == name].set_index("layer")
        columns |= {name: curve.score, f"{name}_low": curve.low, f"{name}_high": curve.high}
    table = pd.DataFrame(columns)
    if len(found.representations) > 1:
        first, second = found.representations[:2]
        gap = found.compare(first, second, metric=metric).set_index("layer")
        name = f"{first} − {second}"
        table[[name, f"{name}_low", f"{name}_high", "p_holm"]] = gap[["difference", "low", "high", "p_holm"]]
    note = "With 95 % intervals over documents; layer 0 is what enters the first block."
    return view(table.sort_index().reset_index(), f"{metric} by layer, {DIRECTIONS[0]}", note=note)
