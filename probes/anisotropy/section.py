"""What the anisotropy probe says: how alike different texts are at each layer, and how much of it centring takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from valens.results.formatting import LEVEL, ahead_and_behind, layers_named, number, with_interval
from valens.results.section import Figures, Section, near_duplicates_said, pictures_of
from valens.results.views import View, view

QUESTION = "Do all texts point the same way?"
RAW, CENTRED = METRICS = ("mean cosine", "mean cosine, centred")


if TYPE_CHECKING:

    class Measured(Protocol):
        """What is asked of a result of the anisotropy probe."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def representations(self) -> tuple[str, ...]: ...  # noqa: D102
        def compare(self, first: str, second: str, *, metric: str) -> pd.DataFrame: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Measured) -> Section:
    """Put an anisotropy result into words, a figure and tables."""
    caption = (
        f"Mean cosine between different texts by layer, for {', '.join(result.representations)}, with 95 % bands; on the "
        "right the mean vector of all texts was taken off first. 1: all texts point one way; 0: in all directions alike."
    )
    return Section(
        "Anisotropy",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=tuple(_findings(result)),
        pictures=pictures_of(result.figures(), {"anisotropy": caption}),
        tables=(_by_layer(result), view(result.table, "All scores", folded=True, filtered=True)),
    )


def lowest_lines(result: Measured) -> dict[str, str]:
    """Return, for each representation, the layers of its lowest and highest mean cosine."""
    return {
        name: f"{RAW} from {number(low.score)} (layer {low.layer}) to {number(high.score)} (layer {high.layer})"
        for name, low, high in _extremes(result)
    }


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    counts = facts["documents"]
    yield (
        f"{counts['used']:,} different texts of {facts['corpus']['name']}, {facts['model']['model']}, each compared with "
        f"every other. {facts['texts_truncated']:,} were cut at the limit of tokens; {counts['repeated']:,} repeat another "
        "and count once."
    )
    yield from near_duplicates_said(facts["corpus"])


def _findings(result: Measured) -> Iterator[str]:
    table = result.table
    n = int(table.n.max())
    for name, low, high in _extremes(result):
        rows = table[(table.representation == name) & (table.metric == CENTRED)]
        yield (
            f"{name}: two texts have a mean cosine from {with_interval(low.score, low.low, low.high)} (layer {low.layer}) "
            f"to {with_interval(high.score, high.low, high.high)} (layer {high.layer}); centred, at most "
            f"{number(rows.score.max())}."
        )
    first, *others = result.representations
    for second in others:
        compared = result.compare(first, second, metric=RAW)
        higher, lower = ahead_and_behind(compared)
        yield (
            f"The mean cosine of {first} is higher than that of {second} at {len(higher)} of {len(compared)} layers "
            f"({layers_named(higher)}) and lower at {len(lower)} ({layers_named(lower)}): paired by resample, p < {LEVEL} "
            "after Holm’s correction over the layers."
        )
    yield (
        f"Centred, {n:,} directions without structure would have a mean cosine of {number(-1 / (n - 1), fine=False)}: what "
        "is far from that comes from vectors of very uneven length or direction."
    )


def _extremes(result: Measured) -> Iterator[tuple[str, Any, Any]]:
    """Yield each representation with the rows of its lowest and highest mean cosine, layer 0 left out."""
    table = result.table[(result.table.metric == RAW)]
    for name in result.representations:
        rows = table[(table.representation == name) & ((table.layer > 0) | (table.layer.max() == 0))]
        ordered = rows.sort_values("score", kind="stable")
        low, high = (next(ordered.iloc[[end]].itertuples(index=False)) for end in (0, -1))
        yield name, low, high


def _by_layer(result: Measured) -> View:
    """Show both metrics of every representation, a row a layer."""
    columns: dict[str, pd.Series] = {}
    for name in result.representations:
        for metric, label in zip(METRICS, (name, f"{name}, centred"), strict=True):
            rows = result.table[(result.table.representation == name) & (result.table.metric == metric)].set_index(
                "layer"
            )
            columns |= {label: rows.score, f"{label}_low": rows.low, f"{label}_high": rows.high}
    note = "With 95 % intervals over texts. Layer 0 is what enters the first block."
    return view(
        pd.DataFrame(columns).sort_index().reset_index(), "Mean cosine between different texts, by layer", note=note
    )
