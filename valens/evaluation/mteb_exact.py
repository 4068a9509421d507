"""Scores from mteb's own task classes and evaluators, on vectors that are there already.

Any task of ours will do, mteb's or not. Texts are given to mteb as numbers, by which the vectors are looked up.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from valens.errors import TaskError
from valens.evaluation.draws import clustering_items, training_items
from valens.mteb.conversion import MAIN_SCORES
from valens.mteb.library import preserve_rng_state
from valens.tasks import Classification, Clustering, PairClassification, Reranking, Retrieval, Sts, Task

MtebTask = Callable[[Any], float]
"""An mteb task that is ready: from an encoder to its main score."""


def exact_scores(task: Task, vectors: Float[np.ndarray, "layer text d"]) -> Float[np.ndarray, " layer"]:
    """Score each layer with mteb's evaluators on the draws that the task has. MissingPackageError without mteb.

    What an evaluator warns of, it warns of at every layer, and it is not passed on.
    """
    with preserve_rng_state() as mteb, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mteb_tasks = _MTEB_TASKS[type(task)](mteb.abstasks, task)
        return np.array(
            [np.mean([mteb_task(PrecomputedEncoder(layer)) for mteb_task in mteb_tasks]) for layer in vectors]
        )


class PrecomputedEncoder:
    """What mteb takes for an encoder: it looks up the vectors of texts that are numbers."""

    mteb_model_meta = None

    def __init__(self, vectors: Float[np.ndarray, "text d"]) -> None:
        self.vectors = vectors

    def encode(self, inputs: Iterable[dict[str, list[str]]], **_: object) -> Float[np.ndarray, "input d"]:
        """Look up the vectors of batches of texts."""
        return self.vectors[[int(text) for batch in inputs for text in batch["text"]]]

    def similarity(self, first: Any, second: Any) -> Any:
        """Return the cosine of every first vector with every second one."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(first, second)

    def similarity_pairwise(self, first: Any, second: Any) -> Any:
        """Return the cosine of each pair of vectors."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(first, second)


def _sts(abstasks: Any, task: Sts) -> list[MtebTask]:
    columns = {"sentence1": _names(task.first), "sentence2": _names(task.second), "score": list(task.gold)}
    return [_mteb_task(abstasks.AbsTaskSTS, task, {"test": _table(columns)})]


def _pair_classification(abstasks: Any, task: PairClassification) -> list[MtebTask]:
    columns = {"sentence1": _names(task.first), "sentence2": _names(task.second), "labels": list(map(int, task.same))}
    return [_mteb_task(abstasks.AbsTaskPairClassification, task, {"test": _table(columns)})]


def _retrieval(abstasks: Any, task: Retrieval) -> list[MtebTask]:
    documents = [f"d{index:09d}" for index in range(len(task.documents))]
    own = task.itself or (None,) * len(task.queries)
    queries = [f"q{row:09d}" if index is None else documents[index] for row, index in enumerate(own)]
    lost = task.missing or ((),) * len(task.queries)
    split = {
        "queries": _table({"id": queries, "text": _names(task.queries)}),
        "corpus": _table({"id": documents, "text": _names(task.documents)}),
        "relevant_docs": {
            query: {documents[index]: grade for index, grade in grades.items()} | _absent(grades_lost)
            for query, grades, grades_lost in zip(queries, task.relevant, lost, strict=True)
        },
        "top_ranked": None,
    }
    settings = {"ignore_identical_ids": bool(task.itself)}
    return [_mteb_task(abstasks.AbsTaskRetrieval, task, {"default": {"test": split}}, settings)]


def _reranking(abstasks: Any, task: Reranking) -> list[MtebTask]:
    queries = [f"q{row:06d}" for row in range(len(task.queries))]
    lists = {
        query: [f"{query}-{index:06d}" for index in range(len(candidates))]
        for query, candidates in zip(queries, task.candidates, strict=True)
    }
    texts = [name for candidates in task.candidates for name in _names(candidates)]
    lost = task.missing or (0,) * len(queries)
    split = {
        "queries": _table({"id": queries, "text": _names(task.queries)}),
        "corpus": _table({"id": [document for row in lists.values() for document in row], "text": texts}),
        "relevant_docs": {
            query: dict(zip(lists[query], map(int, relevant), strict=True)) | _absent((1,) * n)
            for query, relevant, n in zip(queries, task.relevant, lost, strict=True)
        },
        "top_ranked": lists,
    }
    return [_mteb_task(abstasks.AbsTaskRetrieval, task, {"default": {"test": split}})]


def _classification(abstasks: Any, task: Classification) -> list[MtebTask]:
    learnt, draws = training_items(task)

    def drawn(_: Any, table: Any, experiment: int, idxs: Any = None) -> tuple[Any, Any, list[int]]:
        return table.select(draws[experiment]), idxs, draws[experiment]

    def part(items: Iterable[int]) -> Any:
        chosen = list(items)
        return _table({"text": _names(task.rows[i] for i in chosen), "label": [task.labels[i] for i in chosen]})

    settings = {"n_experiments": len(draws), "_undersample_data": drawn}
    from datasets import DatasetDict

    parts = DatasetDict(train=part(learnt), test=part(task.test))
    return [_mteb_task(abstasks.AbsTaskClassification, task, parts, settings)]


def _clustering(abstasks: Any, task: Clustering) -> list[MtebTask]:
    """Make a task a run: the runs may cluster different items into different numbers of clusters."""
    mteb_tasks = []
    for draw, n_clusters in zip(*clustering_items(task), strict=True):
        items = _items_of(task, set(draw.tolist()), n_clusters)
        index_of = {item: index for index, item in enumerate(items)}
        columns = {"sentences": _names(task.rows[i] for i in items), "labels": [str(task.labels[i]) for i in items]}
        settings = {
            "max_fraction_of_documents_to_embed": None,
            "max_documents_per_cluster": len(draw),
            "n_clusters": 1,
            "k_mean_batch_size": task.batch_size,
            "rng_state": _FixedDraw([index_of[item] for item in draw.tolist()]),
        }
        mteb_tasks.append(_mteb_task(abstasks.AbsTaskClustering, task, {"test": _table(columns)}, settings))
    return mteb_tasks


def _items_of(task: Clustering, drawn: set[int], n_clusters: int) -> list[int]:
    """Return items, the drawn ones among them, of as many labels as there are clusters: mteb counts the labels."""
    for items in (sorted(drawn), range(len(task.rows))):
        if len({task.labels[item] for item in items}) == n_clusters:
            return list(items)
    raise TaskError(
        f"{task.name} has a draw without one of its {n_clusters} labels, which mteb's evaluators cannot part."
    )


class _FixedDraw:
    """Stands for mteb's random generator, and draws the items of one run."""

    def __init__(self, indices: list[int]) -> None:
        self.indices = indices

    def choices(self, _: range, k: int) -> list[int]:
        return self.indices[:k]


