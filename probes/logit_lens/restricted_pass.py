"""A forward pass whose continuation reads a prefix and nothing else, for all prefixes and offsets of a text at once.

    x_1 … x_tmax  |  x_q of each (t, o ≥ 2)  |  a spare of each t      the tokens of one pass, packed
    1 … tmax      |  q                       |  t                      their true positions
    causal        |  x_1 … x_t               |  x_1 … x_t              what each of them attends to

The target of offset o is x_{t+o}, and its query the token before it, q = t + o - 1. With o = 1 that is x_t, an ordinary
token of the prefix. Every later query attends to the prefix alone, not to itself and not to other continuation tokens:
z_q = Σ_{j≤t} α_{q,j} v_j, with α normalised over the prefix (appendix E of arXiv 2602.01572), and over the sink that a
model's heads may have besides (gpt-oss): its weights over the prefix sum to less than 1, as they do in the model. Nobody
attends to a query, so any number of them share one prefix.

The spare's attention weights are exchanged for 1/t in every head, so that the model itself makes Concat_h(mean_j v_j) W_O
of it: key-value heads repeated, with whatever bias and norm its output projection has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from valens.errors import CaptureError, PromptError
from valens.extraction.capture import lent_hooks
from valens.layers.sites import Site, Stream, layers_of
from valens.model.architecture import body_of
from valens.model.model import Model

_SAME = {4: 1e-3, 2: 0.1}
"""The largest relative distance of what is the same but for rounding, by the bytes of a number."""

_WINDOWS = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size", "local": "window_size"}
"""By the kinds of layers that look back over so many tokens alone, what a configuration calls the number."""


@dataclass(frozen=True)
class Packing:
    """The tokens of one pass; made by `pack`."""

    ids: Int[Tensor, " token"]
    positions: Int[Tensor, " token"]
    """Where each token stands in its text, from 0."""
    sees: Bool[Tensor, "token key"]
    prefixes: Int[Tensor, " prefix"]
    """t, how many tokens each prefix has."""
    queries: Int[Tensor, "prefix offset"]
    """Where the query of each prefix and offset is in `ids`."""
    spares: Int[Tensor, " prefix"]
    """Where the token is whose attention is spread evenly over the prefix."""
    targets: Int[Tensor, "prefix offset"]
    """The token ids to be predicted, x_{t+o}."""


@dataclass(frozen=True)
class Readout:
    """What one pass gives, in float32; layers are 1..L."""

    attn_out: Float[Tensor, "layer prefix offset d"]
    """a_q^l, what attention adds to the residual stream at the query."""
    uniform: Float[Tensor, "layer prefix d"]
    """The same with weights 1/t in place of the query's: one vector, whatever the offset."""
    pooled: Float[Tensor, "layer prefix offset d"]
    """Σ_j ᾱ_{q,j}^l x_j^l, the prefix's states that leave block l, weighted as the query's heads attend on average."""
    pooled_but_first: Float[Tensor, "layer prefix offset d"]
    """The same with the weights that `but_first` leaves."""
    last: Float[Tensor, "prefix d"]
    """x_t^L, the state of the prefix's last token that leaves the last block."""


def pack(ids: Sequence[int], prefixes: Sequence[int], offsets: Sequence[int]) -> Packing:
    """Put the queries of all prefixes and offsets after the longest prefix of a text.

    Raises PromptError unless prefixes have 1 token or more, offsets count from 1, and the text has a target for each.
    """
    if not prefixes or not offsets or min(prefixes) < 1 or min(offsets) < 1:
        raise PromptError(
            f"Prefixes have 1 or more tokens and offsets count from 1; got prefixes {list(prefixes)} and offsets "
            f"{list(offsets)}. Give one or more of each."
        )
    if len(ids) < max(prefixes) + max(offsets):
        raise PromptError(
            f"A prefix of {max(prefixes)} tokens with a target {max(offsets)} tokens after it needs a text of "
            f"{max(prefixes) + max(offsets)}; this one has {len(ids)}. Leave it out, or choose shorter prefixes."
        )
    text, longest = torch.tensor(ids), max(prefixes)
    positions, reach = list(range(longest)), [position + 1 for position in range(longest)]
    queries = torch.empty(len(prefixes), len(offsets), dtype=torch.long)
    for row, prefix in enumerate(prefixes):
        for column, offset in enumerate(offsets):
            queries[row, column] = prefix - 1 if offset == 1 else len(positions)
            if offset > 1:
                positions.append(prefix + offset - 2)
                reach.append(prefix)
    spares = torch.arange(len(prefixes)) + len(positions)
    lengths = torch.tensor(prefixes)
    all_positions = torch.tensor([*positions, *(prefix - 1 for prefix in prefixes)])
    return Packing(
        ids=text[all_positions],
        positions=all_positions,
        sees=torch.arange(len(all_positions)) < torch.tensor([*reach, *prefixes])[:, None],
        prefixes=lengths,
        queries=queries,
        spares=spares,
        targets=text[lengths[:, None] + torch.tensor(offsets) - 1],
    )


