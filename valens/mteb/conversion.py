"""A task that mteb has loaded, as one of ours: the texts as an encoder would be given them, each once."""

from __future__ import annotations

import math
from typing import Any

from valens.errors import TaskError
from valens.mteb import labelled, search
from valens.mteb.texts import Texts, require, with_labels
from valens.tasks import PairClassification, Sts, Task

MAIN_SCORES = {
    "STS": "cosine_spearman",
    "PairClassification": "max_ap",
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "Clustering": "v_measure",
    "Classification": "accuracy",
}
"""The families, and what mteb calls the number by which ours are scored."""

_KINDS = {
    "STS": ("AbsTaskSTS",),
    "PairClassification": ("AbsTaskPairClassification",),
    "Retrieval": ("AbsTaskRetrieval",),
    "Reranking": ("AbsTaskRetrieval",),
    "Clustering": ("AbsTaskClustering", "AbsTaskClusteringLegacy"),
    "Classification": ("AbsTaskClassification",),
}


def check_scored_as_family(mteb_task: Any) -> None:
    """Refuse a task that is not scored as its family is."""
    if getattr(_kind(mteb_task), "_evaluate_subset", None) is not type(mteb_task)._evaluate_subset:
        raise TaskError(f"{mteb_task.metadata.name} is scored in a way of its own, which valens does not have.")


def _kind(mteb_task: Any) -> type | None:
    """Return the class of its family that a task is; None if it is none."""
    classes = {kind.__name__: kind for kind in type(mteb_task).__mro__ if kind.__module__.startswith("mteb.abstasks.")}
    return next((classes[name] for name in _KINDS[mteb_task.metadata.type] if name in classes), None)


def of_subset(mteb_task: Any, subset: str) -> Any:
    """Return the loaded data of one subset, by split."""
    return mteb_task.dataset.get(subset, mteb_task.dataset)


def converted(mteb_task: Any, name: str, subset: str, split: str) -> tuple[Task, tuple[str, ...]]:
    """Convert one subset and split of a loaded task; gives the task under this name, and notes for its reader."""
    data, family = of_subset(mteb_task, subset), mteb_task.metadata.type
    if family == "Classification":
        return labelled.classification(mteb_task, data, name, split)
    if family == "Clustering":
        of_sets = getattr(_kind(mteb_task), "__name__", "") == "AbsTaskClusteringLegacy"
        return (labelled.clustering_in_sets if of_sets else labelled.clustering)(mteb_task, data[split], name), ()
    if family in {"Retrieval", "Reranking"}:
        return (search.retrieval if family == "Retrieval" else search.reranking)(mteb_task, data[split], name), ()
    return (_sts if family == "STS" else _pair_classification)(mteb_task, data[split], name), ()


def _sts(mteb_task: Any, table: Any, name: str) -> Sts:
    one, other = mteb_task.column_names
    require(name, "data", table, one, other, "score")
    texts = Texts(name)
    first, second = (texts.indices(table[column], repr(column)) for column in (one, other))
    return Sts(name, texts.all, first, second, tuple(math.nan if x is None else float(x) for x in table["score"]))


def _pair_classification(mteb_task: Any, table: Any, name: str) -> PairClassification:
    one, other, label = mteb_task.input1_column_name, mteb_task.input2_column_name, mteb_task.label_column_name
    require(name, "data", table, one, other, label)
    columns = table[0] if len(table) == 1 else table  # older data hold all pairs in one row
    texts = Texts(name)
    first, second = (texts.indices(columns[column], repr(column)) for column in (one, other))
    same = tuple(value == 1 for value in with_labels(name, columns[label], label))
    return PairClassification(name, texts.all, first, second, same)
