"""How alike different vectors are, and how many directions they fill."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def mean_cosine(
    vectors: Float[np.ndarray, "text d"], counts: Int[np.ndarray, "resample text"], *, centred: bool
) -> tuple[float, Float[np.ndarray, " resample"]]:
    """Return the mean cosine over pairs of different texts, and the same in each resample of the texts.

    `counts` says how often each text is drawn in each resample. `centred` takes the mean vector of all texts off first, the
    same in every resample. A vector of length 0 is alike to none.
    """
    exact = vectors.astype(np.float64)
    if centred:
        exact -= exact.mean(axis=0)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = np.divide(exact, lengths, out=np.zeros_like(exact), where=lengths > 0)
    weights = np.vstack([np.ones((1, len(unit))), counts])
    own = np.square(weights) @ np.square(unit).sum(axis=1)
    pairs = np.square(weights.sum(axis=1)) - np.square(weights).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (np.square(weights @ unit).sum(axis=1) - own) / pairs  # nan where one text alone was drawn
    return float(means[0]), means[1:]


def effective_rank(vectors: Float[np.ndarray, "text d"]) -> float:
    """Return how many directions vectors fill: exp of the entropy of their squared singular values as shares (0 for none).

    The matrix entropy of arXiv 2502.02013 with alpha = 1, as a number of directions. The vectors are taken as they are: one
    that is far longer than the rest, or a direction that all share, leaves little more than 1.
    """
    exact = vectors.astype(np.float64)
    gram = exact @ exact.T if len(exact) < exact.shape[1] else exact.T @ exact
    squares = np.clip(np.linalg.eigvalsh(gram), 0, None)
    if not squares.sum() > 0:
        return 0.0
    shares = squares[squares > 0] / squares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
