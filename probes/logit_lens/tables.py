"""From the ranks of a logit lens to its numbers: MRR@100 by layer, of the best layer, and the differences that matter.

A document's score is the mean over its prefixes, and documents are what intervals resample: prefixes of one document are
no independent evidence. A best layer is reported twice: the maximum over layers, as the paper has it, which flatters; and
with the layer chosen on documents that are not scored, over many splits, which intervals and p values repeat in every
resample (see `valens.statistics.cross_fit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import rankdata

from probes.logit_lens.names import (
    BEST,
    HELD_OUT,
    LHS,
    METRIC,
    NAMES,
    NORMS,
    ONE_NORM,
    UNIGRAM,
    VA,
    VA_SUM,
    VA_UNIFORM,
    WHS,
    WHS_BUT_FIRST,
    reciprocal,
)
from valens.layers.layer_set import LayerSet
from valens.statistics import bootstrap_means, first_highest, percentile_interval, split_units
from valens.statistics.cross_fit import CrossFit, compare_cross_fits, cross_fit

if TYPE_CHECKING:
    from probes.logit_lens.prefixes import Continuations

PAIRS = (
    (VA, LHS),
    (VA, WHS),
    (VA, WHS_BUT_FIRST),
    (VA, UNIGRAM),
    (VA_UNIFORM, LHS),
    (VA_SUM, LHS),
    (VA_SUM, UNIGRAM),
    (WHS, LHS),
    (WHS_BUT_FIRST, LHS),
    (WHS_BUT_FIRST, WHS),
)

Ranks = Int[np.ndarray, "document representation norm layer prefix offset"]
"""Every document's `probes.logit_lens.ranks.TextRanks`."""


@dataclass(frozen=True)
class Curve:
    """One representation's scores with or without the final norm."""

    name: str
    norm: bool
    layers: tuple[int | None, ...]
    scores: Float[np.ndarray, "layer offset document"]


@dataclass(frozen=True)
class LensTables:
    """What is computed from ranks; `offsets` are those of their last axis."""

    curves: tuple[Curve, ...]
    offsets: tuple[int, ...]
    n_layers: int
    resplits: int
    resamples: int
    seed: int

    def by_layer(self) -> pd.DataFrame:
        """MRR@100 of every layer: representation, layer, depth, offset, norm, metric, score, low, high, n."""
        rows = [
            _of(curve, offset) | {"layer": layer} | numbers
            for curve in self.curves
            for (layer, offset), numbers in zip(
                product(curve.layers, self.offsets), self._numbers(curve.scores), strict=True
            )
        ]
        table = pd.DataFrame(rows).astype({"layer": "Int64"})
        table.insert(table.columns.get_loc("layer") + 1, "depth", (table.layer / self.n_layers).astype("Float64"))
        return table

    def best(self) -> pd.DataFrame:
        """MRR@100 of each line's best layer, by how it was chosen; `layers` are all that were chosen in any split."""
        rows = []
        for curve, (index, offset) in product(self.curves, enumerate(self.offsets)):
            highest = first_highest(curve.scores[:, index].mean(axis=1))
            held_out, of = self._held_out[curve.name, curve.norm][index], _of(curve, offset)
            numbers = next(self._numbers(curve.scores[highest, index][None, None]))
            rows.append(of | {"choice": BEST, "layers": _layers(curve, [highest])} | numbers)
            numbers = numbers | _cross_fitted(held_out)
            rows.append(of | {"choice": HELD_OUT, "layers": _layers(curve, held_out.chosen)} | numbers)
        return pd.DataFrame(rows)

    def differences(self) -> pd.DataFrame:
        """Return how far lines are apart, paired by document, layers chosen on other documents; `p_holm` is over offsets.

        LHS has the final norm throughout, which is how the model itself reads it; the others have both settings.
        """
        rows, n = [], self.curves[0].scores.shape[-1]
        for (first, second), norm in product(PAIRS, NORMS):
            lines = self._held_out[first, norm], self._held_out[second, ONE_NORM.get(second, norm)]
            differences = compare_cross_fits(*lines)
            for index, offset in enumerate(self.offsets):
                pair = {"first": first, "second": second, "norm": norm, "offset": offset, "metric": METRIC}
                numbers = {name: float(column[index]) for name, column in differences.columns().items()}
                rows.append(pair | numbers | {"n": n})
        return pd.DataFrame(rows)

    @cached_property
    def _held_out(self) -> dict[tuple[str, bool], list[CrossFit]]:
        """What each line scores at layers that were not chosen on what is scored, offset by offset."""
        scores = [curve.scores for curve in self.curves]
        lines = scores_held_out(scores, resplits=self.resplits, resamples=self.resamples, seed=self.seed)
        return {(curve.name, curve.norm): line for curve, line in zip(self.curves, lines, strict=True)}

    def _numbers(self, scores: Float[np.ndarray, "layer offset document"]) -> Iterator[dict[str, Any]]:
        """Score, interval and number of documents, offset after offset, layer after layer."""
        flat = scores.reshape(-1, scores.shape[-1])
        low, high = percentile_interval(bootstrap_means(flat, resamples=self.resamples, seed=self.seed))
        for score, lower, upper in zip(flat.mean(axis=1), low, high, strict=True):
            yield {
                "metric": METRIC,
                "score": float(score),
                "low": float(lower),
                "high": float(upper),
                "n": flat.shape[1],
            }


