"""Which layers should an embedding average? Every layer alone on every task, and a layer set chosen from that (Figure 3).

Section 4.2 of arXiv 2602.01572. Each text of the suite is read once, at all layers; each layer's vectors are scored on each
task with the task's own metric; a selector turns the curves into a layer set; and the averaged embedding over that set is
scored beside the best single layer, the deep half and all layers. Every score has a 95 % bootstrap interval, and layers
are compared on the same resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from valens import extract
from valens.errors import SelectionError, SiteError, TaskError
from valens.evaluation import Evaluation, evaluate
from valens.layers import LayerSet
from valens.lexical import tfidf
from valens.models import Model
from valens.progress import steps
from valens.provenance import provenance
from valens.representations import HS, VA, Representation
from valens.results import Result, replace, write_json
from valens.selectors import Choice, LayerCurves, TaskCurve, TopK, selector
from valens.statistics import paired_difference
from valens.store import ActivationStore
from valens.tasks import Suite, Task

KIND = "layer-sweep"
LEXICAL = "TF-IDF"

_CHUNK_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Sweep:
    """What a sweep found: the scores of single layers, and for each representation the layer set chosen from them."""

    result: Result
    choices: dict[str, Choice]
    """One a representation."""
    sets: pd.DataFrame = field(repr=False)
    """The averaged embedding over each set: representation, set, layers, task, task_type, metric, score, low, high, n."""
    gaps: pd.DataFrame = field(repr=False)
    """How far the chosen set is from each other set, paired: representation, against, task_type, difference, low, high."""

    @property
    def choice(self) -> Choice:
        """The choice for the first representation."""
        return next(iter(self.choices.values()))

    @property
    def layers(self) -> LayerSet:
        """The layer set chosen for the first representation."""
        return self.choice.layers

    @property
    def table(self) -> pd.DataFrame:
        """The scores of single layers, one row a number."""
        return self.result.table

    def to_json(self) -> dict[str, Any]:
        """The layer sets, why each layer is in or out, and what the averaged embeddings score."""
        return {
            name: {
                "layers": str(choice.layers),
                "list": list(choice.layers),
                "selector": choice.selector,
                "reasons": {
                    str(layer): {"in": layer in choice.layers, "why": why}
                    for layer, why in sorted(choice.reasons.items())
                },
                "scores": _records(self.sets[self.sets.representation == name], drop="representation"),
                "chosen_minus_other": _records(self.gaps[self.gaps.representation == name], drop="representation"),
            }
            for name, choice in self.choices.items()
        }

    def save(self, folder: str | Path) -> Path:
        """Write the result, `layers.json`, `figure3.pdf` and `figure3.png` into a folder."""
        out = self.result.save(folder)
        first, *_ = self.choices
        content = {"representation": first} | self.to_json()[first] | {"representations": self.to_json()}
        replace(out / "layers.json", lambda path: write_json(path, content))
        for suffix in ("pdf", "png"):
            replace(out / f"figure3.{suffix}", self.plot().savefig)
        return out

    def plot(self) -> Any:
        """Figure 3, as a matplotlib figure."""
        from valens.plotting import layer_curves

        return layer_curves(self.table, chosen={name: choice.layers for name, choice in self.choices.items()})


def layer_sweep(
    model: Model,
    suite: Suite,
    representations: Sequence[Representation] = (VA, HS),
    *,
    store: ActivationStore | str | Path,
    layers: LayerSet | None = None,
    select: str = "paper",
    max_tokens: int | None = None,
    on_long: str = "truncate",
    resamples: int = 1000,
    seed: int = 0,
) -> Sweep:
    """Score every layer alone on every task of a suite, and choose a layer set for each representation.

    `layers` limits the layers that are scored and can be chosen (default: all; the residual stream also at 0, which is
    scored for comparison and never chosen). `seed` draws the bootstrap resamples. Raises TaskError, SelectionError,
    SiteError or PromptError for settings that the model or suite does not allow, before the model runs where possible.
    """
    chooser = selector(select)
    _check(model, suite, layers)
    job = plan(model, suite, representations, store=store, max_tokens=max_tokens, on_long=on_long)
    extraction = job.run()
    bench = _Bench(model, suite, extraction, _row_places(suite), resamples, seed)
    tables, choices, sets, gaps = [bench.lexical()], {}, [], []
    for representation in representations:
        curves = bench.curves(representation, layers)
        tables.append(_tidy(curves, model))
        choices[representation.name] = chooser.select(_candidates(curves, model))
        rows, differences = bench.compare(curves, choices[representation.name])
        sets.append(rows)
        gaps.append(differences)
    facts = provenance(
        model=extraction.collection.about,
        how_read=extraction.collection.identity,
        store=str(extraction.collection.folder.parent),
        collection=extraction.collection.key,
        forward_passes=extraction.passes,
        tokens_read=extraction.tokens,
        texts_truncated=extraction.truncated,
        seconds_reading=round(extraction.seconds, 1),
        suite={"name": suite.name, "tasks": {task.name: task.size for task in suite.tasks}},
        select=select,
        resamples=resamples,
        seed=seed,
    )
    table = pd.concat(tables, ignore_index=True)
    return Sweep(Result(KIND, table, facts), choices, pd.concat(sets), pd.concat(gaps))


def plan(
    model: Model,
    suite: Suite,
    representations: Sequence[Representation],
    *,
    store: ActivationStore | str | Path,
    max_tokens: int | None = None,
    on_long: str = "truncate",
) -> extract.Job:
    """What a sweep has to read; `Job.estimate` says what that costs."""
    prompts = {representation.prompt for representation in representations}
    if len(prompts) != 1:
        raise SelectionError(
            f"A sweep compares representations of one prompt; {len(prompts)} were given. Sweep one by one."
        )
    return extract.plan(
        model,
        list(_row_places(suite)),
        [representation.reading for representation in representations],
        store=store if isinstance(store, ActivationStore) else ActivationStore(store),
        prompt=prompts.pop(),
        max_tokens=max_tokens,
        on_long=on_long,
    )


@dataclass(frozen=True)
class _Scored:
    """One representation's evaluations: for each task, one row a layer."""

    representation: Representation
    layers: tuple[int, ...]
    tasks: tuple[tuple[Task, Evaluation], ...]


