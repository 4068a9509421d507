"""The vectors of a logit lens, and the ranks that a model's unembedding gives the true tokens by them.

    VA             a_q^l, what attention adds at the query
    VA-uniform     the same with every weight 1/t: one vector, whatever the offset
    WHS            Σ_j ᾱ_{q,j}^l x_j^l, the states that leave block l, weighted as the query's heads attend on average
    WHS-but-first  the same without the first token, Σ_{j≥2} ᾱ_{q,j}^l x_j^l / Σ_{j≥2} ᾱ_{q,j}^l: a control for WHS
    LHS            x_t^L, the last layer's state of the last prefix token: one vector, whatever the offset
    VA-sum         Σ_{m≤l} a_q^m, all that attention has written up to layer l

Appendix E of arXiv 2602.01572, but for the control; the query of offset o is x_{t+o-1}, and attends to x_1 … x_t alone (see
`restricted_pass`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from probes.logit_lens.names import LHS, NAMES, NORMS, VA, VA_SUM, VA_UNIFORM, WHS, WHS_BUT_FIRST
from probes.logit_lens.restricted_pass import pack, read_restricted
from valens.model.model import Model
from valens.model.unembedding import Unembedding
from valens.representations.prompts import Tokens

TextRanks = Int[np.ndarray, "representation norm layer prefix offset"]
"""One text's ranks, by the places of NAMES, NORMS and layers 1..L; 0 where there is none: LHS is of the last layer alone."""


def text_ranks(model: Model, text: Tokens, prefixes: Sequence[int], offsets: Sequence[int]) -> TextRanks:
    """Return the ranks of one text's subsequent tokens, for every representation, norm, layer, prefix and offset."""
    packing = pack(text.ids, prefixes, offsets)
    read = read_restricted(model, packing)
    n_layers, n_prefixes, n_offsets, _ = read.attn_out.shape
    all_ranks = np.zeros((len(NAMES), len(NORMS), n_layers, n_prefixes, n_offsets), dtype=np.int32)
    by_query = {VA: read.attn_out, WHS: read.pooled, WHS_BUT_FIRST: read.pooled_but_first}
    by_query[VA_SUM] = read.attn_out.cumsum(dim=0)
    by_prefix = {VA_UNIFORM: read.uniform, LHS: read.last[None]}
    for group, shared in ((by_query, False), (by_prefix, True)):
        names = [index for index, name in enumerate(NAMES) if name in group]
        for index, ranks in zip(
            names, _ranked(model, [group[NAMES[index]] for index in names], packing.targets, shared=shared), strict=True
        ):
            all_ranks[index, :, n_layers - ranks.shape[1] :] = ranks
    return all_ranks


def _ranked(
    model: Model,
    lines: Sequence[Float[Tensor, "..."]],
    targets: Int[Tensor, "prefix offset"],
    *,
    shared: bool,
) -> list[Int[np.ndarray, "norm _layer prefix offset"]]:
    """Return the ranks of each line of vectors, all of them in one product, as they are and after the final norm.

    Lines are [layer, prefix, offset, d], or [layer, prefix, d] where one vector is `shared` by all offsets.
    """
    flat = torch.cat([line.flatten(end_dim=-2) for line in lines])
    both = torch.cat([flat, _normed(model, flat)])
    rows = targets if shared else rearrange(targets, "prefix offset -> (prefix offset) 1")
    ranks = Unembedding.of(model).ranks(both, rows.repeat(len(both) // len(rows), 1)).numpy()
    raw, normed = np.split(ranks, 2)
    sizes = np.cumsum([len(line) for line in lines]) * len(rows)
    return [
        np.stack([part.reshape(-1, *targets.shape) for part in parts])
        for parts in zip(np.split(raw, sizes[:-1]), np.split(normed, sizes[:-1]), strict=True)
    ]


def _normed(model: Model, vectors: Float[Tensor, "vector d"]) -> Float[Tensor, "vector d"]:
    with torch.inference_mode():
        return model.final_norm(vectors.to(getattr(torch, model.dtype))).float()
