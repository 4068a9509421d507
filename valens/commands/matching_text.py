"""What `valens segment-matching` says of a result: a table of layers, and what follows from it in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from valens.display import plain_table
from valens.layers import LayerSet
from valens.probes import CHANCE, LEXICAL, SegmentMatching
from valens.recall import DIRECTIONS

if TYPE_CHECKING:
    from rich.table import Table

_LEVEL = 0.05


def layer_table(found: SegmentMatching, metric: str) -> Table:
    """A metric by layer with 95 % intervals, and with two representations their paired difference."""
    names = found.representations
    columns = ["layer", *names]
    cells = {name: _cells(found, name, metric) for name in names}
    gaps: dict[int, list[str]] = {}
    if len(names) == 2:  # noqa: PLR2004
        columns += [f"{names[0]} − {names[1]}", "p (Holm)"]
        gaps = {
            row.layer: [_signed(row), f"{row.p_holm:.3f}"] for row in found.compare(*names, metric=metric).itertuples()
        }
    layers = sorted({layer for by_layer in cells.values() for layer in by_layer})
    rows = [[str(n), *[cells[name].get(n, "–") for name in names], *gaps.get(n, ["", ""])] for n in layers]
    return plain_table(columns, [row[: len(columns)] for row in rows], right=columns)


def words(found: SegmentMatching, metric: str) -> Iterator[str]:
    """The best layer of each representation, the baselines, and where one representation is ahead of another."""
    table = found.table[found.table.direction == DIRECTIONS[0]]
    for one in found.metrics:
        part = table[table.metric == one]
        best = [_best(part[part.representation == name]) for name in found.representations]
        lines = {row.representation: row for row in part[part.layer.isna()].itertuples()}
        baselines = f"{LEXICAL} {lines[LEXICAL].score:.3f}, chance {lines[CHANCE].score:.3f}"
        yield f"{one}: {'; '.join(best)}; {baselines}"
    first, *others = found.representations
    for other in others:
        yield _verdict(found.compare(first, other, metric=metric), first, other, metric)
    spread = table.between_draws[table.layer.notna() & (table.metric == metric)]
    if spread.notna().any():
        draws = found.result.provenance["draws"]
        yield f"Over {draws} draws of the cuts, {metric} has a standard deviation of {spread.median():.3f} (middle layer)."


def _best(curve: pd.DataFrame) -> str:
    row = curve.loc[curve.score.idxmax()]
    among = [int(layer) for layer in curve.layer[curve.among_best]]
    others = f" (layers that cannot be told from it: {LayerSet.of(among)})" if len(among) > 1 else ""
    return f"{row.representation} {_with_interval(row, 3)} at layer {row.layer}{others}"


def _verdict(compared: pd.DataFrame, first: str, other: str, metric: str) -> str:
    sure = compared[compared.p_holm < _LEVEL]
    ahead, behind = (sure.layer[sign * sure.difference > 0].tolist() for sign in (1, -1))
    return (
        f"{metric}: {first} is ahead of {other} in {_layers(ahead)}, behind in {_layers(behind)} "
        f"(paired by document, p < {_LEVEL} after Holm's correction over {len(compared)} layers)."
    )


def _layers(layers: list[int]) -> str:
    if not layers:
        return "no layer"
    return f"{'layer' if len(layers) == 1 else 'layers'} {LayerSet.of(layers)}"


def _cells(found: SegmentMatching, name: str, metric: str) -> dict[int, str]:
    table = found.table
    part = table[(table.representation == name) & (table.metric == metric) & (table.direction == DIRECTIONS[0])]
    return {int(row.layer): _with_interval(row, 2) for row in part.itertuples()}


def _with_interval(row: Any, digits: int) -> str:
    return f"{row.score:.{digits}f} [{row.low:.{digits}f}, {row.high:.{digits}f}]"


def _signed(row: Any) -> str:
    return f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
