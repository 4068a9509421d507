"""How many directions a cloud of vectors really fills: the TwoNN estimate of its intrinsic dimension.

Facco, d'Errico, Rodriguez and Laio, "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
Scientific Reports 7 (2017). Around a point of a d-dimensional cloud the ratio μ of the distances to the second and the first
neighbour has P(μ ≤ m) = 1 - m^-d, wherever the density is about constant over those two; so -log(1 - F) is d log μ.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from valens.errors import ResultError

_FEWEST = 3
"""A point and two neighbours."""


def two_nn(vectors: Float[np.ndarray, "text d"], *, discard: float = 0.1) -> float:
    """Return the TwoNN estimate: the slope, through the origin, of -log(1 - F) on log μ.

    F is the share of points with a ratio up to μ. The estimate rises with the number of points while the neighbours get
    closer, so compare estimates from the same texts only.

    Args:
        vectors: the points [text, d]; vectors that are equal count once.
        discard: the share of the points with the largest ratios that is left out, in [0, 1): they are where the density
            changes. The default is the paper's.

    Returns:
        The dimension; nan for fewer than three different vectors, and for a grid, in which all neighbours are equally far.

    Raises:
        ResultError: a share outside [0, 1).

    """
    if not 0 <= discard < 1:
        raise ResultError(f"The share of points to leave out lies in [0, 1), as 0.1; got {discard}.")
    points = np.unique(vectors.astype(np.float64), axis=0)
    if len(points) < _FEWEST:
        return float("nan")
    ratios = np.sort(_ratios(points))
    used = ratios[: int(len(ratios) * (1 - discard))]
    share = np.arange(1, len(used) + 1) / len(ratios)
    x, below_one = np.log(used), share < 1
    x, y = x[below_one], -np.log1p(-share[below_one])
    return float(x @ y / (x @ x)) if x.any() else float("nan")


def _ratios(points: Float[np.ndarray, "point d"]) -> Float[np.ndarray, " point"]:
    """Return the distance to the second nearest other point over that to the nearest; points differ, so none is 0."""
    from sklearn.neighbors import NearestNeighbors

    centred = points - points.mean(axis=0)  # less of the distances is lost in rounding
    with threadpool_limits(1):
        distances, _ = NearestNeighbors(n_neighbors=_FEWEST, algorithm="brute").fit(centred).kneighbors(centred)
    return distances[:, 2] / distances[:, 1]
