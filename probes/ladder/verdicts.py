"""How much of the lead of values each fix of the pooling makes good, and what is left when both sides have the best fix.

Layers, and the best of several rungs, are chosen on one split of every task's units and scored on the
other, both ways round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from probes.ladder.names import BEST_HIDDEN, BEST_VALUES, HS, NORMED, PCA, RANDOM, VA, of_hidden, of_values
from probes.ladder.scores import OWN_LAYER, OWN_SET, RungScores
from valens.evaluation.suite_scores import FIRST, SECOND, WHOLE, Scores
from valens.selectors import TaskCurve, mean_over_types, means_by_type
from valens.statistics import compare_replicates, percentile_interval

_BOTH = ((FIRST, SECOND), (SECOND, FIRST))


@dataclass(frozen=True)
class Judged:
    """What one rung, or the best of several, scores under one way of choosing layers."""

    curves: tuple[TaskCurve, ...]
    """Each task type's score, and the mean over types last."""
    chosen: tuple[str, ...]
    """The rung and layers: of the whole, or as chosen on either split."""


def ways(scores: Sequence[RungScores]) -> list[str]:
    """Return the ways of choosing layers: the shared sets, then each rung's own layer and own set."""
    return [*dict.fromkeys(name for name, _ in scores[0].sets if name != OWN_SET), OWN_LAYER, OWN_SET]


def way_table(scores: Sequence[RungScores]) -> pd.DataFrame:
    """Return what each rung scores under each way, by task type, and how much of the gap from HS to VA it closes."""
    return pd.DataFrame([row for way in ways(scores) for row in _way_rows(scores, way)])


def verdict_table(scores: Sequence[RungScores]) -> pd.DataFrame:
    """Return the paired differences that decide, under each way: by task type with Holm's correction over the types."""
    return pd.DataFrame([row for way in ways(scores) for row in _verdict_rows(scores, way)])


def judged(scores: Sequence[RungScores], names: Iterable[str], way: str, *, held_out: bool) -> Judged:
    """Return what the best of these rungs scores under a way.

    Where `held_out`, rung and layers are chosen on one split and scored on the other, both ways round, and the two averaged;
    else there is one rung and one set, which is scored on all units.
    """
    candidates = [each for each in scores if each.rung.name in set(names)]
    if not held_out:
        (only,) = candidates
        (row,) = only.rows(way, WHOLE)
        return Judged(means_by_type(only.at(row, WHOLE)), (_named(only, row),))
    parts = []
    for looking, judging in _BOTH:
        means = {each.rung.name: each.means(looking) for each in candidates}
        best, row = max(
            ((each, row) for each in candidates for row in each.rows(way, looking)),
            key=lambda choice: round(float(means[choice[0].rung.name][choice[1]]), 10),
        )
        parts.append((means_by_type(best.at(row, judging)), _named(best, row)))
    (first, one), (second, other) = parts
    return Judged(tuple(map(_average, first, second)), (one, other))


def _named(scores: RungScores, row: int) -> str:
    return f"{scores.rung.name}@{scores.layers(row)}"


def _average(one: TaskCurve, other: TaskCurve) -> TaskCurve:
    return replace(one, score=(one.score + other.score) / 2, replicates=(one.replicates + other.replicates) / 2)


def _is_held_out(way: str) -> bool:
    return way in {OWN_LAYER, OWN_SET}


def _way_rows(scores: Sequence[RungScores], way: str) -> Iterator[Mapping[str, Any]]:
    held_out = _is_held_out(way)
    found = {each.rung.name: judged(scores, [each.rung.name], way, held_out=held_out) for each in scores}
    for name, one in found.items():
        for bottom, top, curve in zip(found[HS].curves, found[VA].curves, one.curves, strict=True):
            low, high = percentile_interval(curve.replicates)
            yield {
                "way": way,
                "representation": name,
                "layers": " and ".join(dict.fromkeys(one.chosen)),
                "task_type": curve.task_type,
                "score": float(curve.score[0]),
                "low": float(low[0]),
                "high": float(high[0]),
            } | _share(bottom, top, curve)


def _share(bottom: TaskCurve, top: TaskCurve, curve: TaskCurve) -> dict[str, float]:
    """Return the share of the gap between HS and VA that a rung closes; nan where VA is not surely above HS.

    A ratio over a gap that may be nothing has no meaning, and no interval.
    """
    gap, closed = top.replicates[0] - bottom.replicates[0], curve.replicates[0] - bottom.replicates[0]
    if not percentile_interval(gap[None])[0][0] > 0:
        return {"share": np.nan, "share_low": np.nan, "share_high": np.nan}
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = percentile_interval((closed / gap)[None])
    share = (curve.score[0] - bottom.score[0]) / (top.score[0] - bottom.score[0])
    return {"share": float(share), "share_low": float(low[0]), "share_high": float(high[0])}


def _verdict_rows(scores: Sequence[RungScores], way: str) -> Iterator[Mapping[str, Any]]:
    names = [each.rung.name for each in scores]
    groups = {BEST_HIDDEN: of_hidden(names), BEST_VALUES: of_values(names)}
    pairs = [(VA, HS), (VA, NORMED), (VA, BEST_HIDDEN), (BEST_VALUES, BEST_HIDDEN), (VA, RANDOM), (VA, PCA)]
    for first, second in pairs:
        if any(name not in groups and name not in names for name in (first, second)):
            continue
        held_out = _is_held_out(way) or first in groups or second in groups
        one, other = (judged(scores, groups.get(name, [name]), way, held_out=held_out) for name in (first, second))
        yield from _difference_rows(way, first, second, one, other)


def _difference_rows(way: str, first: str, second: str, one: Judged, other: Judged) -> Iterator[Mapping[str, Any]]:
    chosen = {
        "first_is": " and ".join(dict.fromkeys(one.chosen)),
        "second_is": " and ".join(dict.fromkeys(other.chosen)),
    }
    for types in (slice(0, -1), slice(-1, None)):  # Holm's correction is over the types, the mean over them is one test
        ours, theirs = one.curves[types], other.curves[types]
        compared = compare_replicates(
            np.concatenate([curve.score for curve in ours]),
            np.concatenate([curve.score for curve in theirs]),
            np.concatenate([curve.replicates for curve in ours]),
            np.concatenate([curve.replicates for curve in theirs]),
        )
        columns = pd.DataFrame(compared.columns())
        for curve, row in zip(ours, columns.to_dict("records"), strict=True):
            yield {"way": way, "first": first, "second": second, "task_type": curve.task_type} | row | chosen


def block_table(
    scores: Sequence[RungScores], words: Scores, words_name: str, model: str, n_layers: int
) -> pd.DataFrame:
    """Return every rung's score at every block on each task and as a mean over task types, and what words alone score."""
    rows = [row for each in scores for row in _block_rows(each.rung.name, each.blocks, each.views[WHOLE])]
    table = pd.DataFrame([*rows, *_block_rows(words_name, (None,), words.comparable())])
    table["depth"] = table.layer / n_layers
    return table.assign(model=model).astype({"layer": "Int64", "depth": "Float64"})


def _block_rows(name: str, blocks: Sequence[int | None], curves: Sequence[TaskCurve]) -> Iterator[Mapping[str, Any]]:
    for curve in (*curves, mean_over_types(curves)):
        low, high = percentile_interval(curve.replicates)
        for index, block in enumerate(blocks):
            yield {
                "representation": name,
                "layer": block,
                "task": curve.task,
                "task_type": curve.task_type,
                "score": float(curve.score[index]),
                "low": float(low[index]),
                "high": float(high[index]),
            }
