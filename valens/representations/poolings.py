"""From the vectors of a text's tokens to one vector: every pooling is a row of weights.

Most weights follow from where the tokens stand, and sum to one. Some poolings see the vectors: their weights follow from the
lengths and distances of a text's vectors at each layer (`pooling_weights_of_vectors`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from valens.errors import RepresentationError
from valens.representations.thresholds import SINK_FACTOR

CUSTOM_MARK = "~"
"""Stands between the name of a user-defined pooling and the digits that distinguish it from others of that name."""

_WEISZFELD_STEPS = 20
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_TRIED = 64
"""User-defined poolings are distinguished by their weights for texts of 1 to this number of tokens."""
_CLOSE = 1e-4


class Pooling(StrEnum):
    """The ways in which the vectors of a text's pooled tokens become one."""

    MEAN = "mean"
    """The mean over the tokens; section 4.1 of arXiv 2602.01572."""
    LAST = "last"
    """The last token's vector."""
    WEIGHTED = "weighted"
    """The position-weighted mean: the i-th token weighs i (SGPT, arXiv 2202.08904)."""
    BUT_FIRST = "but-first"
    """The mean without the first pooled token, on which attention is often parked; of one token, that token."""
    BUT_FIRST_4 = "but-first:4"
    """The mean without the first four pooled tokens (StreamingLLM's sinks, arXiv 2309.17453); of four or fewer, of all."""
    LAST_MEAN = "last+mean"
    """Half the last token's vector and half the mean, added."""
    UNIT = "unit"
    """The mean after each token's vector was scaled to length 1."""
    UNSUNK = "unsunk"
    """The mean without tokens that are more than 5 times as long as the text's median token at that layer."""
    MEDIAN = "median"
    """The geometric median: the point with the least sum of distances to the tokens (Weiszfeld's algorithm, 20 steps)."""

    @property
    def sees_vectors(self) -> bool:
        """Whether the weights follow from the vectors, not from where tokens stand alone."""
        return self in {Pooling.UNIT, Pooling.UNSUNK, Pooling.MEDIAN}

    @property
    def left_out(self) -> int:
        """How many tokens at the beginning are left out, where a text has more."""
        return {Pooling.BUT_FIRST: 1, Pooling.BUT_FIRST_4: 4}.get(self, 0)

    @classmethod
    def named(cls, name: str) -> Pooling:
        """Return the pooling of this name; RepresentationError, with the names of all, if there is none."""
        try:
            return cls(name)
        except ValueError:
            raise RepresentationError(f"There is no pooling {name!r}. The poolings are {', '.join(cls)}.") from None


@dataclass(frozen=True)
class CustomPooling:
    """A user-defined pooling: a name, and a function that weighs the tokens of each text.

    `str` is the name and six digits that follow from the weights, so that a store never takes the vectors of one function
    for those of another with the same name.

    Args:
        name: small letters, digits and hyphens, beginning with a letter, as `first-ten`.
        weigh: takes the pooling mask [text, token], which is true for the tokens that may be pooled, and returns weights
            [text, token] in float32 on the same device. The weights of every text sum to 1, also of a text with one token.
            A token outside the mask weighs 0. Neither padding nor the other texts change the weights of a text.
            `valens.testing.check_pooling` tests this.

    Raises:
        RepresentationError: a name that a reading cannot be written with, or that is taken. Weights that break a rule
            raise it when they are first used.

    """

    name: str
    weigh: Callable[[Bool[Tensor, "text token"]], Float[Tensor, "text token"]] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a name that a reading cannot be written with, or that is taken."""
        if not _NAME.fullmatch(self.name) or self.name in set(Pooling):
            raise RepresentationError(
                f"{self.name!r} cannot name a user-defined pooling. Use small letters, digits and hyphens, as in "
                f"`first-ten`, and none of {', '.join(Pooling)}."
            )

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the weights for texts of 1 to 64 tokens, with all tokens pooled, and with all but the first."""
        every = torch.ones(_TRIED, _TRIED, dtype=torch.bool).tril()
        but_first = every[1:] & (torch.arange(_TRIED) > 0)
        parts = (
            torch.round(pooling_weights(self, pooling_mask) / _CLOSE).to(torch.int32)
            for pooling_mask in (every, but_first)
        )
        return hashlib.sha256(b"".join(part.numpy().astype("<i4").tobytes() for part in parts)).hexdigest()

    def __str__(self) -> str:
        """Return the name and the first six digits of the fingerprint."""
        return f"{self.name}{CUSTOM_MARK}{self.fingerprint[:6]}"


