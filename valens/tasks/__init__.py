"""Labelled data in six shapes, each with the metric that is asked of it.

A task holds its different texts once, in `texts`; every other field names them by their position there. So a text is
embedded once however often it is compared, and a scorer needs vectors in the order of `texts`, no strings.
"""

from __future__ import annotations

from valens.tasks.classification import Classification
from valens.tasks.clustering import Clustering
from valens.tasks.pair_classification import PairClassification
from valens.tasks.reranking import Reranking
from valens.tasks.retrieval import Retrieval
from valens.tasks.sts import Sts
from valens.tasks.suite import LeftOut, Suite, Task

__all__ = [
    "Classification",
    "Clustering",
    "LeftOut",
    "PairClassification",
    "Reranking",
    "Retrieval",
    "Sts",
    "Suite",
    "Task",
]
