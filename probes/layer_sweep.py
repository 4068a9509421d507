"""Which layers should an embedding average? Every layer alone on every task, and a layer set chosen from that (Figure 3).

Section 4.2 of arXiv 2602.01572. Each text of the suite is read once, at all layers; each layer's vectors are scored on each
task with the task's own metric; a selector turns the curves into a layer set; and the averaged embedding over that set is
scored beside the best single layer, the deep half and all layers. Every score has a 95 % bootstrap interval, and layers
are compared on the same resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from valens import extract
from valens.errors import SelectionError, SiteError
from valens.evaluation import Evaluation, evaluate
from valens.layers import LayerSet
from valens.lexical import tfidf
from valens.models import Model
from valens.progress import steps
from valens.provenance import provenance
from valens.representations import HS, VA, Representation
from valens.results import Result, records, replace, write_json
from valens.selectors import Choice, LayerCurves, TaskCurve, TopK, refuse_lacking, selector
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
    rivals: pd.DataFrame = field(repr=False)
    """How far the first representation is from the second, paired, with the chosen sets and with the best single layers:
    first, second, set, first_layers, second_layers, task_type, difference, low, high. Empty where one was swept."""

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
                "scores": _records_of(self.sets, name),
                "chosen_minus_other": _records_of(self.gaps, name),
            }
            for name, choice in self.choices.items()
        }

    def save(self, folder: str | Path) -> Path:
        """Write the result, `layers.json`, `figure3.pdf` and `figure3.png` into a folder."""
        from valens.plotting import save_figure

        out = self.result.save(folder)
        first, *_ = self.choices
        sets = self.to_json()
        content = {"representation": first, **sets[first], "representations": sets, "rivals": records(self.rivals)}
        replace(out / "layers.json", lambda path: write_json(path, content))
        save_figure(self.plot(), out, "figure3")
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
    refuse_lacking(chooser, [task.task_type for task in suite.tasks])
    _refuse_layers(model, representations, layers)
    job = plan(model, suite, representations, store=store, max_tokens=max_tokens, on_long=on_long)
    extraction = job.run()
    bench = _Bench(model, suite, extraction, _row_places(suite), resamples, seed)
    tables, choices, averaged = [bench.lexical()], {}, {}
    for representation in representations:
        curves = bench.curves(representation, layers)
        tables.append(_tidy(curves, model))
        choice = choices[representation.name] = chooser.select(_candidates(curves, model))
        averaged[representation.name] = bench.averaged(curves, choice)
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
    result = Result(KIND, pd.concat(tables, ignore_index=True), facts)
    return Sweep(result, choices, _set_table(averaged), _gap_table(averaged), _rival_table(averaged))


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
            f"A sweep compares representations of one prompt; {len(representations)} representations of {len(prompts)} "
            "prompts were given. Sweep one or more that share their prompt."
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
class _Averaged:
    """An embedding that averages a layer set, scored on every task."""

    layers: LayerSet
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
        wanted = _wanted(self.model, representation, layers)
        evaluations = []
        with steps(f"Scoring {representation}", len(self.suite.tasks)) as step:
            for task in self.suite.tasks:
                parts = [self._evaluate(task, vectors) for vectors in self._chunks(task, representation, wanted)]
                evaluations.append((task, _stack(parts)))
                step()
        return _Scored(representation, wanted, tuple(evaluations))

    def averaged(self, curves: _Scored, choice: Choice) -> dict[str, _Averaged]:
        """The averaged embedding over the chosen set, the best single layer, the deep half and all layers."""
        best = TopK(k=1, name="best").select(_candidates(curves, self.model)).layers
        n_layers = self.model.n_layers
        sets = {"chosen": choice.layers, "best": best, "half": LayerSet.half(n_layers), "all": LayerSet.all(n_layers)}
        scored = {layers: _Averaged(layers, self._score(curves, layers)) for layers in dict.fromkeys(sets.values())}
        return {name: scored[layers] for name, layers in sets.items()}

    def lexical(self) -> pd.DataFrame:
        """The baseline that knows words and nothing else."""
        rows = []
        for task in self.suite.tasks:
            evaluation = self._evaluate(task, tfidf(task.texts)[None])
            rows.append(_row(LEXICAL, self.model, None) | _numbers(task, evaluation, place=0))
        return _typed(rows)

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

    def _score(self, curves: _Scored, layers: LayerSet) -> tuple[tuple[Task, Evaluation], ...]:
        return tuple((task, self._evaluate(task, self._mean(task, curves, layers))) for task in self.suite.tasks)

    def _mean(self, task: Task, curves: _Scored, layers: LayerSet) -> Float[np.ndarray, "one text d"]:
        total = sum(self._vectors(task, curves.representation, layer).astype(np.float64) for layer in layers)
        return (np.asarray(total) / len(layers)).astype(np.float32)[None]


def _wanted(model: Model, representation: Representation, layers: LayerSet | None) -> tuple[int, ...]:
    """The layers of a representation that are to be scored."""
    there = representation.reading.layers(model.n_layers)
    return tuple(layer for layer in there if layers is None or layer in layers)


def _refuse_layers(model: Model, representations: Sequence[Representation], layers: LayerSet | None) -> None:
    if layers is not None and max(layers) > model.n_layers:
        raise SiteError(
            f"{model.name} has layers 1..{model.n_layers}; {max(layers)} was asked for. "
            "Count from 1; 0 is the input of the first block."
        )
    barren = [name for name in representations if not any(_wanted(model, name, layers))]
    if barren:
        raise SiteError(
            f"There is nothing to choose for {barren[0]} in the layers {layers}. Give one or more of "
            f"1..{model.n_layers}; 0, the input of the first block, is scored for comparison and never chosen."
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
        _row(curves.representation.name, model, layer) | _numbers(task, evaluation, place=place)
        for task, evaluation in curves.tasks
        for place, layer in enumerate(curves.layers)
    ]
    return _typed(rows)


def _row(representation: str, model: Model, layer: int | None) -> dict[str, Any]:
    depth = None if layer is None else layer / model.n_layers
    return {"model": model.name, "representation": representation, "layer": layer, "depth": depth}


def _numbers(task: Task, evaluation: Evaluation, *, place: int) -> dict[str, Any]:
    low, high = evaluation.interval()
    return {
        "task": task.name,
        "task_type": task.task_type,
        "metric": task.metric,
        "score": float(evaluation.score[place]),
        "low": float(low[place]),
        "high": float(high[place]),
        "n": evaluation.n,
    }


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"layer": "Int64", "depth": "Float64"})


def _set_table(averaged: Mapping[str, Mapping[str, _Averaged]]) -> pd.DataFrame:
    rows = [
        {"representation": name, "set": kind, "layers": str(one.layers)} | _numbers(task, evaluation, place=0)
        for name, sets in averaged.items()
        for kind, one in sets.items()
        for task, evaluation in one.tasks
    ]
    return pd.DataFrame(rows)


def _gap_table(averaged: Mapping[str, Mapping[str, _Averaged]]) -> pd.DataFrame:
    rows = [
        {"representation": name, "against": kind} | gap
        for name, sets in averaged.items()
        for kind in ("best", "half", "all")
        for gap in _gaps(sets["chosen"], sets[kind])
    ]
    return pd.DataFrame(rows)


def _rival_table(averaged: Mapping[str, Mapping[str, _Averaged]]) -> pd.DataFrame:
    names = list(averaged)[:2]
    if len(names) == 1:
        return pd.DataFrame()
    rows = []
    for kind in ("chosen", "best"):
        first, second = (averaged[name][kind] for name in names)
        what = {"first": names[0], "second": names[1], "set": kind}
        what |= {"first_layers": str(first.layers), "second_layers": str(second.layers)}
        rows += [what | gap for gap in _gaps(first, second)]
    return pd.DataFrame(rows)


def _gaps(one: _Averaged, other: _Averaged) -> Iterator[dict[str, Any]]:
    """The difference of two embeddings with its paired interval, by task type and over all types."""
    ours, theirs = _single(one), _single(other)
    for task_type in (*ours.task_types, "average"):
        mine, yours = (
            curves.average() if task_type == "average" else curves.of_type(task_type) for curves in (ours, theirs)
        )
        gap = paired_difference(mine.replicates[0], yours.replicates[0])
        difference = float(mine.score[0] - yours.score[0])
        yield {"task_type": task_type, "difference": difference, "low": float(gap.low), "high": float(gap.high)}


def _single(averaged: _Averaged) -> LayerCurves:
    """The scores of one averaged embedding as curves of one point."""
    tasks = tuple(TaskCurve(task.name, task.task_type, found.score, found.replicates) for task, found in averaged.tasks)
    return LayerCurves(1, (1,), tasks)


def _records_of(table: pd.DataFrame, representation: str) -> list[dict[str, Any]]:
    return records(table[table.representation == representation].drop(columns="representation"))
