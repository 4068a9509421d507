"""What is done to embeddings after the model: centring, scaling, directions taken off, whitening, projections.

Each is fitted on the embeddings of other texts than those that are judged, and is then a fixed affine map.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from valens.errors import PostprocessingError

NAMES = ("centred", "standardised", "abtt-D", "whitened-K", "pca-K", "random-K")
"""The kinds, with a number in place of D and K."""

_NOTATION = re.compile(
    r"(?P<kind>centred|standardised|(?P<numbered>abtt|whitened|pca|random)-(?P<number>[1-9][0-9]{0,5}))"
)
_FEWEST = 2
_WEAK = 1e-8


@dataclass(frozen=True)
class FittedPostprocessing:
    """A fixed affine map of embeddings: the offset is subtracted, then they are scaled or multiplied with the matrix."""

    name: str
    offset: Float[np.ndarray, " d"]
    matrix: Float[np.ndarray, "d k"] | Float[np.ndarray, " d"]
    """A matrix, or one factor a dimension."""
    n_texts: int
    """How many embeddings it was fitted on; 0 for a random projection."""

    def __call__(self, vectors: Float[np.ndarray, "text d"]) -> Float[np.ndarray, "text k"]:
        """Return the embeddings as they are after it, in float32."""
        if vectors.shape[-1] != len(self.offset):
            raise PostprocessingError(
                f"{self.name} was fitted on embeddings of {len(self.offset)} numbers; these have {vectors.shape[-1]}. "
                "Fit it on the same representation."
            )
        moved = vectors.astype(np.float64) - self.offset
        return (moved * self.matrix if self.matrix.ndim == 1 else moved @ self.matrix).astype(np.float32)


@dataclass(frozen=True)
class Postprocessing:
    """One way to change embeddings; `str` is its notation.

    Args:
        kind: `centred`: the mean embedding is subtracted. `standardised`: every dimension also gets variance 1 (Timkey & van
            Schijndel 2021, arXiv 2109.04404). `abtt`: all but the top, the mean and the first `number` principal directions
            are taken off (Mu & Viswanath 2018, arXiv 1702.01417). `whitened`: the first `number` principal components, each
            with variance 1, of a covariance that is shrunk (Su et al. 2021, arXiv 2103.15316; Ledoit & Wolf 2004). `pca`:
            the first `number` components as they are. `random`: a Gaussian matrix to `number` dimensions, fitted on nothing.
        number: D or K; 0 for the kinds without one.
        draw: which random matrix, from 0; for `random` alone.

    Raises:
        PostprocessingError: a kind that does not exist, or a number that it does not take.

    """

    kind: str
    number: int = 0
    draw: int = 0

    def __post_init__(self) -> None:
        """Refuse what `parse` could not read."""
        if _NOTATION.fullmatch(str(self)) is None:
            raise PostprocessingError(
                f"There is no post-processing {str(self)!r}. They are {', '.join(NAMES)}, as abtt-3 or whitened-64."
            )

    @classmethod
    def parse(cls, text: str) -> Postprocessing:
        """Read a notation such as `standardised`, `abtt-3` or `whitened-64`; PostprocessingError for anything else."""
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise PostprocessingError(
                f"There is no post-processing {text[:60]!r}. They are {', '.join(NAMES)}, as abtt-3 or whitened-64."
            )
        return cls(match["numbered"] or match["kind"], int(match["number"] or 0))

    def fit(self, vectors: Float[np.ndarray, "text d"]) -> FittedPostprocessing:
        """Fit it on embeddings.

        Args:
            vectors: embeddings of other texts than it is used on; `random` takes their width alone.

        Returns:
            The map.

        Raises:
            PostprocessingError: fewer texts than it needs, or more dimensions than there are.

        """
        n, d = vectors.shape
        self.check(n, d)
        if self.kind == "random":
            return FittedPostprocessing(str(self), np.zeros(d), _gaussian(d, self.number, self.draw), 0)
        moved = vectors.astype(np.float64)
        mean = moved.mean(axis=0)
        moved -= mean
        if self.kind == "centred":
            return FittedPostprocessing(str(self), mean, np.ones(d), n)
        if self.kind == "standardised":
            scale = moved.std(axis=0)
            return FittedPostprocessing(str(self), mean, 1 / np.where(scale > 0, scale, 1.0), n)
        return FittedPostprocessing(str(self), mean, self._matrix(moved), n)

    def check(self, n: int, d: int) -> None:
        """Raise PostprocessingError unless it can be fitted on `n` embeddings of `d` numbers."""
        components = self.number + 1
        needed = {"abtt": components, "pca": components, "whitened": d + 1, "random": 0}.get(self.kind, _FEWEST)
        if n < needed:
            raise PostprocessingError(
                f"{self} of embeddings with {d} numbers is fitted on {needed} texts or more; there are {n}. Give more "
                "texts to fit on."
            )
        if self.number > d - (self.kind == "abtt"):
            raise PostprocessingError(f"{self} needs embeddings of more numbers than {d}. Ask for fewer dimensions.")

    def _matrix(self, moved: Float[np.ndarray, "text d"]) -> Float[np.ndarray, "d k"]:
        """Return the matrix of abtt, pca or whitened, for embeddings whose mean was taken off."""
        from sklearn.covariance import ledoit_wolf

        if self.kind == "whitened":
            covariance, _ = ledoit_wolf(moved, assume_centered=True)
            variances, directions = np.linalg.eigh(covariance)
            top = np.argsort(variances, kind="stable")[::-1][: self.number]
            if not variances[top[-1]] > 0:
                raise PostprocessingError(
                    f"{self} needs embeddings that differ in {self.number} directions; those of the texts to fit on do not. "
                    "Give other texts."
                )
            return directions[:, top] / np.sqrt(variances[top])
        top = _principal_directions(moved, self.number)
        return top if self.kind == "pca" else np.eye(len(top)) - top @ top.T

    def __str__(self) -> str:
        """Return the notation."""
        return f"{self.kind}-{self.number}" if self.number else self.kind


def _principal_directions(moved: Float[np.ndarray, "text d"], number: int) -> Float[np.ndarray, "d number"]:
    """Return the first principal directions, for embeddings whose mean was taken off, with scikit-learn's signs.

    They come from the products of the texts, or of the dimensions if those are fewer: several times as fast as a singular
    value decomposition, which is left for directions so weak beside the first that their squares would be noise.
    """
    n, d = moved.shape
    variances, vectors = np.linalg.eigh(moved @ moved.T if n < d else moved.T @ moved)
    strengths, top = variances[::-1][:number], vectors[:, ::-1][:, :number]
    if strengths[-1] <= _WEAK * strengths[0]:
        top = np.linalg.svd(moved, full_matrices=False)[2][:number].T
    elif n < d:
        top = moved.T @ top / np.sqrt(strengths)
    return top * np.sign(np.take_along_axis(top, np.abs(top).argmax(axis=0)[None], axis=0))


@lru_cache(maxsize=8)
def _gaussian(d: int, width: int, draw: int) -> Float[np.ndarray, "d k"]:
    """Return a random matrix with variance 1 / width an entry, as sklearn.random_projection has it; read-only."""
    from sklearn.random_projection import GaussianRandomProjection

    matrix = GaussianRandomProjection(width, random_state=draw).fit(np.zeros((1, d))).components_.T
    matrix.setflags(write=False)
    return matrix
