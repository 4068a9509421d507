"""The rank that a model's unembedding gives the true token, counted without keeping the logits.

A block of vectors meets the vocabulary chunk by chunk; the true token's logit is taken from the very product that it is
compared with, so that no rounding can put a token above itself. No more than one block's logits exist at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from valens.errors import CaptureError, ModelError

if TYPE_CHECKING:
    from valens.model.model import Model

BLOCK_BYTES = 256 * 2**20
"""The bytes of logits that are held at once."""

_CHUNK = 4096
"""The number of tokens of the vocabulary that are multiplied at once: few enough for the logits to stay in cache."""


@dataclass(frozen=True)
class Unembedding:
    """The matrix that turns a vector into logits. Caps on the logits are left out: they change no rank."""

    weight: Shaped[Tensor, "token d"] = field(repr=False)
    bias: Shaped[Tensor, " token"] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: Model) -> Unembedding:
        """Return a model's own; ModelError if it has none, or one whose numbers were in no file."""
        if not model.has_unembedding:
            raise ModelError(
                f"{model.name} has no unembedding, as a body that was saved without its language model head. Choose a "
                "causal language model with its head."
            )
        module = model.bridge.original_model.get_output_embeddings()
        bias = getattr(module, "bias", None)
        return cls(module.weight.detach(), None if bias is None else bias.detach())

    @cached_property
    def _chunks(self) -> list[tuple[Tensor, Tensor | None]]:
        weights = self.weight.split(_CHUNK)
        biases = [None] * len(weights) if self.bias is None else self.bias.split(_CHUNK)
        return list(zip(weights, biases, strict=True))

    def ranks(
        self,
        vectors: Float[Tensor, "vector d"],
        targets: Int[Tensor, "vector target"],
        *,
        block_bytes: int = BLOCK_BYTES,
    ) -> Int[Tensor, "vector target"]:
        """Rank target tokens by their logits, which are float32 whatever the weights are.

        Args:
            vectors: vectors of width d_model, as a rule after the final norm.
            targets: for each vector, the token ids to rank.
            block_bytes: how many bytes of logits are held at once.

        Returns:
            1 + the number of tokens with a strictly greater logit, for each target; int32 on the host.

        Raises:
            CaptureError: a target's logit is not finite.

        """
        n_tokens = len(self.weight)
        rows = max(1, block_bytes // (4 * n_tokens))
        buffer = torch.empty(min(rows, len(vectors)) * n_tokens, device=self.weight.device)
        with torch.inference_mode():
            parts = [
                self._block(vectors[start : start + rows], targets[start : start + rows], buffer)
                for start in range(0, len(vectors), rows)
            ]
        return torch.cat(parts) if parts else torch.empty(targets.shape, dtype=torch.int32)

    def _block(
        self,
        vectors: Float[Tensor, "vector d"],
        targets: Int[Tensor, "vector target"],
        buffer: Float[Tensor, " number"],
    ) -> Int[Tensor, "vector target"]:
        """Rank the targets of as many vectors as the buffer has room for."""
        vectors, targets = vectors.to(self.weight.device, torch.float32), targets.to(self.weight.device)
        chunks, start = [], 0
        for weight, bias in self._chunks:
            end = start + len(vectors) * len(weight)
            chunks.append(buffer[start:end].view(len(vectors), len(weight)))
            torch.mm(vectors, weight.float().T, out=chunks[-1])
            if bias is not None:
                chunks[-1].add_(bias.float())
            start = end
        true = _logits_at(chunks, targets)
        if not torch.isfinite(true).all():
            raise CaptureError("A vector has NaN or infinity, or a logit of it has. Try --dtype float32.")
        counts = [_count_above(chunks, column) for column in true.split(1, dim=1)]
        return (torch.stack(counts, dim=1) + 1).cpu()


def _logits_at(chunks: list[Tensor], targets: Int[Tensor, "vector target"]) -> Float[Tensor, "vector target"]:
    """Return the targets' logits, out of those of all tokens."""
    true = torch.empty(targets.shape, device=targets.device)
    for index, logits in enumerate(chunks):
        vector, target = (targets // _CHUNK == index).nonzero(as_tuple=True)
        true[vector, target] = logits[vector, targets[vector, target] % _CHUNK]
    return true


def _count_above(chunks: list[Tensor], true: Float[Tensor, "vector 1"]) -> Int[Tensor, " vector"]:
    """Count the logits of each vector that are strictly greater than its true one."""
    above = torch.zeros(len(true), dtype=torch.int32, device=true.device)
    for logits in chunks:
        above += (logits > true).sum(dim=1, dtype=torch.int32)
    return above