def read_restricted(model: Model, packing: Packing) -> Readout:
    """Run one text's packed tokens and read every layer. Raises CaptureError if a hook point did not fire."""
    layers = [_Layer(packing, model.device) for _ in layers_of(Stream.ATTN_OUT, model.n_layers)]
    hooks = [hook for layer, reader in enumerate(layers, start=1) for hook in reader.hooks(layer)]
    with lent_hooks(model, hooks, pattern=True), torch.inference_mode():
        _run(model, packing.ids, packing.positions, packing.sees)
    if not all(
        reader.seen.keys() == {"attn_out", "uniform", "pooled", "pooled_but_first", "last"} for reader in layers
    ):
        raise CaptureError(f"The attention of {model.name} was not read at every layer: some hooks did not fire.")
    *_, deepest = layers
    return Readout(
        attn_out=torch.stack([reader.seen["attn_out"] for reader in layers]),
        uniform=torch.stack([reader.seen["uniform"] for reader in layers]),
        pooled=torch.stack([reader.seen["pooled"] for reader in layers]),
        pooled_but_first=torch.stack([reader.seen["pooled_but_first"] for reader in layers]),
        last=deepest.seen["last"],
    )


def but_first(weights: Float[Tensor, "*query key"]) -> Float[Tensor, "*query key"]:
    """Set the first token's weight to 0 and let the others sum to 1.

    Where no other token has weight, as in a prefix of one token, the first keeps its own.
    """
    others = weights.clone()
    others[..., 0] = 0
    total = others.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, others / total, weights)


def check_restrictable(model: Model, ids: Sequence[int], *, row: int) -> None:
    """Raise CaptureError unless the model keeps to the mask and the positions that a packed pass gives it.

    The last token of this text is read twice: in its place, and at the end of a row of so many packed tokens, as long as
    the longest that will be read, with its own position and mask. Both must come out alike. Attention that goes by the
    order of its input (ALiBi, windows that count places in the row), or that looks back over fewer tokens than the text
    has (sliding windows), is found out so.
    """
    name, config = model.name, model.bridge.original_model.config
    window = _window(config)
    if window is not None and window < len(ids):
        raise CaptureError(
            f"Attention of {name} ({config.model_type}) looks back over {window} tokens, and a query {len(ids)} tokens into "
            "its text must see the prefix from its beginning. Choose shorter prefixes, or a model with a wider window."
        )
    if "position_ids" not in inspect.signature(body_of(model.bridge.original_model).forward).parameters:
        raise CaptureError(
            f"{name} ({config.model_type}) takes no positions, so tokens cannot be packed. Choose another."
        )
    own, twin = _in_place(model, ids), _packed_twin(model, ids, row)
    if (own - twin).norm() > _SAME[own.element_size()] * own.norm():
        raise CaptureError(
            f"A token of {name} ({config.model_type}) comes out otherwise when it is packed with its true position: its "
            "attention goes by the order of its input, as with ALiBi, or has a mask or window of its own. Choose another "
            "model, or lower --prefixes and --prefix-tokens."
        )


