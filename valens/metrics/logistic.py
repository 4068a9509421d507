"""Logistic regression in the span of the texts that it learns from: scikit-learn's fit, for a fraction of its time.

With an L2 penalty the weights are sums of the training vectors, and L-BFGS takes the same steps from zero in any orthonormal
basis: where 100 texts have 576 dimensions, 100 suffice. What scikit-learn stops by, the largest slope in the dimensions as
they were given, is looked at in those; so the two stop at the same step, and differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

_ITERATIONS = 100
_FLAT = 1e-4
_FTOL = 64 * np.finfo(float).eps
_LINE_SEARCH = 50
"""As mteb asks scikit-learn, and scikit-learn L-BFGS-B."""
_LONGEST = 16
"""Directions that are looked at before the others: as a rule one of them is not flat."""


def labels_by_span(
    train: Float[np.ndarray, "train d"],
    labels: Shaped[np.ndarray, " train"],
    test: Float[np.ndarray, "test d"],
    draws: Sequence[Sequence[int]],
) -> Shaped[np.ndarray, "draw test"]:
    """Fit a regression to each draw of the training texts, all in one basis; return the label it gives each test text."""
    basis, triangle = np.linalg.qr(train.astype(np.float64).T)
    coordinates, seen = triangle.T, test @ basis
    basis = basis[np.argsort(-np.linalg.norm(basis, axis=1), kind="stable")]
    return np.array([_given(coordinates[draw], labels[draw], seen, basis) for draw in draws])


def _given(
    train: Float[np.ndarray, "train r"],
    labels: Shaped[np.ndarray, " train"],
    test: Float[np.ndarray, "test r"],
    basis: Float[np.ndarray, "d r"],
) -> Shaped[np.ndarray, " test"]:
    names, indices = np.unique(labels, return_inverse=True)
    loss = Loss(train, indices == np.arange(len(names))[:, None], basis)
    weights = loss.least()
    scores = np.zeros((len(names), len(test)))
    scores[-len(weights) :] = weights[:, :-1] @ test.T + weights[:, -1:]
    return names[scores.argmax(axis=0)]


class Loss:
    """The mean cross-entropy of a draw with its penalty, and the slope where it was last asked for.

    The last weight of a label is its intercept, which is not penalised. Of two labels the first has no weights, as in
    scikit-learn.
    """

    def __init__(
        self,
        texts: Float[np.ndarray, "text r"],
        is_label: Shaped[np.ndarray, "label text"],
        basis: Float[np.ndarray, "d r"],
    ) -> None:
        n, width = texts.shape
        self._texts = np.vstack([texts.T, np.ones(n)])
        self._share = np.ascontiguousarray(self._texts.T / n)
        self._is_label = is_label.astype(np.float64)
        self._penalty = np.append(np.full(width, 1 / n), 0.0)
        self._directions = (basis[:_LONGEST].T, basis[_LONGEST:].T)
        self._n_free = len(is_label) if len(is_label) > 2 else 1  # noqa: PLR2004
        self._slope = np.zeros((self._n_free, width + 1))

    def least(self) -> Float[np.ndarray, "free weight"]:
        """Return the weights at which scikit-learn's fit stops."""
        from scipy.optimize import minimize

        start = np.zeros(self._slope.size)
        self(start)
        if self._is_flat():
            return start.reshape(self._slope.shape)
        options = {"maxiter": _ITERATIONS, "maxls": _LINE_SEARCH, "ftol": _FTOL, "gtol": 0.0}
        found = minimize(self, start, jac=True, method="L-BFGS-B", callback=self._stop_if_flat, options=options)
        return found.x.reshape(self._slope.shape)

    def __call__(self, weights: Float[np.ndarray, " number"]) -> tuple[float, Float[np.ndarray, " number"]]:
        """Return the loss and its slope."""
        free = weights.reshape(self._slope.shape)
        scores = np.zeros(self._is_label.shape)
        np.matmul(free, self._texts, out=scores[-self._n_free :])
        scores -= scores.max(axis=0)
        given = np.exp(scores)
        total = given.sum(axis=0)
        shrunk = free * self._penalty
        entropy = (np.log(total).sum() - np.vdot(self._is_label, scores)) / len(total)
        given /= total
        given -= self._is_label
        self._slope = given[-self._n_free :] @ self._share + shrunk
        return float(entropy + np.vdot(shrunk, free) / 2), self._slope.ravel()

    def _stop_if_flat(self, _: Float[np.ndarray, " number"]) -> None:
        """End the fit: a step ends where the loss was last asked for."""
        if self._is_flat():
            raise StopIteration

    def _is_flat(self) -> bool:
        """Whether no slope is above the threshold, in the dimensions as they were given."""
        slope, intercept = self._slope[:, :-1], self._slope[:, -1]
        return bool(
            np.abs(intercept).max() <= _FLAT
            and all(np.abs(slope @ part).max(initial=0.0) <= _FLAT for part in self._directions)
        )
