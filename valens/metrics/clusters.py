"""Clusters by mini-batch k-means, and how well they are the labels, as mteb's clustering does it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import entr

from valens.metrics.seed import MTEB_SEED
from valens.metrics.workers import map_layers

_SECONDS_A_DRAW = 1e-9
"""What a run takes, about, over texts times clusters times width."""


def v_measure(table: Shaped[np.ndarray, "*batch label cluster"]) -> Float[np.ndarray, "*batch"]:
    """Return the V-measure of a table that counts (or weighs) the texts of each label in each cluster.

    It is 2 I / (H(label) + H(cluster)) in any case but two, in which it is what scikit-learn says: 1 if there is but one
    label and one cluster, 0 if there is but one of either. nan for a table that holds nothing.
    """
    cells = table.reshape(*table.shape[:-2], -1)
    filled = cells[..., cells.reshape(-1, cells.shape[-1]).any(axis=0)]
    total = cells.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        label = entr(table.sum(axis=-1) / total).sum(axis=-1)
        cluster = entr(table.sum(axis=-2) / total).sum(axis=-1)
        pair = entr(filled / total).sum(axis=-1)  # most cells are empty in all tables, and say nothing
    both = label + cluster
    information = np.maximum(both - pair, 0.0)
    return np.where(both == 0, 1.0, 2 * information / np.where(both == 0, 1.0, both))


def cluster_draws(
    n_texts: int, sample: int, experiments: int, seed: int = MTEB_SEED
) -> Int[np.ndarray, "experiment draw"]:
    """Draw the texts that each clustering experiment looks at, with replacement."""
    rng = random.Random(seed)
    return np.array([rng.choices(range(n_texts), k=sample) for _ in range(experiments)])


def clustered(
    vectors: Float[np.ndarray, "layer text d"],
    draws: Sequence[Int[np.ndarray, " _"]],
    *,
    n_clusters: Sequence[int],
    batch_size: int = 512,
    seed: int = MTEB_SEED,
    by_span: bool = False,
) -> list[list[Int[np.ndarray, " _"]]]:
    """Cluster each draw of texts at each layer by mini-batch k-means, one fit a draw.

    With `by_span` the vectors are turned so that they have no more numbers than there are texts: the same distances, but for
    rounding, in two thirds of the time.
    """
    size = sum(len(draw) * n for draw, n in zip(draws, n_clusters, strict=True)) * vectors[..., 0, :].size
    work = [(layer, draws, n_clusters, batch_size, seed) for layer in vectors]
    fit = _by_span if by_span else _of_layer
    return list(map_layers(fit, work, n=len(work), seconds=size * _SECONDS_A_DRAW))


def _by_span(
    vectors: Float[np.ndarray, "text d"],
    draws: Sequence[Int[np.ndarray, " _"]],
    n_clusters: Sequence[int],
    batch_size: int,
    seed: int,
) -> list[Int[np.ndarray, " _"]]:
    triangle: Any = np.linalg.qr(vectors.astype(np.float64).T, mode="r")
    return _of_layer(triangle.T.copy(), draws, n_clusters, batch_size, seed)


def _of_layer(
    vectors: Float[np.ndarray, "text d"],
    draws: Sequence[Int[np.ndarray, " _"]],
    n_clusters: Sequence[int],
    batch_size: int,
    seed: int,
) -> list[Int[np.ndarray, " _"]]:
    from sklearn import config_context
    from sklearn.cluster import MiniBatchKMeans

    with config_context(assume_finite=True, skip_parameter_validation=True):
        return [
            MiniBatchKMeans(n, init="k-means++", n_init=1, batch_size=batch_size, random_state=seed).fit_predict(
                vectors[draw]
            )
            for draw, n in zip(draws, n_clusters, strict=True)
        ]
