"""What `valens segment-matching` says of a result: two tables, and what follows from them in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from valens.evaluation.tfidf import LEXICAL
from valens.layers.layer_set import LayerSet
from valens.probes import CHANCE, SegmentMatchingResult
from valens.results.formatting import LEVEL, ahead_and_behind, layers_named, p_value, with_interval
from valens.terminal.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

_ROOM = 3
"""So many representations fit into 80 columns with their intervals."""


def opening(found: SegmentMatchingResult) -> str:
    """What was matched."""
    facts = found.provenance
    counts, name = facts["documents"], facts["model"]["model"]
    return (
        f"{counts['used']:,} documents of {facts['corpus']['name']}, {name}, similarity {facts['similarity']}, seed "
        f"{facts['seed']}. {counts['truncated']:,} are longer than {facts['max_tokens']:,} tokens; so much of them is used. "
        f"Left out: {counts['repeated']:,} that repeat another in the part that is used, {counts['too_short']:,} too short."
    )


def layer_table(found: SegmentMatchingResult, metric: str) -> Table:
    """A metric by layer with 95 % intervals, and with two representations their paired difference."""
    names = found.representations
    columns = ["layer", *names]
    cells = {name: _cells(found, name, metric, interval=len(names) <= _ROOM) for name in names}
    gaps: dict[int, list[str]] = {}
    if len(names) == 2:  # noqa: PLR2004
        columns += [f"{names[0]} − {names[1]}", "p (Holm)"]
        compared = found.compare(*names, metric=metric)
        gaps = {
            row.layer: [with_interval(row.difference, row.low, row.high, digits=2, signed=True), p_value(row.p_holm)]
            for row in compared.itertuples()
        }
    layers = sorted({layer for by_layer in cells.values() for layer in by_layer})
    rows = [[str(n), *[cells[name].get(n, "–") for name in names], *gaps.get(n, ["", ""])] for n in layers]
    return plain_table(columns, [row[: len(columns)] for row in rows], right=columns)


def best_table(found: SegmentMatchingResult) -> Table:
    """Each metric at each representation's best layer, what words and chance score, and the layers as good as the best."""
    rows = []
    for metric in found.metrics:
        part = found.forward(metric)
        rows += [(metric, *_best(part[part.representation == name])) for name in found.representations]
        lines = {row.representation: row for row in part[part.layer.isna()].itertuples()}
        rows.append((metric, LEXICAL, "–", _interval(lines[LEXICAL], 3), ""))
        rows.append((metric, CHANCE, "–", f"{lines[CHANCE].score:.3f}", ""))
    columns = ("metric", "of", "best layer", "score", "layers not told from it")
    return plain_table(columns, rows, right=columns[2:4])


def words(found: SegmentMatchingResult) -> Iterator[str]:
    """Where one representation is ahead of another, and which layers do better than words alone."""
    first, *others = found.representations
    for other in others:
        compared = {metric: found.compare(first, other, metric=metric) for metric in found.metrics}
        n_layers = len(next(iter(compared.values())))
        yield f"{first} against {other}, paired by document (p < {LEVEL}, Holm's correction over {_layers_in(n_layers)}):"
        for metric, table in compared.items():
            ahead, behind = ahead_and_behind(table)
            yield f"  {metric}: {first} is ahead in {layers_named(ahead)}, behind in {layers_named(behind)}"
    for metric in found.metrics:
        yield _against_words(found.forward(metric), metric)
    spread = found.table.between_resplits
    if spread.notna().any():
        resplits = found.provenance["resplits"]
        deviation = f"a standard deviation of {spread.median():.3f} (median of all)"
        yield f"Over {resplits} resplits of the documents a score has {deviation}."


def _best(curve: pd.DataFrame) -> tuple[str, str, str, str]:
    row = curve.loc[curve.score.idxmax()]
    among = LayerSet.of([int(layer) for layer in curve.layer[curve.among_best]])
    return str(row.representation), str(row.layer), _interval(row, 3), str(among)


def _against_words(part: pd.DataFrame, metric: str) -> str:
    words_alone = float(part.score[part.representation == LEXICAL].iloc[0])
    above = part[part.layer.notna() & (part.score > words_alone)]
    found = [
        f"{name} in {layers_named(curve.layer.tolist())}" for name, curve in above.groupby("representation", sort=False)
    ]
    return f"{metric}: words alone ({LEXICAL}) score {words_alone:.3f}; above that: {', '.join(found) or 'no layer'}"


def _layers_in(n: int) -> str:
    return f"{n} layer{'s' * (n != 1)}"


def _cells(found: SegmentMatchingResult, name: str, metric: str, *, interval: bool) -> dict[int, str]:
    part = found.forward(metric)
    rows = part[(part.representation == name) & part.layer.notna()].itertuples()
    return {int(row.layer): _interval(row, 2) if interval else f"{row.score:.2f}" for row in rows}


def _interval(row: Any, digits: int) -> str:
    return with_interval(row.score, row.low, row.high, digits=digits)
