"""What a segment matching says: who finds the other segment, where, and how far representations are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from probes.segment_matching.metrics import CHANCE
from probes.segment_matching.recall import DIRECTIONS
from valens.evaluation.tfidf import LEXICAL
from valens.layers.layer_set import LayerSet
from valens.results.formatting import disagreement, layers_named, number, probability, with_interval
from valens.results.section import Figures, Section, as_good, layer_by_layer, near_duplicates_said, pictures_of
from valens.results.views import View, view
from valens.statistics.ties import first_highest

QUESTION = "Does a text’s beginning find its own end?"


if TYPE_CHECKING:

    class Matching(Protocol):
        """What is asked of a result of segment matching."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def representations(self) -> tuple[str, ...]: ...  # noqa: D102
        @property
        def metrics(self) -> tuple[str, ...]: ...  # noqa: D102
        @property
        def main_metric(self) -> str: ...  # noqa: D102
        def forward(self, metric: str) -> pd.DataFrame: ...  # noqa: D102
        def compare(self, first: str, second: str, *, metric: str) -> pd.DataFrame: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Matching) -> Section:
    """Put a segment matching into words, figures and tables."""
    caption = (
        f"Recall by layer, {DIRECTIONS[0]}, for {', '.join(result.representations)}, with 95 % bands. Dashed lines are what "
        "words alone (TF-IDF) and chance reach."
    )
    return Section(
        "Segment matching",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=tuple(_findings(result)),
        pictures=pictures_of(result.figures(), {"figure2": caption}),
        tables=(
            _by_layer(result),
            _best_layers(result),
            view(result.table, "All scores", folded=True, filtered=True),
        ),
    )


def best_layer_lines(result: Matching) -> dict[str, str]:
    """Return each representation's best layer with its score, in the first direction."""
    metric = result.main_metric
    return {
        f"best {row.representation}": f"layer {row.layer}, {metric} {with_interval(row.score, row.low, row.high)}, "
        f"{DIRECTIONS[0]}"
        for row in _best_rows(result, metric)
    }


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    counts = facts["documents"]
    yield (
        f"{counts['used']:,} documents of {facts['corpus']['name']}, {facts['model']['model']}, similarity "
        f"{facts['similarity']}, seed {facts['seed']}. {counts['truncated']:,} are longer than {facts['max_tokens']:,} "
        f"tokens; so much of them is used. Left out: {counts['repeated']:,} that repeat another in the part that is used, "
        f"{counts['too_short']:,} too short."
    )
    yield from near_duplicates_said(facts["corpus"])


def _findings(result: Matching) -> Iterator[str]:
    metric = result.main_metric
    for row in _best_rows(result, metric):
        score = with_interval(row.score, row.low, row.high)
        equals = as_good(row.layer, row.among)
        yield f"{row.representation} is at its best at layer {row.layer}: {metric} is {score}; {equals}."
    first, *others = result.representations
    for second in others:
        yield from _compared(result, first, second)
    for each in result.metrics:
        yield _against_words(result.forward(each), each)
    spread = result.table.between_resplits
    if spread.notna().any():
        n = result.provenance["resplits"]
        yield f"Over {n} draws of the cuts a score has a standard deviation of {spread.median():.3f} (median of all)."


def _best_rows(result: Matching, metric: str) -> Iterator[Any]:
    """Yield the row of each representation's best layer, with all layers that cannot be told from it as `among`."""
    scores = result.forward(metric)
    for name in result.representations:
        curve = scores[(scores.representation == name) & scores.layer.notna()]
        if (curve.layer > 0).any():  # what enters the first block is there to compare with
            curve = curve[curve.layer > 0]
        among = curve.layer[curve.among_best.fillna(False).astype(bool)].astype(int).tolist()
        best = curve.iloc[[first_highest(curve.score.to_numpy(dtype=float))]].assign(among=[among])
        yield next(best.astype({"layer": int}).itertuples(index=False))


def _compared(result: Matching, first: str, second: str) -> Iterator[str]:
    best = next(_best_rows(result, result.main_metric)).layer
    for metric in result.metrics:
        table = result.compare(first, second, metric=metric)
        yield layer_by_layer(table, first, second, "paired by document", metric=metric)
        row = table[table.layer == best]
        if metric == result.main_metric and not row.empty:
            difference, low, high, p = row[["difference", "low", "high", "p_holm"]].iloc[0]
            gap, disagree = (
                with_interval(difference, low, high, signed=True),
                disagreement(low, high, p, tests=len(table)),
            )
            why = f": {disagree}" if disagree else ""
            yield f"At layer {best}, {first} − {second} is {gap} in {metric}, {probability(p)} (Holm){why}."


def _against_words(scores: pd.DataFrame, metric: str) -> str:
    baselines = {row.representation: row.score for row in scores[scores.layer.isna()].itertuples()}
    above = scores[scores.layer.notna() & (scores.score > baselines[LEXICAL])]
    layers = above.groupby("representation", sort=False).layer
    names = [f"{name} at {layers_named(numbers.tolist())}" for name, numbers in layers]
    return (
        f"{metric}: words alone ({LEXICAL}) reach {number(baselines[LEXICAL])}, chance {number(baselines[CHANCE])}; above "
        f"words: {'; '.join(names) or 'no layer'}."
    )


def _by_layer(result: Matching) -> View:
    """Show the main metric, a row a layer, with the paired difference of the first two representations."""
    metric = result.main_metric
    scores = result.forward(metric)
    columns: dict[str, pd.Series] = {}
    for name in result.representations:
        curve = scores[(scores.representation == name) & scores.layer.notna()].set_index("layer")
        columns |= {name: curve.score, f"{name}_low": curve.low, f"{name}_high": curve.high}
    table = pd.DataFrame(columns)
    if len(result.representations) > 1:
        first, second = result.representations[:2]
        gap = result.compare(first, second, metric=metric).set_index("layer")
        name = f"{first} − {second}"
        table[[name, f"{name}_low", f"{name}_high", "p_holm"]] = gap[["difference", "low", "high", "p_holm"]]
    note = (
        "With 95 % intervals over documents, each its layer's own; p is corrected over the layers. Layer 0 is what enters "
        "the first block."
    )
    return view(table.sort_index().reset_index(), f"{metric} by layer, {DIRECTIONS[0]}", note=note)


def _best_layers(result: Matching) -> View:
    """Show each metric at each representation's best layer, and what words and chance reach."""
    rows = []
    for metric in result.metrics:
        rows += [
            (metric, row.representation, str(row.layer), row.score, row.low, row.high, str(LayerSet.of(row.among)))
            for row in _best_rows(result, metric)
        ]
        scores = result.forward(metric)
        baselines = scores[scores.layer.isna()]
        rows += [(metric, row.representation, "–", row.score, row.low, row.high, "") for row in baselines.itertuples()]
    columns = ["metric", "of", "best layer", "score", "low", "high", "layers not told from it"]
    return view(pd.DataFrame(rows, columns=columns), "Best layers", note="Layers were chosen on these very scores.")