def curves_of(ranks: Ranks, unigram: Int[np.ndarray, "document prefix offset"]) -> tuple[Curve, ...]:
    """Every representation with and without the final norm, and the baseline; a document's score is its prefixes' mean."""
    n_layers = ranks.shape[3]
    curves = []
    for (row, name), (column, norm) in product(enumerate(NAMES), enumerate(NORMS)):
        layers = range(n_layers, n_layers + 1) if name == LHS else range(1, n_layers + 1)
        part = ranks[:, row, column, n_layers - len(layers) :]
        scores = reciprocal(part).mean(axis=2)
        curves.append(Curve(name, norm, tuple(layers), np.moveaxis(scores, 0, -1)))
    baseline = np.moveaxis(reciprocal(unigram).mean(axis=1), 0, -1)[None]
    return (*curves, Curve(UNIGRAM, False, (None,), baseline))


def scores_held_out(
    curves: Sequence[Float[np.ndarray, "_layer offset document"]], *, resplits: int, resamples: int, seed: int
) -> list[list[CrossFit]]:
    """Return what each curve scores, offset by offset, at the layer that is best on documents that are not scored."""
    lines = [curve[:, index] for curve in curves for index in range(curve.shape[1])]
    found = iter(cross_fit(lines, resplits=resplits, resamples=resamples, seed=seed))
    return [[next(found) for _ in range(curve.shape[1])] for curve in curves]


def unigram_ranks(
    continuations: Continuations, offsets: Sequence[int], *, vocabulary: int, seed: int
) -> Int[np.ndarray, "document prefix offset"]:
    """Return where the true tokens stand by their frequency in the other split of the documents; ties count against.

    Every token of a text is counted, one that the tokenizer puts first as well, though none is ever a target.
    """
    texts = [np.array(text.ids) for text in continuations.texts]
    first, second = split_units(len(texts), seed)
    by_document = np.empty((len(texts), len(continuations.prefixes[0]), len(offsets)), dtype=np.int64)
    for counting, judged in ((second, first), (first, second)):
        counts = np.bincount(np.concatenate([texts[index] for index in counting]), minlength=vocabulary)
        ranks = rankdata(-counts, method="max").astype(np.int64)
        for index in judged:
            at = np.array(continuations.prefixes[index])[:, None] + np.array(offsets) - 1
            by_document[index] = ranks[texts[index][at]]
    return by_document


def rank_table(
    ranks: Ranks, continuations: Continuations, offsets: Sequence[int], ids: Sequence[str], n_layers: int
) -> pd.DataFrame:
    """One row a rank: document (its place in the corpus), id, prefix_tokens, offset, representation, norm, layer, rank."""
    filled = np.nonzero(ranks)
    document, representation, norm, layer, prefix, offset = filled
    lengths, documents = np.array(continuations.prefixes), np.array(continuations.documents)
    return pd.DataFrame(
        {
            "document": documents[document].astype(np.int32),
            "id": pd.Categorical.from_codes(document, _unique([ids[index] for index in continuations.documents])),
            "prefix_tokens": lengths[document, prefix].astype(np.int32),
            "offset": np.array(offsets, dtype=np.int32)[offset],
            "representation": pd.Categorical.from_codes(representation, list(NAMES)),
            "norm": np.array(NORMS)[norm],
            "layer": np.arange(1, n_layers + 1, dtype=np.int16)[layer],
            "rank": ranks[filled].astype(np.int32),
        }
    )


def _unique(ids: Sequence[str]) -> list[str]:
    """Ids that differ, as categories must: one that comes again has a number after it, the first that makes a new id."""
    given = set(ids)
    unique: dict[str, None] = {}
    for name in ids:
        numbered = (f"{name} ({number})" for number in count(2))
        unique[name if name not in unique else next(one for one in numbered if one not in given | unique.keys())] = None
    return list(unique)


def _cross_fitted(found: CrossFit) -> dict[str, float]:
    low, high = percentile_interval(found.replicates)
    return {"score": found.score, "low": float(low), "high": float(high)}


def _layers(curve: Curve, chosen: Sequence[int]) -> str:
    """Return layers in the notation of layer sets; a dash for what has none."""
    layers = [curve.layers[index] for index in chosen]
    numbers = [layer for layer in layers if layer is not None]
    return str(LayerSet.of(numbers)) if numbers else "–"


def _of(curve: Curve, offset: int) -> dict[str, Any]:
    return {"representation": curve.name, "offset": offset, "norm": curve.norm}
