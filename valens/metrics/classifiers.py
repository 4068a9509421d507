"""Labels learnt from a few examples, as mteb's classification does it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from valens.metrics.logistic import labels_by_span
from valens.metrics.seed import MTEB_SEED
from valens.metrics.workers import map_layers

_SECONDS_A_FIT = 2e-8
"""What a fit takes, about, over training texts times labels times width."""


def training_draws(
    labels: Sequence[str | int], samples_per_label: int, experiments: int, seed: int = MTEB_SEED
) -> list[list[int]]:
    """Draw the training texts of each classification experiment, at most `samples_per_label` of a label.

    mteb shuffles anew with the same seed but goes on from the order it left, so that the experiments differ.
    """
    order = list(range(len(labels)))
    draws = []
    for _ in range(experiments):
        np.random.RandomState(seed).shuffle(order)
        draws.append(_first_of_each(order, labels, samples_per_label))
    return draws


def classified(
    train: Float[np.ndarray, "layer train d"],
    labels: Shaped[np.ndarray, " train"],
    test: Float[np.ndarray, "layer test d"],
    draws: Sequence[Sequence[int]],
    *,
    seed: int = MTEB_SEED,
    by_span: bool = False,
) -> Shaped[np.ndarray, "layer experiment test"]:
    """Fit logistic regression to each draw of the training texts; return the label that it gives each test text.

    mteb stops the fit after 100 iterations, before it has converged on most residual streams, and so is the number that
    is compared with the world's: its ConvergenceWarning is expected here and is the one warning that is not passed on.
    For the same reason the last bits count: the number of threads alone moves up to a twentieth of the labels, and the
    accuracy by thousandths to either side. So it is with `by_span`, which fits in the span of the training texts, in a third
    of the time.
    """
    size = sum(map(len, draws)) * len(np.unique(labels)) * train[..., 0, :].size
    work = [(x, labels, y, draws, seed) for x, y in zip(train, test, strict=True)]
    fit = _by_span if by_span else _of_layer
    return np.array(list(map_layers(fit, work, n=len(work), seconds=size * _SECONDS_A_FIT)))


def _by_span(
    train: Float[np.ndarray, "train d"],
    labels: Shaped[np.ndarray, " train"],
    test: Float[np.ndarray, "test d"],
    draws: Sequence[Sequence[int]],
    _: int,
) -> Shaped[np.ndarray, "experiment test"]:
    return labels_by_span(train, labels, test, draws)


def _of_layer(
    train: Float[np.ndarray, "train d"],
    labels: Shaped[np.ndarray, " train"],
    test: Float[np.ndarray, "test d"],
    draws: Sequence[Sequence[int]],
    seed: int,
) -> Shaped[np.ndarray, "experiment test"]:
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(max_iter=100, random_state=seed).fit
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.filterwarnings("ignore", message="lbfgs failed to converge", category=ConvergenceWarning)
        return np.array([fit(train[draw], labels[draw]).predict(test) for draw in draws])


def _first_of_each(order: Sequence[int], labels: Sequence[str | int], limit: int) -> list[int]:
    """Return the positions in this order, of each label the first `limit`."""
    seen: Counter[str | int] = Counter()
    first = []
    for position in order:
        seen[labels[position]] += 1
        if seen[labels[position]] <= limit:
            first.append(position)
    return first