_MTEB_TASKS: dict[type, Callable[..., list[MtebTask]]] = {
    Sts: _sts,
    PairClassification: _pair_classification,
    Retrieval: _retrieval,
    Reranking: _reranking,
    Clustering: _clustering,
    Classification: _classification,
}


def _mteb_task(kind: type, task: Task, data: Any, settings: dict[str, Any] | None = None) -> MtebTask:
    """Make an instance of one of mteb's classes that holds these data, on which each layer is scored."""
    from mteb import TaskMetadata

    metadata = TaskMetadata(
        name=task.name,
        description="A task on vectors that were computed before.",
        dataset={"path": "none", "revision": "none"},
        type=cast("Any", task.task_type),
        eval_langs=["eng-Latn"],
        main_score=MAIN_SCORES[task.task_type],
    )
    mteb_task = type("MtebTask", (kind,), {"metadata": metadata})()
    mteb_task.dataset, mteb_task.data_loaded = data, True
    for name, value in (settings or {}).items():
        setattr(mteb_task, name, value.__get__(mteb_task) if callable(value) else value)
    return lambda encoder: mteb_task.evaluate(encoder, split="test", encode_kwargs={"show_progress_bar": False})[
        "default"
    ]["main_score"]


def _names(positions: Iterable[int]) -> list[str]:
    return [str(position) for position in positions]


def _absent(grades: Iterable[int]) -> dict[str, int]:
    """Name documents that are in no list, each with its grade."""
    return {f"absent{number}": grade for number, grade in enumerate(grades)}


def _table(columns: Mapping[str, object]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(dict(columns))
