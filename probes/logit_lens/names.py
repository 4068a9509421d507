"""The lines of a logit lens by name, and what a rank counts; `probes.logit_lens.ranks` says what their vectors are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

METRIC = "MRR@100"

VA, VA_UNIFORM, WHS, WHS_BUT_FIRST, LHS, VA_SUM = "VA", "VA-uniform", "WHS", "WHS-but-first", "LHS", "VA-sum"
NAMES = (VA, VA_UNIFORM, WHS, WHS_BUT_FIRST, LHS, VA_SUM)

UNIGRAM = "unigram"
"""The baseline that knows how frequent tokens are, counted in the other split of the documents, and nothing else."""

NORMS = (False, True)
"""Without and with the model's final norm before the unembedding."""

ONE_NORM = {LHS: True, UNIGRAM: False}
"""What has one setting of the final norm: the model's own readout has it, and frequencies have none."""

BEST, HELD_OUT = "best layer", "held out"
"""How the layer of a line was chosen: as the one with the highest score, or on documents that are not scored."""


def reciprocal(ranks: Int[np.ndarray, "*shape"], cutoff: int = 100) -> Float[np.ndarray, "*shape"]:
    """1 / rank, and 0 beyond the cutoff: the mean of it is MRR@100 (appendix E of arXiv 2602.01572)."""
    return np.where(ranks <= cutoff, 1 / np.maximum(ranks, 1), 0.0)
