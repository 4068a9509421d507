"""What `valens next-token` says of a result: a table of the best layers and baselines, and the differences in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from valens.probes import NextTokenResult
from valens.results.formatting import LEVEL, ahead_and_behind, at_layers, layers_named, with_interval
from valens.terminal.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

_METRICS = ("accuracy", "top-5 accuracy", "cross-entropy")
_SHOWN = 0.05
"""The smallest difference in accuracy points that is not shown as 0.0."""
_SHORT = {"most frequent token": "most frequent", "model, all tokens": "model, all", "top-5 accuracy": "top 5"}
"""Names that leave room for the numbers on a terminal of 80 columns."""


def about(found: NextTokenResult) -> Iterator[str]:
    """How many documents, prefixes and classes there are, and how much the classes cover."""
    facts = found.provenance
    documents, prefixes, classes = (facts[name] for name in ("documents", "prefixes", "classes"))
    parts = ", ".join(f"{documents[part]:,} to {what} ({prefixes[part]:,} prefixes)" for part, what in _PARTS.items())
    yield f"Documents of {facts['corpus']['name']}: {parts}; {documents['too_short']:,} texts are too short."
    kind = "the whole vocabulary" if classes["all"] else "the most frequent next tokens"
    yield f"{classes['n']:,} classes, {kind}: {classes['kept']['test']:.1%} of the held-out prefixes are kept."


_PARTS = {"train": "train on", "validation": "stop by", "test": "be scored"}


def best_table(found: NextTokenResult) -> Table:
    """Each representation at its best layers, and what needs no probe; accuracy and loss with 95 % intervals."""
    table = found.table
    shown = [*_METRICS, *(["selectivity"] if "selectivity" in set(table.metric) else [])]
    rows = []
    for name in found.representations:
        layers = found.best(name)
        part = table[(table.representation == name) & (table.layers == layers)].set_index("metric")
        rows.append([name, layers, *[_cell(part, metric) for metric in shown]])
    others = table[table.layers.isna()]
    for name, part in others.groupby("representation", sort=False):
        by_metric = part.set_index("metric")
        rows.append([_SHORT.get(str(name), str(name)), "", *[_cell(by_metric, metric) for metric in shown]])
    heads = [_SHORT.get(metric, metric) for metric in shown]
    return plain_table(["", "layers", *heads], rows, right=["layers", *heads])


def words(found: NextTokenResult) -> Iterator[str]:
    """How far the first representation is from each other one, at the best layers and layer by layer."""
    first, *others = found.representations
    yield "Layers were chosen by the loss on the validation documents, which are not scored."
    for other in others:
        accuracy, loss = (
            found.compare_best(first, other, metric=metric).iloc[0] for metric in (_METRICS[0], _METRICS[2])
        )
        yield (
            f"{first} ({at_layers(accuracy.first_layers)}) is {_apart(accuracy.difference)} {other} "
            f"({at_layers(accuracy.second_layers)}): {accuracy.difference * 100:+.1f} "
            f"[{accuracy.low * 100:+.1f}, {accuracy.high * 100:+.1f}], p = {accuracy.p:.2g}; cross-entropy "
            f"{loss.difference:+.2f} [{loss.low:+.2f}, {loss.high:+.2f}] nats."
        )
        for at, compared in found.comparisons(first, other, _METRICS[0]):
            if at == "same layers" and compared.first_layers.str.isdecimal().any():
                yield _by_layer(compared, first, other)


def _apart(difference: float) -> str:
    points = abs(difference) * 100
    if points < _SHOWN:
        return "level in accuracy with"
    return f"{points:.1f} accuracy points {'above' if difference > 0 else 'below'}"


def _by_layer(compared: pd.DataFrame, first: str, other: str) -> str:
    single = compared[compared.first_layers.str.isdecimal()]
    ahead, behind = ahead_and_behind(single, at="first_layers")
    return (
        f"Layer by layer, {first} is ahead of {other} in {layers_named(ahead)} and behind in {layers_named(behind)} of "
        f"{len(single)} (accuracy, paired by document, p < {LEVEL} after Holm's correction)."
    )


def _cell(by_metric: pd.DataFrame, metric: str) -> str:
    """A score, with its interval where the table has room for it."""
    if metric not in by_metric.index:
        return ""
    row: Any = by_metric.loc[metric]
    whole = metric in {_METRICS[0], _METRICS[2]}
    return with_interval(row.score, row.low, row.high, digits=2) if whole else f"{row.score:.2f}"
