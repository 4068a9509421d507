"""Many tests at once: p values corrected so that the chance of any false rejection stays what was asked for."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def holm(p: Float[np.ndarray, "*batch test"]) -> Float[np.ndarray, "*batch test"]:
    """Return Holm's step-down adjusted p values (1979, Scandinavian Journal of Statistics 6).

    Rejecting where the adjusted p is at most .05 makes any false rejection at most 5 % likely, however the tests depend on
    each other.

    Args:
        p: p values [..., test], corrected over the last axis. A nan (a test that could not be made) does not count as a
            test.

    Returns:
        The adjusted p values [..., test], at most 1; nan stays nan.

    """
    order = np.argsort(p, axis=-1)  # puts nan last
    tests = (~np.isnan(p)).sum(axis=-1, keepdims=True)
    scaled = np.take_along_axis(p, order, axis=-1) * (tests - np.arange(p.shape[-1]))
    adjusted = np.empty_like(scaled)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(scaled, axis=-1), 1.0), axis=-1)
    return adjusted
