"""From the vectors of a text's tokens to one vector: every pooling is a row of weights that sum to one."""

from __future__ import annotations

from enum import StrEnum

from jaxtyping import Bool, Float
from torch import Tensor

from valens.errors import RepresentationError


class Pooling(StrEnum):
    """How the tokens that speak for a text become one vector."""

    MEAN = "mean"
    """The mean over the tokens; section 4.1 of arXiv 2602.01572."""
    LAST = "last"
    """The last token's vector."""
    WEIGHTED = "weighted"
    """The position-weighted mean: the i-th token weighs i (SGPT, arXiv 2202.08904)."""

    @classmethod
    def named(cls, name: str) -> Pooling:
        """The pooling of this name; raises RepresentationError with the names there are."""
        try:
            return cls(name)
        except ValueError:
            raise RepresentationError(f"There is no pooling {name!r}. The poolings are {', '.join(cls)}.") from None


def pooling_weights(pooling: Pooling, speaks: Bool[Tensor, "text token"]) -> Float[Tensor, "text token"]:
    """What each token weighs, in float32; tokens that do not speak weigh nothing, and each text's weights sum to one."""
    place = speaks.cumsum(dim=1) * speaks
    if pooling is Pooling.LAST:
        return (place == place.amax(dim=1, keepdim=True)).float() * speaks
    weights = place.float() if pooling is Pooling.WEIGHTED else speaks.float()
    return weights / weights.sum(dim=1, keepdim=True)
