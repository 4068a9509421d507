"""The metrics of the six task types, as mteb 2.26 defines them, on arrays."""

from __future__ import annotations

from valens.metrics.classifiers import classified, training_draws
from valens.metrics.clusters import cluster_draws, clustered, v_measure
from valens.metrics.correlation import spearman, weighted_spearman
from valens.metrics.cosines import l2_normalize, l2_normalize_float32, paired_cosine, search_cosine
from valens.metrics.ndcg import NDCG_CUT, Ndcg
from valens.metrics.pair_similarity import SIMILARITIES, pair_similarities, weighted_average_precision
from valens.metrics.ranking import average_precision, discounted_gain, top_k
from valens.metrics.search import nearest
from valens.metrics.seed import MTEB_SEED

__all__ = [
    "MTEB_SEED",
    "NDCG_CUT",
    "SIMILARITIES",
    "Ndcg",
    "average_precision",
    "classified",
    "cluster_draws",
    "clustered",
    "discounted_gain",
    "l2_normalize",
    "l2_normalize_float32",
    "nearest",
    "pair_similarities",
    "paired_cosine",
    "search_cosine",
    "spearman",
    "top_k",
    "training_draws",
    "v_measure",
    "weighted_average_precision",
    "weighted_spearman",
]