def pooling_weights(
    pooling: Pooling | CustomPooling, pooling_mask: Bool[Tensor, "text token"]
) -> Float[Tensor, "text token"]:
    """Weigh the tokens of each text.

    Args:
        pooling: how the tokens are pooled, by where they stand alone; for one that sees the vectors there is
            `pooling_weights_of_vectors`.
        pooling_mask: which tokens are pooled, [text, token]; every text has one or more.

    Returns:
        The weights [text, token], in float32: 0 outside the mask, and with the sum 1 for every text.

    Raises:
        RepresentationError: the weights of a user-defined pooling are not of this kind.

    """
    if isinstance(pooling, CustomPooling):
        return _checked(pooling, pooling_mask)
    position = pooling_mask.cumsum(dim=1) * pooling_mask
    last = (position == position.amax(dim=1, keepdim=True)).float() * pooling_mask
    if pooling is Pooling.LAST:
        return last
    if pooling is Pooling.LAST_MEAN:
        return (last + pooling_weights(Pooling.MEAN, pooling_mask)) / 2
    later = position > pooling.left_out
    pooled = torch.where(later.any(dim=1, keepdim=True), later, pooling_mask)
    weights = position.float() if pooling is Pooling.WEIGHTED else pooled.float()
    return weights / weights.sum(dim=1, keepdim=True)


def pooling_weights_of_vectors(
    pooling: Pooling, pooling_mask: Bool[Tensor, "text row token"], vectors: Float[Tensor, "text token d"]
) -> Float[Tensor, "text row token"]:
    """Weigh the tokens of each row of each text by their vectors.

    Args:
        pooling: `unit`, `unsunk` or `median`.
        pooling_mask: which of a text's tokens are pooled in each of its rows; every row has one or more.
        vectors: the tokens' vectors at one layer, in float32.

    Returns:
        The weights, 0 outside the mask. Those of `unsunk` and `median` sum to 1; those of `unit` are the mean's, divided by
        each token's length (a vector of zeros stays zeros).

    """
    mean = pooling_mask / pooling_mask.sum(dim=2, keepdim=True)
    if pooling is Pooling.MEDIAN:
        return _median_weights(mean, vectors)
    lengths = vectors.norm(dim=2)[:, None]
    if pooling is Pooling.UNIT:
        return mean / lengths.clamp(min=torch.finfo(torch.float32).tiny)
    pooled = pooling_mask & (lengths <= SINK_FACTOR * median_length(lengths, pooling_mask)[..., None])
    return pooled / pooled.sum(dim=2, keepdim=True)


def median_length(
    lengths: Float[Tensor, "text _ token"], pooling_mask: Bool[Tensor, "text row token"]
) -> Float[Tensor, "text row"]:
    """Return the median length of each row's tokens; of an even number, the lower of the two in the middle."""
    return torch.where(pooling_mask, lengths, torch.nan).nanmedian(dim=2).values


def _median_weights(
    mean: Float[Tensor, "text row token"], vectors: Float[Tensor, "text token d"]
) -> Float[Tensor, "text row token"]:
    """Return the weights that make the geometric median (Weiszfeld 1937), begun at the mean.

    Distances are kept above a millionth of the text's spread: a token that the median meets would weigh infinitely much.
    """
    weights, least = mean, None
    for _ in range(_WEISZFELD_STEPS):
        distances = torch.cdist(weights @ vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
        least = 1e-6 * (mean * distances).sum(dim=2, keepdim=True) if least is None else least
        near = mean / distances.clamp(min=least.clamp(min=torch.finfo(torch.float32).tiny))
        weights = near / near.sum(dim=2, keepdim=True)
    return weights


def _checked(pooling: CustomPooling, pooling_mask: Bool[Tensor, "text token"]) -> Float[Tensor, "text token"]:
    weights: Any = pooling.weigh(pooling_mask)
    if not isinstance(weights, Tensor) or weights.shape != pooling_mask.shape or weights.dtype != torch.float32:
        given = f"{list(weights.shape)} in {weights.dtype}" if isinstance(weights, Tensor) else type(weights).__name__
        raise RepresentationError(
            f"The pooling {pooling.name!r} must return a float32 tensor of shape {list(pooling_mask.shape)}, the shape of "
            f"its mask; it returned {given}."
        )
    sums = weights.sum(dim=1)
    wrong = (~((sums - 1).abs() < _CLOSE)).nonzero().flatten().tolist()  # NaN is wrong too
    if wrong:
        raise RepresentationError(_wrong_sum(pooling, wrong[0], float(sums[wrong[0]]), pooling_mask))
    if bool(weights[~pooling_mask].any()):
        raise RepresentationError(
            f"The pooling {pooling.name!r} gives weight to a token outside the mask. Multiply the weights with the mask, "
            "and divide by each text's sum afterwards."
        )
    return weights


def _wrong_sum(pooling: CustomPooling, row: int, total: float, pooling_mask: Bool[Tensor, "text token"]) -> str:
    """Say of which text the weights do not sum to 1, and what to do: it has none where they sum to 0, or to 0 / 0."""
    n_tokens = int(pooling_mask[row].sum())
    text = f"a text with {n_tokens} pooled token{'s' * (n_tokens != 1)} (row {row} of the mask, from 0)"
    if total == 0 or math.isnan(total):
        return (
            f"The pooling {pooling.name!r} gives no weight at all to {text}: its weights sum to {total:g}. Weights must sum "
            "to 1 for every text, so fall back where none is left, for example to all of the text's tokens: "
            "`keep = torch.where(keep.any(dim=1, keepdim=True), keep, pooling_mask)`."
        )
    return (
        f"The pooling {pooling.name!r} gives {text} weights that sum to {total:.4g}. They must sum to 1 for every text: "
        "divide them by their sum over the text's tokens."
    )
