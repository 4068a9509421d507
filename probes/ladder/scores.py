"""What every rung scores: at each block alone, averaged over layer sets, and over sets of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from probes.ladder.rungs import Rung
from valens.evaluation.draws import in_fewer_runs
from valens.evaluation.suite_scores import FIRST, SECOND, WHOLE, Scores, suite_scores
from valens.layers.layer_set import LayerSet
from valens.metrics.workers import map_layers
from valens.progress import steps
from valens.representations.postprocessing import Postprocessing
from valens.selectors import LayerCurves, TaskCurve, mean_over_types, selector
from valens.tasks import Suite

OWN_LAYER, OWN_SET = "own layer", "own set"
VIEWS = (WHOLE, FIRST, SECOND)

_SPLIT_RESAMPLES = 500
_SECONDS_A_TEXT = 1e-4
"""What scoring a text at a block takes, about."""

Vectors = Float[np.ndarray, "block text d"]
FitVectors = Float[np.ndarray, "block fit d"]


@dataclass(frozen=True)
class Setting:
    """What all rungs are scored on, and how."""

    suite: Suite
    indices: Mapping[str, int]
    blocks: tuple[int, ...]
    sets: Mapping[str, LayerSet]
    """Sets of blocks by the name of the way of choosing; the same for all rungs."""
    n_layers: int
    select: str
    runs: int
    resamples: int
    seed: int

    def score(self, vectors: Float[np.ndarray, "row text d"]) -> Scores:
        """Score rows of vectors, whole and on both splits."""
        tasks = tuple(in_fewer_runs(task, self.runs) for task in self.suite.tasks)
        return suite_scores(
            replace(self.suite, tasks=tasks),
            vectors,
            self.indices,
            resamples=self.resamples,
            resamples_of_splits=min(self.resamples, _SPLIT_RESAMPLES),
            seed=self.seed,
            by_span=True,
        )


@dataclass(frozen=True)
class RungScores:
    """One rung's scores; row i is the i-th block, then come the sets, then the two sets of its own."""

    rung: Rung
    blocks: tuple[int, ...]
    sets: tuple[tuple[str, LayerSet], ...]
    """The name of each way and its blocks; the way `own set` twice, as chosen on the first split and on the second."""
    views: tuple[tuple[TaskCurve, ...], ...]
    """The scores of each task on all units and on either split."""

    def rows(self, way: str, view: int) -> list[int]:
        """Return the rows that a way may choose of when it looks at one split (`view`)."""
        if way == OWN_LAYER:
            return list(range(len(self.blocks)))
        named = [len(self.blocks) + index for index, (name, _) in enumerate(self.sets) if name == way]
        return [named[view - FIRST]] if way == OWN_SET else named

    def layers(self, row: int) -> LayerSet:
        """Return the layers of the rung's reading in a row."""
        n = len(self.blocks)
        return self.rung.layers([self.blocks[row]] if row < n else self.sets[row - n][1])

    def at(self, row: int, view: int) -> tuple[TaskCurve, ...]:
        """Return the scores of one row on all units or on a split."""
        return tuple(curve.at([row]) for curve in self.views[view])

    def means(self, view: int) -> Float[np.ndarray, " row"]:
        """Return the score of every row as a mean over task types."""
        return mean_over_types(self.views[view]).score


def score_rungs(
    arrays: Iterator[tuple[Rung, Vectors, FitVectors]], setting: Setting, *, n_rungs: int
) -> list[RungScores]:
    """Score each rung, as many at a time as there are processors.

    Args:
        arrays: each rung with its reading of the suite's texts at every block, and of the texts that are fitted on.
        setting: what they are scored on.
        n_rungs: how many come.

    Returns:
        The scores, in the order of the rungs.

    """
    work = ((rung, vectors, fit, setting) for rung, vectors, fit in arrays)
    seconds = _SECONDS_A_TEXT * n_rungs * len(setting.blocks) * len(setting.indices)
    with steps("Scoring rungs", n_rungs) as step:
        scored = []
        for scores in map_layers(score_rung, work, n=n_rungs, seconds=seconds):
            scored.append(scores)
            step()
    return scored


def score_rung(rung: Rung, vectors: Vectors, fit: FitVectors, setting: Setting) -> RungScores:
    """Score one rung at every block, over the sets, and over the sets that the selector chooses on either split."""
    draws: tuple[Postprocessing | None, ...] = rung.postprocessing or (None,)
    singles = [LayerSet.of([block]) for block in setting.blocks]
    shared = list(setting.sets.values())
    views = _mean_over_draws(
        setting.score(_embeddings([*singles, *shared], setting, vectors, fit, draw)) for draw in draws
    )
    own = [_chosen([curve.at(slice(0, len(singles))) for curve in views[view]], setting) for view in (FIRST, SECOND)]
    own_views = _mean_over_draws(setting.score(_embeddings(own, setting, vectors, fit, draw)) for draw in draws)
    sets = (*setting.sets.items(), *((OWN_SET, layer_set) for layer_set in own))
    joined = tuple(tuple(map(_joined, one, other)) for one, other in zip(views, own_views, strict=True))
    return RungScores(rung, setting.blocks, sets, joined)


def _embeddings(
    sets: Sequence[LayerSet], setting: Setting, vectors: Vectors, fit: FitVectors, postprocessing: Postprocessing | None
) -> Float[np.ndarray, "set text k"]:
    """Average over each set of blocks, and do what is done afterwards, fitted on the same average of other texts."""
    rows = []
    for blocks in sets:
        places = [setting.blocks.index(block) for block in blocks]
        embeddings = _mean(vectors, places)
        rows.append(postprocessing.fit(_mean(fit, places))(embeddings) if postprocessing else embeddings)
    return np.stack(rows)


def _mean(vectors: Vectors, places: Sequence[int]) -> Float[np.ndarray, "text d"]:
    return vectors[places].mean(axis=0, dtype=np.float64).astype(np.float32)


def _chosen(curves: Sequence[TaskCurve], setting: Setting) -> LayerSet:
    return selector(setting.select).select(LayerCurves(setting.n_layers, setting.blocks, tuple(curves))).layers


def _mean_over_draws(draws: Iterable[Scores]) -> tuple[tuple[TaskCurve, ...], ...]:
    """Return the scores by view and task, averaged over the random matrices; what has no score is worth nothing."""
    by_draw = [[scores.comparable(view) for view in VIEWS] for scores in draws]
    return tuple(tuple(map(_mean_of, zip(*of_view, strict=True))) for of_view in zip(*by_draw, strict=True))


def _mean_of(curves: Sequence[TaskCurve]) -> TaskCurve:
    score = np.mean([curve.score for curve in curves], axis=0)
    return replace(curves[0], score=score, replicates=np.mean([curve.replicates for curve in curves], axis=0))


def _joined(one: TaskCurve, other: TaskCurve) -> TaskCurve:
    return replace(
        one,
        score=np.concatenate([one.score, other.score]),
        replicates=np.concatenate([one.replicates, other.replicates]),
    )
