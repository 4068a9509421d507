"""What a next-token probing says: how much each representation knows, at which layers, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from probes.next_token.names import ACCURACY, LOSS, METRICS, MODEL, MODEL_ALL, MOST_FREQUENT, SELECTIVITY, TOP_5
from valens.results.formatting import at_layers, disagreement, number, probability, with_interval
from valens.results.section import Figures, Section, as_good, layer_by_layer, near_duplicates_said, pictures_of
from valens.results.views import View, view
from valens.statistics import not_distinguishable_by_replicates, resample_counts

QUESTION = "Who knows the very next token?"

_PARTS = {"train": "to train on", "validation": "to stop by", "test": "to be scored"}
_SHORT = {MOST_FREQUENT: "most frequent", MODEL_ALL: "model, all", TOP_5: "top 5"}
"""Names that leave room for the numbers on a terminal of 80 columns."""

_RESAMPLES = 2000
"""How many resamples of the documents tell layers from the best."""


if TYPE_CHECKING:

    class Probing(Protocol):
        """What is asked of a result of next-token probing."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def representations(self) -> tuple[str, ...]: ...  # noqa: D102
        def detail(self, name: str) -> pd.DataFrame: ...  # noqa: D102
        def best(self, representation: str) -> str: ...  # noqa: D102
        def compare_best(self, first: str, second: str, *, metric: str) -> pd.DataFrame: ...  # noqa: D102
        def comparisons(self, first: str, second: str, metric: str) -> Iterator[tuple[str, pd.DataFrame]]: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Probing) -> Section:
    """Put a next-token probing into words, figures and tables."""
    names = ", ".join(result.representations)
    captions = {
        "figure6": f"Accuracy and cross-entropy (nats) on held-out documents over training steps, for {names} at their best "
        "layers, with 95 % bands. Dashed lines need no probe.",
        "figure6-layers": f"The same at the end of training, by layer, for {names}, with 95 % bands.",
    }
    return Section(
        "Next-token probing",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=tuple(_findings(result)),
        pictures=pictures_of(result.figures(), captions),
        tables=(
            _best_layers(result),
            _sites(result),
            view(result.detail("curves"), "Learning curves", folded=True, filtered=True),
        ),
    )


def best_layer_lines(result: Probing) -> dict[str, str]:
    """Return each representation's accuracy at its best layers."""
    scores = {name: _scores(result, name).loc[ACCURACY] for name in result.representations}
    return {
        f"best {name}": f"{at_layers(result.best(name))}, {ACCURACY} {with_interval(row.score, row.low, row.high)}; chosen "
        "on validation documents"
        for name, row in scores.items()
    }


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    documents, prefixes, classes = (facts[name] for name in ("documents", "prefixes", "classes"))
    parts = ", ".join(f"{documents[part]:,} {what} ({prefixes[part]:,} prefixes)" for part, what in _PARTS.items())
    yield f"Documents of {facts['corpus']['name']}: {parts}. Left out: {documents['too_short']:,} too short."
    yield from near_duplicates_said(facts["corpus"])
    if prefixes.get("start") == "random":
        yield "Prefixes begin at a random place inside each document."
    kind = "the whole vocabulary" if classes["all"] else "the most frequent next tokens"
    yield f"{classes['n']:,} classes, {kind}: {classes['kept']['test']:.1%} of the held-out prefixes are kept."
    orders = "in one order of the rows"
    if facts["seeds"] > 1:
        orders = f"each in {facts['seeds']} orders of the rows"
        orders += ", but those at other than the best layers in one" if facts.get("repeat") == "best" else ""
    yield (
        f"Linear probes of {facts['model']['model']}, trained for at most {facts['recipe']['steps']:,} steps, {orders}; "
        f"seed {facts['seed']}."
    )


def _findings(result: Probing) -> Iterator[str]:
    for name in result.representations:
        yield f"{_best(result, name)} {_as_good(result, name)}".strip()
    yield "Best layers were chosen by the loss on the validation documents, which are not scored."
    first, *others = result.representations
    for other in others:
        yield _apart(result, first, other)
        yield from _by_layer(result, first, other)
    table = result.table
    rest = table[table.layers.isna() & (table.metric == ACCURACY)]
    if len(rest):
        scores = "; ".join(f"{row.representation} {number(row.score)}" for row in rest.itertuples())
        yield f"Without a probe, accuracy is: {scores}."


def _scores(result: Probing, name: str) -> pd.DataFrame:
    """Return the scores of a representation at its best layers, by metric."""
    table = result.table
    return table[(table.representation == name) & (table.layers == result.best(name))].set_index("metric")


