"""From the vectors of a text's tokens to one vector: every pooling is a row of weights that sum to one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from valens.errors import RepresentationError

CUSTOM_MARK = "~"
"""What parts the name of a user-defined pooling from the digits that tell it from others."""

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_TRIED = 64
"""A user-defined pooling is told from others by what it weighs in texts of 1 to so many tokens."""
_CLOSE = 1e-4


class Pooling(StrEnum):
    """How the pooled tokens of a text become one vector."""

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


@dataclass(frozen=True)
class CustomPooling:
    """A user-defined pooling: `weigh` says what each token weighs, from the pooling mask [text, token].

    The weights are on the device of what is given and in float32; each text's sum to one, tokens outside the mask weigh
    nothing, and neither the texts beside a text nor its padding change them. `str` ends in six digits that follow from
    what it weighs, so that a store never takes one function's vectors for another's of the same name.
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
        """The sha256 over what it weighs in texts of 1 to 64 tokens, all of which are pooled, and then all but the first."""
        every = torch.ones(_TRIED, _TRIED, dtype=torch.bool).tril()
        but_first = every[1:] & (torch.arange(_TRIED) > 0)
        parts = (
            torch.round(pooling_weights(self, pooling_mask) / _CLOSE).to(torch.int32)
            for pooling_mask in (every, but_first)
        )
        return hashlib.sha256(b"".join(part.numpy().astype("<i4").tobytes() for part in parts)).hexdigest()

    def __str__(self) -> str:
        """The name and the first six digits of its fingerprint."""
        return f"{self.name}{CUSTOM_MARK}{self.fingerprint[:6]}"


def pooling_weights(
    pooling: Pooling | CustomPooling, pooling_mask: Bool[Tensor, "text token"]
) -> Float[Tensor, "text token"]:
    """What each token weighs, in float32; tokens outside the mask weigh nothing, and each text's weights sum to one.

    Raises RepresentationError where a user-defined pooling gives anything else.
    """
    if isinstance(pooling, CustomPooling):
        return _checked(pooling, pooling_mask)
    place = pooling_mask.cumsum(dim=1) * pooling_mask
    if pooling is Pooling.LAST:
        return (place == place.amax(dim=1, keepdim=True)).float() * pooling_mask
    weights = place.float() if pooling is Pooling.WEIGHTED else pooling_mask.float()
    return weights / weights.sum(dim=1, keepdim=True)


def _checked(pooling: CustomPooling, pooling_mask: Bool[Tensor, "text token"]) -> Float[Tensor, "text token"]:
    weights = pooling.weigh(pooling_mask)
    found = f"weights of shape {list(weights.shape)} in {weights.dtype}"
    if weights.shape == pooling_mask.shape and weights.dtype == torch.float32:
        sums = weights.sum(dim=1)
        if bool(((sums - 1).abs() < _CLOSE).all()) and not bool(weights[~pooling_mask].any()):
            return weights
        found = f"rows that sum to {float(sums.min()):.4g} to {float(sums.max()):.4g}"
    raise RepresentationError(
        f"The pooling {pooling.name!r} must give float32 weights of shape {list(pooling_mask.shape)}, each row's summing to "
        f"1 and none of them on a token outside the mask; it gave {found}. Divide by the row's sum, and multiply with "
        "`pooling_mask`."
    )
