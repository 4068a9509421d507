"""The lines of a logit lens by name, and what a rank counts; `valens.lens` says what their vectors are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

VA, VA_UNIFORM, WHS, LHS, VA_SUM = "VA", "VA-uniform", "WHS", "LHS", "VA-sum"
NAMES = (VA, VA_UNIFORM, WHS, LHS, VA_SUM)

NORMS = (False, True)
"""Without and with the model's final norm before the unembedding."""


def reciprocal(ranks: Int[np.ndarray, "*shape"], cutoff: int = 100) -> Float[np.ndarray, "*shape"]:
    """1 / rank, and 0 beyond the cutoff: the mean of it is MRR@100 (appendix E of arXiv 2602.01572)."""
    return np.where(ranks <= cutoff, 1 / np.maximum(ranks, 1), 0.0)