def _best(result: Probing, name: str) -> str:
    scores = _scores(result, name)
    accuracy, loss = (with_interval(*scores.loc[metric, ["score", "low", "high"]]) for metric in (ACCURACY, LOSS))
    return (
        f"{name} is at its best at {at_layers(result.best(name))}: accuracy is {accuracy}, cross-entropy {loss} nats."
    )


def _as_good(result: Probing, name: str) -> str:
    """Name the single layer with the highest accuracy, and those that cannot be told from it."""
    documents = result.detail("documents")
    part = documents[(documents.representation == name) & documents.layers.str.isdecimal()]
    if part.layers.nunique() < 2:  # noqa: PLR2004
        return ""
    hits = part.assign(hits=part[ACCURACY] * part.prefixes).pivot_table(
        index="layers", columns="document", values="hits", sort=False
    )
    sizes = part.drop_duplicates("document").set_index("document").prefixes.reindex(hits.columns).to_numpy()
    counts = resample_counts(len(sizes), _RESAMPLES, 0)
    score = hits.to_numpy().sum(axis=1) / sizes.sum()
    among = not_distinguishable_by_replicates(score, hits.to_numpy() @ counts.T / (counts @ sizes))
    layers = hits.index.astype(int)
    highest = int(layers[np.argmax(score)])
    return f"Its accuracy is highest at layer {highest}; {as_good(highest, layers[among])}."


def _apart(result: Probing, first: str, other: str) -> str:
    accuracy, loss = (result.compare_best(first, other, metric=metric).iloc[0] for metric in (ACCURACY, LOSS))
    gaps = [with_interval(row.difference, row.low, row.high, signed=True) for row in (accuracy, loss)]
    tested = [_tested(row) for row in (accuracy, loss)]
    return (
        f"Each at its best, {first} − {other} is {gaps[0]} in accuracy, {tested[0]}, and {gaps[1]} nats in cross-entropy, "
        f"{tested[1]}; paired by document."
    )


def _tested(row: Any) -> str:
    """Return `p = 0.031`, and in brackets what the interval says otherwise."""
    disagree = disagreement(row.low, row.high, row.p)
    return f"{probability(row.p)} ({disagree})" if disagree else probability(row.p)


def _by_layer(result: Probing, first: str, other: str) -> Iterator[str]:
    """Say at which single layers the first is ahead, where both were probed at some."""
    for at, compared in result.comparisons(first, other, ACCURACY):
        single = compared[compared.first_layers.str.isdecimal()]
        if at == "same layers" and len(single):
            table = single.assign(layer=single.first_layers.astype(int))
            yield layer_by_layer(table, first, other, "paired by document", metric=ACCURACY)


def _best_layers(result: Probing) -> View:
    """Show each representation at its best layers, and what needs no probe."""
    rows = [_row(name, result.best(name), _scores(result, name)) for name in result.representations]
    for name, part in result.table[result.table.layers.isna()].groupby("representation", sort=False):
        rows.append(_row(_SHORT.get(str(name), str(name)), "–", part.set_index("metric")))
    note = (
        f"On held-out documents, with 95 % intervals. Cross-entropy is in nats; `{MODEL}` is the model’s own prediction "
        f"among the classes, `{_SHORT[MODEL_ALL]}` among all tokens."
    )
    return view(pd.DataFrame(rows).dropna(axis=1, how="all"), "Best layers, and what needs no probe", note=note)


def _row(name: str, layers: str, scores: pd.DataFrame) -> dict[str, Any]:
    """Return what a site scores; accuracy and loss have their intervals."""
    row: dict[str, Any] = {"of": name, "layers": layers}
    for metric in (*METRICS, SELECTIVITY):
        score = scores.loc[metric] if metric in scores.index else pd.Series()
        row[_SHORT.get(metric, metric)] = score.get("score")
        if metric in {ACCURACY, LOSS}:
            row |= {f"{metric}_low": score.get("low"), f"{metric}_high": score.get("high")}
    return row


def _sites(result: Probing) -> View:
    """Show one row a representation and layer set: all metrics with their intervals."""
    columns: dict[str, pd.Series] = {}
    keyed = result.table.assign(layers=result.table.layers.fillna("none"))
    for metric in [metric for metric in (*METRICS, SELECTIVITY) if metric in set(keyed.metric)]:
        part = keyed[keyed.metric == metric].set_index(["representation", "layers"])
        columns |= {metric: part.score, f"{metric}_low": part.low, f"{metric}_high": part.high}
    order = list(dict.fromkeys(zip(keyed.representation, keyed.layers, strict=True)))
    note = "On held-out documents, with 95 % intervals; what has no layers is not trained. Cross-entropy is in nats."
    table = pd.DataFrame(columns).loc[order].reset_index()
    return view(table, "Scores at the end of training", note=note, folded=True, filtered=True)
