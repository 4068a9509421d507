"""What a page says of next-token probing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from valens.report.section import Section, as_good, at_layers, pictured
from valens.report.views import View, number, probability, view, with_interval

from valens.probes import NextTokenResult
from valens.statistics import not_distinguishable_by_replicates, resample_counts

_METRICS = ("accuracy", "top-5 accuracy", "cross-entropy", "selectivity")
_RESAMPLES = 2000


def section(found: NextTokenResult) -> Section:
    """Next-token probing: how much a linear probe reads off each layer, and how far representations are apart."""
    names = ", ".join(found.representations)
    captions = {
        "figure6": f"Accuracy and cross-entropy (nats) on held-out documents over training steps, for {names} at their best "
        "layers, with 95 % bands. Dashed lines need no probe.",
        "figure6-layers": f"The same at the end of training, by layer, for {names}, with 95 % bands.",
    }
    pictures = pictured(found.figures(), captions)
    tables = (_sites(found), view(found.curves, "Learning curves", folded=True, filtered=True))
    return Section(
        "Next-token probing", "Who knows the very next token?", tuple(_findings(found)), pictures, (), tables
    )


def _findings(found: NextTokenResult) -> Iterator[str]:
    table = found.table
    for name in found.representations:
        at = found.best(name)
        part = table[(table.representation == name) & (table.layers == at)].set_index("metric")
        accuracy, loss = (
            with_interval(*part.loc[metric, ["score", "low", "high"]]) for metric in ("accuracy", "cross-entropy")
        )
        yield (
            f"{name} is at its best at {at_layers(at)}, chosen by the loss on validation documents: accuracy is {accuracy}, "
            f"cross-entropy {loss} nats. {_equals(found, name)}"
        )
    first, *others = found.representations
    for other in others[:1]:
        row = found.compare_best(first, other).iloc[0]
        gap = with_interval(row.difference, row.low, row.high, signed=True)
        yield f"Each at its best, {first} − {other} is {gap} in accuracy, paired by document, {probability(row.p)}."
    rest = table[table.layers.isna() & (table.metric == "accuracy")]
    if len(rest):
        yield (
            "Without a probe: "
            + ", ".join(f"{row.representation} {number(row.score)}" for row in rest.itertuples())
            + "."
        )


def _equals(found: NextTokenResult, name: str) -> str:
    """How many single layers cannot be told, in accuracy, from the one with the highest."""
    documents = found.detail("documents")
    part = documents[(documents.representation == name) & documents.layers.str.isdecimal()]
    if part.layers.nunique() < 2:  # noqa: PLR2004
        return ""
    hits = part.assign(hits=part.accuracy * part.prefixes).pivot_table(
        index="layers", columns="document", values="hits"
    )
    sizes = part.drop_duplicates("document").set_index("document").prefixes.reindex(hits.columns).to_numpy()
    counts = resample_counts(len(sizes), _RESAMPLES, 0)
    score = hits.to_numpy().sum(axis=1) / sizes.sum()
    among = not_distinguishable_by_replicates(score, hits.to_numpy() @ counts.T / (counts @ sizes))
    layers = hits.index.astype(int)
    highest = int(layers[np.argmax(score)])
    return f"Its accuracy is highest at layer {highest}. {as_good(highest, layers[among])}"


def _sites(found: NextTokenResult) -> View:
    """One row a representation and layer set: all metrics with their intervals."""
    columns: dict[str, pd.Series] = {}
    keyed = found.table.assign(layers=found.table.layers.fillna("none"))
    for metric in [metric for metric in _METRICS if metric in set(keyed.metric)]:
        part = keyed[keyed.metric == metric].set_index(["representation", "layers"])
        columns |= {metric: part.score, f"{metric}_low": part.low, f"{metric}_high": part.high}
    table = pd.DataFrame(columns)
    order = list(dict.fromkeys(zip(keyed.representation, keyed.layers, strict=True)))
    note = "On held-out documents, with 95 % intervals; what has no layers is not trained. Cross-entropy is in nats."
    return view(table.loc[order].reset_index(), "Scores at the end of training", note=note, filtered=True)
