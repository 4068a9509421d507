"""The metrics of the six task types, as mteb 2.26 defines them, on arrays."""

from __future__ import annotations

from valens.metrics.classifiers import classified, training_draws
from valens.metrics.clusters import cluster_draws, clustered, v_measure
from valens.metrics.correlation import spearman, weighted_spearman
from valens.metrics.cosines import paired_cosine, search_cosine, short, unit
from valens.metrics.gains import NDCG_CUT, Gains
from valens.metrics.likeness import SIMILARITIES, pair_similarities, weighted_average_precision
from valens.metrics.ranking import average_precision, discounted_gain, leading
from valens.metrics.search import nearest
from valens.metrics.seed import MTEB_SEED

__all__ = [
    "MTEB_SEED",
    "NDCG_CUT",
    "SIMILARITIES",
    "Gains",
    "average_precision",
    "classified",
    "cluster_draws",
    "clustered",
    "discounted_gain",
    "leading",
    "nearest",
    "pair_similarities",
    "paired_cosine",
    "search_cosine",
    "short",
    "spearman",
    "training_draws",
    "unit",
    "v_measure",
    "weighted_average_precision",
    "weighted_spearman",
]
