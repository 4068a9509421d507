"""Tasks on made-up vectors whose truth is known."""

from __future__ import annotations

import numpy as np

from valens.tasks import Classification


def exchangeable(
    rng: np.random.Generator, *, labels: int, pool: int, test: int, width: int, each: int = 8
) -> tuple[Classification, np.ndarray]:
    """A classification, `pool` training texts a label, and two layers that see the same texts with noise of their own.

    What sets the labels apart is the same in every task, so that neither layer is the better one, nor any task the easier.
    """
    label = np.concatenate([np.repeat(np.arange(labels), pool), np.arange(test) % labels])
    centres = np.random.default_rng(99).normal(size=(labels, width))
    seen = centres[label] + rng.normal(size=(len(label), width))
    vectors = seen + 0.7 * rng.normal(size=(2, *seen.shape))
    items = range(len(label))
    train, tested = tuple(items[: labels * pool]), tuple(items[labels * pool :])
    names = tuple(map(str, items))
    return Classification("exchangeable", names, tuple(label.tolist()), train, tested, each), vectors
