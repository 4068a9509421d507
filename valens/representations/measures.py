"""A few numbers about a text's vectors at a layer, measured in the pass that reads them: lengths, massive activations.

They are kept in a store as a pooled vector is, one row a text and layer, so that a mean can be judged without the tokens.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from valens.representations.poolings import median_length
from valens.representations.thresholds import SINK_FACTOR

MASSIVE = (100, 1000)
"""An activation is massive above 100 and 1,000 times the text's median magnitude (Sun et al. 2024, arXiv 2402.17762)."""


class Measure(StrEnum):
    """What is measured of a text's tokens instead of pooling them; `MEASURED` has the numbers of each, in their order."""

    SHARES = "shares"
    """How much of the mean one token makes: x_i · m / (n |m|²) for the mean m of n tokens x_i; all tokens' sum to 1."""
    LENGTHS = "lengths"
    """How long the first token is, the others, and the longest; and the tokens that `unsunk` leaves out."""
    MASSIVE = "massive"
    """The largest activation, and how many are massive."""
    MASSIVE_BY_DIMENSION = "massive-by-dimension"
    """In how many tokens each dimension is massive."""
    TO_FIRST = "to-first"
    """The attention that each head pays to the first pooled token, averaged over the pooled queries; of `pattern` alone."""


MEASURED = {
    Measure.SHARES: ("first", "largest"),
    Measure.LENGTHS: ("first", "median_of_others", "longest", "position_of_longest", "sunk", "share_of_sunk"),
    Measure.MASSIVE: ("largest", "median", "position", "activations", "tokens"),
}
"""The names of a measure's numbers; the other two have one for each dimension of the stream, or for each head."""


def measured(
    measure: Measure, pooling_mask: Bool[Tensor, "text row token"], vectors: Float[Tensor, "text token d"]
) -> Float[Tensor, "text row number"]:
    """Measure the tokens' vectors of each text at one layer.

    Args:
        measure: what is measured, other than `to-first`.
        pooling_mask: which of a text's tokens are looked at in each of its rows; every row has one or more.
        vectors: the tokens' vectors, in float32.

    Returns:
        The numbers that `MEASURED` names, or one for each dimension.

    """
    if measure is Measure.SHARES:
        shares = _shares(pooling_mask, vectors)
        first = shares.gather(2, _first(pooling_mask))
        return torch.cat([first, shares.masked_fill(~pooling_mask, -torch.inf).amax(dim=2, keepdim=True)], dim=2)
    if measure is Measure.LENGTHS:
        return _lengths(pooling_mask, vectors)
    return torch.stack(
        [
            torch.stack([_massive(measure, tokens[row]) for row in rows])
            for tokens, rows in zip(vectors, pooling_mask, strict=True)
        ]
    )


def attention_to_first(
    pattern: Float[Tensor, "text head query key"], pooling_mask: Bool[Tensor, "text row query"]
) -> Float[Tensor, "text row head"]:
    """Average each head's attention to the first pooled token over the pooled queries (arXiv 2410.10781)."""
    weights = pooling_mask / pooling_mask.sum(dim=2, keepdim=True)
    by_key = torch.einsum("trq,thqk->trhk", weights, pattern.float())
    first = _first(pooling_mask)[..., None].expand(-1, -1, pattern.shape[1], -1)
    return by_key.gather(3, first)[..., 0]


def _first(pooling_mask: Bool[Tensor, "text row token"]) -> torch.Tensor:
    """Return the index of each row's first pooled token [text, row, 1]."""
    return pooling_mask.int().argmax(dim=2, keepdim=True)


def _shares(
    pooling_mask: Bool[Tensor, "text row token"], vectors: Float[Tensor, "text token d"]
) -> Float[Tensor, "text row token"]:
    """Return how much of each row's mean each token makes; 0 for a mean of no length."""
    weights = pooling_mask / pooling_mask.sum(dim=2, keepdim=True)
    mean = weights @ vectors
    squared = (mean * mean).sum(dim=2, keepdim=True)
    return weights * (mean @ vectors.mT) / squared.clamp(min=torch.finfo(torch.float32).tiny)


def _lengths(
    pooling_mask: Bool[Tensor, "text row token"], vectors: Float[Tensor, "text token d"]
) -> Float[Tensor, "text row number"]:
    lengths = vectors.norm(dim=2)[:, None].expand(pooling_mask.shape)
    first = _first(pooling_mask)
    others = pooling_mask.scatter(2, first, value=False)
    others = torch.where(others.any(dim=2, keepdim=True), others, pooling_mask)  # a text of one token
    longest = lengths.masked_fill(~pooling_mask, -1).max(dim=2)
    before = (pooling_mask.cumsum(dim=2) - 1).gather(2, longest.indices[..., None])
    sunk = pooling_mask & (lengths > SINK_FACTOR * median_length(lengths, pooling_mask)[..., None])
    share = (_shares(pooling_mask, vectors) * sunk).sum(dim=2)
    numbers = (
        lengths.gather(2, first)[..., 0],
        median_length(lengths, others),
        longest.values,
        before[..., 0].float(),
        sunk.sum(dim=2).float(),
        share,
    )
    return torch.stack(numbers, dim=2)


def _massive(measure: Measure, vectors: Float[Tensor, "token d"]) -> Float[Tensor, " number"]:
    """Measure one text's massive activations; the position is that of the largest, from 0 among the pooled tokens."""
    magnitudes = vectors.abs()
    median = magnitudes.median()
    above, times = MASSIVE
    is_massive = (magnitudes > above) & (magnitudes > times * median)
    if measure is Measure.MASSIVE_BY_DIMENSION:
        return is_massive.sum(dim=0).float()
    position = magnitudes.amax(dim=1).argmax()
    numbers = (magnitudes.max(), median, position, is_massive.sum(), is_massive.any(dim=1).sum())
    return torch.stack([number.float() for number in numbers])