@dataclass(frozen=True)
class _Bench:
    """A suite and the vectors of its texts."""

    model: Model
    suite: Suite
    extraction: extract.Extraction
    places: dict[str, int]
    resamples: int
    seed: int

    def curves(self, representation: Representation, layers: LayerSet | None) -> _Scored:
        """Every layer alone on every task."""
        there = representation.reading.layers(self.model.n_layers)
        wanted = tuple(layer for layer in there if layers is None or layer in layers)
        evaluations = []
        with steps(f"Scoring {representation}", len(self.suite.tasks)) as step:
            for task in self.suite.tasks:
                parts = [self._evaluate(task, vectors) for vectors in self._chunks(task, representation, wanted)]
                evaluations.append((task, _stack(parts)))
                step()
        return _Scored(representation, wanted, tuple(evaluations))

    def compare(self, curves: _Scored, choice: Choice) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The averaged embedding over the chosen set, the best single layer, the deep half and all layers."""
        best = TopK(k=1, name="best").select(_candidates(curves, self.model)).layers
        n_layers = self.model.n_layers
        sets = {"chosen": choice.layers, "best": best, "half": LayerSet.half(n_layers), "all": LayerSet.all(n_layers)}
        scores: dict[str, list[tuple[Task, Evaluation]]] = {}
        for name, layers in sets.items():
            scores[name] = [(task, self._evaluate(task, self._mean(task, curves, layers))) for task in self.suite.tasks]
        rows = [
            _row(curves.representation.name, self.model.name, None, task, evaluation, place=0)
            | {"set": name, "layers": str(sets[name])}
            for name, evaluations in scores.items()
            for task, evaluation in evaluations
        ]
        columns = ["representation", "set", "layers", "task", "task_type", "metric", "score", "low", "high", "n"]
        gaps = [
            {"representation": curves.representation.name, "against": other} | gap
            for other in ("best", "half", "all")
            for gap in _gaps(scores["chosen"], scores[other])
        ]
        return pd.DataFrame(rows)[columns], pd.DataFrame(gaps)

    def lexical(self) -> pd.DataFrame:
        """The baseline that knows words and nothing else."""
        rows = []
        for task in self.suite.tasks:
            evaluation = self._evaluate(task, tfidf(task.texts)[None])
            rows.append(_row(LEXICAL, self.model.name, None, task, evaluation, place=0))
        return _typed(pd.DataFrame(rows))

    def _evaluate(self, task: Task, vectors: Float[np.ndarray, "layer text d"]) -> Evaluation:
        return evaluate(task, vectors, resamples=self.resamples, seed=self.seed)

    def _vectors(self, task: Task, representation: Representation, layer: int) -> Float[np.ndarray, "text d"]:
        return self.extraction.vectors(representation.reading, layer, [self.places[text] for text in task.texts])

    def _chunks(
        self, task: Task, representation: Representation, layers: Sequence[int]
    ) -> Iterator[Float[np.ndarray, "layer text d"]]:
        """A task's vectors, as many layers at once as fit in memory."""
        width = self.model.sizes.width(representation.reading.stream)
        at_once = max(1, _CHUNK_BYTES // (4 * width * len(task.texts)))
        for start in range(0, len(layers), at_once):
            yield np.stack([self._vectors(task, representation, layer) for layer in layers[start : start + at_once]])

    def _mean(self, task: Task, curves: _Scored, layers: LayerSet) -> Float[np.ndarray, "one text d"]:
        total = sum(self._vectors(task, curves.representation, layer).astype(np.float64) for layer in layers)
        return (np.asarray(total) / len(layers)).astype(np.float32)[None]


def _check(model: Model, suite: Suite, layers: LayerSet | None) -> None:
    if not suite.tasks:
        raise TaskError("The suite has no tasks. Name at least one, or use --suite builtin.")
    if layers is not None and max(layers) > model.n_layers:
        raise SiteError(
            f"{model.name} has layers 1..{model.n_layers}; {max(layers)} was asked for. "
            "Count from 1; 0 is the input of the first block."
        )


def _row_places(suite: Suite) -> dict[str, int]:
    """Where each different text of a suite is among all of them."""
    return {
        text: place for place, text in enumerate(dict.fromkeys(chain.from_iterable(task.texts for task in suite.tasks)))
    }


def _stack(parts: Sequence[Evaluation]) -> Evaluation:
    score = np.concatenate([part.score for part in parts])
    return Evaluation(score, np.concatenate([part.replicates for part in parts]), parts[0].n, parts[0].unit)


def _candidates(curves: _Scored, model: Model) -> LayerCurves:
    """The curves of the layers that can be chosen: those from 1, a block each; nan scores count as 0."""
    keep = [place for place, layer in enumerate(curves.layers) if layer > 0]
    tasks = tuple(
        TaskCurve(task.name, task.task_type, np.nan_to_num(found.score[keep]), np.nan_to_num(found.replicates[keep]))
        for task, found in curves.tasks
    )
    return LayerCurves(model.n_layers, tuple(curves.layers[place] for place in keep), tasks)


def _tidy(curves: _Scored, model: Model) -> pd.DataFrame:
    rows = [
        _row(curves.representation.name, model.name, layer, task, evaluation, place=place)
        | {"depth": layer / model.n_layers}
        for task, evaluation in curves.tasks
        for place, layer in enumerate(curves.layers)
    ]
    return _typed(pd.DataFrame(rows))


def _row(
    representation: str, model: str, layer: int | None, task: Task, evaluation: Evaluation, *, place: int
) -> dict[str, Any]:
    low, high = evaluation.interval()
    return {
        "model": model,
        "representation": representation,
        "layer": layer,
        "depth": None,
        "task": task.name,
        "task_type": task.task_type,
        "metric": task.metric,
        "score": float(evaluation.score[place]),
        "low": float(low[place]),
        "high": float(high[place]),
        "n": evaluation.n,
    }


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"layer": "Int64", "depth": "Float64"})


def _gaps(
    chosen: Sequence[tuple[Task, Evaluation]], other: Sequence[tuple[Task, Evaluation]]
) -> Iterator[dict[str, Any]]:
    """The difference of two sets with its paired interval, by task type and over all types."""
    ours, theirs = _single(chosen), _single(other)
    for task_type in (*ours.task_types, "average"):
        mine, yours = (
            curves.average() if task_type == "average" else curves.of_type(task_type) for curves in (ours, theirs)
        )
        gap = paired_difference(mine.replicates[0], yours.replicates[0])
        difference = float(mine.score[0] - yours.score[0])
        yield {"task_type": task_type, "difference": difference, "low": float(gap.low), "high": float(gap.high)}


def _single(scores: Sequence[tuple[Task, Evaluation]]) -> LayerCurves:
    """The scores of one averaged embedding as curves of one point."""
    tasks = tuple(TaskCurve(task.name, task.task_type, found.score, found.replicates) for task, found in scores)
    return LayerCurves(1, (1,), tasks)


def _records(table: pd.DataFrame, *, drop: str) -> list[dict[str, Any]]:
    return table.drop(columns=drop).to_dict(orient="records")