class _Layer:
    """Keeps what passes the hook points of one block, for the tokens that are asked for."""

    def __init__(self, packing: Packing, device: torch.device) -> None:
        self.queries = packing.queries.to(device)
        self.spares = packing.spares.to(device)
        self.last = packing.prefixes.to(device) - 1
        self.sees = packing.sees[packing.spares].to(device)
        self.longest = int(packing.prefixes.max())
        self.weights = torch.empty(0)
        self.seen: dict[str, Tensor] = {}

    def hooks(self, layer: int) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Yield the hook points of the block, and what reads them; they fire in this order."""
        yield Site(Stream.PATTERN, layer).hook, self.read_pattern
        yield Site(Stream.ATTN_OUT, layer).hook, self.read_attn_out
        yield Site(Stream.HIDDEN, layer).hook, self.read_hidden

    def read_pattern(self, pattern: Float[Tensor, "1 head token key"], hook: object) -> Tensor:  # noqa: ARG002
        """Keep the queries' weights, averaged over heads, and spread the spares' evenly."""
        self.weights = pattern[0, :, self.queries, : self.longest].float().mean(dim=0)
        pattern[0, :, self.spares] = (self.sees / self.sees.sum(dim=1, keepdim=True)).to(pattern.dtype)
        return pattern

    def read_attn_out(self, added: Float[Tensor, "1 token d"], hook: object) -> None:  # noqa: ARG002
        """Keep what attention adds at the queries and at the spares."""
        self.seen["attn_out"] = added[0, self.queries].float()
        self.seen["uniform"] = added[0, self.spares].float()

    def read_hidden(self, hidden: Float[Tensor, "1 token d"], hook: object) -> None:  # noqa: ARG002
        """Pool the prefixes' states with the weights that the pattern had, and with those but the first token's."""
        states = hidden[0, : self.longest].float()
        for name, weights in (("pooled", self.weights), ("pooled_but_first", but_first(self.weights))):
            self.seen[name] = einsum(weights, states, "prefix offset key, key d -> prefix offset d")
        self.seen["last"] = states[self.last]


def _run(model: Model, ids: Tensor, positions: Tensor, sees: Bool[Tensor, "token key"]) -> None:
    """Run the decoder on the tokens of one row, each seeing what it may."""
    dtype = getattr(torch, model.dtype)
    mask = torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)
    body_of(model.bridge.original_model)(
        input_ids=ids[None].to(model.device),
        position_ids=positions[None].to(model.device),
        attention_mask=rearrange(mask, "token key -> 1 1 token key").to(model.device),
        use_cache=False,
    )


def _in_place(model: Model, ids: Sequence[int]) -> Float[Tensor, " d"]:
    """Return the last token's last state, as the model reads the text by itself."""
    seen: list[Tensor] = []
    with lent_hooks(model, [(_deepest(model), _keep_last(seen))], pattern=False), torch.inference_mode():
        model.run_body(torch.tensor([ids], device=model.device))
    return seen[0]


def _packed_twin(model: Model, ids: Sequence[int], row: int) -> Float[Tensor, " d"]:
    """Return the last token's last state, read at the end of a row that is filled with copies of it; none sees another."""
    n_before, seen = len(ids) - 1, list[Tensor]()
    n_copies = max(2, row - n_before)
    sees = torch.ones(n_before + n_copies, n_before + n_copies, dtype=torch.bool).tril()
    sees[n_before:, n_before:] = torch.eye(n_copies, dtype=torch.bool)
    positions = torch.tensor([*range(n_before), *[n_before] * n_copies])
    with lent_hooks(model, [(_deepest(model), _keep_last(seen))], pattern=True), torch.inference_mode():
        _run(model, torch.tensor([*ids[:-1], *[ids[-1]] * n_copies]), positions, sees)
    return seen[0]


def _deepest(model: Model) -> str:
    return Site(Stream.HIDDEN, model.n_layers).hook


def _keep_last(seen: list[Tensor]) -> Callable[..., None]:
    return lambda hidden, hook: seen.append(hidden[0, -1].clone())  # noqa: ARG005


def _window(config: object) -> int | None:
    """Return how many tokens the attention looks back over where that is limited, itself counted."""
    kinds = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None) or list(_WINDOWS)
    widths = [getattr(config, name, None) for kind, name in _WINDOWS.items() if kind in kinds]
    return min((width for width in widths if width), default=None)
