"""The packed pass against a bare Hugging Face forward of each prefix and offset alone, in true order, attention eager."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import tiny
import torch
import transformers as hf
from einops import repeat
from tiny import one_thread  # noqa: F401

from probes.logit_lens.restricted_pass import Packing, Readout, but_first, check_restrictable, pack, read_restricted
from valens.errors import CaptureError, PromptError
from valens.layers.sites import Site, Stream
from valens.model import loading
from valens.model.model import Model

# Float32 sums taken in another order; tiny models of large random weights amplify them from layer to layer.
SAME = 5e-5

PREFIXES, OFFSETS = (5, 9, 12), (1, 2, 3, 5)
IDS = torch.randint(3, tiny.VOCABULARY, (20,), generator=torch.Generator().manual_seed(1)).tolist()
ROW = 12 + 3 * 3 + 3
"""How many tokens a packed pass of them has: the longest prefix, a query of each and each later offset, and spares."""
WIDE = {"mistral": {"sliding_window": 17}, "gemma3": {"sliding_window": 17}}
WIDE["gemma2"] = {"sliding_window": 17, "attn_logit_softcapping": 5.0}

every_architecture = pytest.mark.parametrize("architecture", tiny.CONFIGS)


@functools.cache
def wrapped(architecture: str) -> Model:
    return loading.wrap(bare(architecture), tiny.tokenizer(), name=architecture)


def bare(architecture: str) -> hf.PreTrainedModel:
    return tiny.network(architecture, **WIDE.get(architecture, {}))


@functools.cache
def judging(architecture: str) -> hf.PreTrainedModel:
    network = bare(architecture)
    network.set_attn_implementation("eager")
    return network


@dataclass(frozen=True)
class Judged:
    """What a bare model gives for one prefix and offset; the first axis is the layer."""

    attention: torch.Tensor
    by_hand: torch.Tensor
    uniform: torch.Tensor
    pooled: torch.Tensor
    pooled_but_first: torch.Tensor
    last: torch.Tensor


def judge(architecture: str, t: int, offset: int) -> Judged:
    """Run x_1 … x_q in order, of which those behind x_t see x_1 … x_t, and read the last of them with PyTorch hooks."""
    network = judging(architecture)
    reach = torch.minimum(torch.arange(t + offset - 1) + 1, torch.tensor(t))
    sees = torch.arange(t + offset - 1) < reach[:, None]
    mask = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
    seen: dict[str, list[torch.Tensor]] = {"added": [], "values": [], "pattern": [], "hidden": []}

    def keep(name: str, module: torch.nn.Module) -> object:
        return module.register_forward_hook(lambda module, args, out: seen[name].append(out))

    handles = []
    for block in tiny.blocks(network):
        attention = tiny.attention_of(block)
        handles += [keep("added", ending(architecture, block)), keep("values", valuing(attention))]
        handles += [keep("pattern", attention), keep("hidden", block)]
    with torch.no_grad():
        network.base_model(
            input_ids=torch.tensor([IDS[: t + offset - 1]]), attention_mask=mask[None, None], use_cache=False
        )
        for handle in handles:
            handle.remove()
        layers = zip(tiny.blocks(network), *seen.values(), strict=True)
        parts = [by_hand(architecture, block, t, *tensors) for block, *tensors in layers]
    *by_layer, last = map(torch.stack, zip(*parts, strict=True))
    return Judged(*by_layer, last[-1])


def by_hand(architecture, block, t, added, fused, attended, hidden) -> tuple[torch.Tensor, ...]:
    """What one block's attention adds at the last query, computed anew from weights and values, and its likes."""
    config, weights = judging(architecture).config, attended[1][0, :, -1, :t]
    values = fused if hasattr(tiny.attention_of(block), "v_proj") else tiny.values_of(architecture, config, fused)
    d_head = tiny.output_projection(tiny.attention_of(block)).weight.numel() // config.hidden_size // len(weights)
    groups = values[0, :t].view(t, -1, d_head)
    heads = repeat(groups, "key group d -> key (group copy) d", copy=len(weights) // groups.shape[1])
    states = (hidden[0] if isinstance(hidden, tuple) else hidden)[0]
    return (
        added[0, -1],
        finished(architecture, block, torch.einsum("hk,khd->hd", weights, heads).flatten()),
        finished(architecture, block, heads.mean(dim=0).flatten()),
        weights.mean(dim=0) @ states[:t],
        torch.from_numpy(np.average(states[1:t], axis=0, weights=weights[:, 1:].mean(dim=0))),
        states[t - 1],
    )


def valuing(attention: torch.nn.Module) -> torch.nn.Module:
    """What makes the values, alone or together with queries and keys."""
    names = ("v_proj", "c_attn", "qkv_proj", "query_key_value")
    return next(getattr(attention, name) for name in names if hasattr(attention, name))


def ending(architecture: str, block: torch.nn.Module) -> torch.nn.Module:
    """The last module of a block's attention: W_O, or the norm behind it."""
    normed = architecture in {"gemma2", "gemma3", "olmo2"}
    return block.post_attention_layernorm if normed else tiny.output_projection(tiny.attention_of(block))


def finished(architecture: str, block: torch.nn.Module, heads: torch.Tensor) -> torch.Tensor:
    """W_O of concatenated heads, and the norm behind it where there is one."""
    projection, end = tiny.output_projection(tiny.attention_of(block)), ending(architecture, block)
    out = projection(heads[None])
    return (out if end is projection else end(out))[0]


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest relative distance of two vectors."""
    return float(((one - other).norm(dim=-1) / other.norm(dim=-1)).max())


@every_architecture
def test_a_packed_pass_is_what_bare_forwards_of_each_prefix_and_offset_give(architecture):
    found = read_restricted(wrapped(architecture), pack(IDS, PREFIXES, OFFSETS))
    for row, t in enumerate(PREFIXES):
        for column, offset in enumerate(OFFSETS):
            judged = judge(architecture, t, offset)
            assert apart(judged.by_hand, judged.attention) < SAME
            assert apart(found.attn_out[:, row, column], judged.attention) < SAME
            assert apart(found.uniform[:, row], judged.uniform) < SAME
            assert apart(found.pooled[:, row, column], judged.pooled) < SAME
            assert apart(found.pooled_but_first[:, row, column], judged.pooled_but_first) < SAME
            assert apart(found.pooled_but_first[:, row, column], judged.pooled) > 100 * SAME
            assert apart(found.last[row], judged.last) < SAME


@every_architecture
def test_a_packed_pass_is_what_one_pass_each_gives(architecture):
    model = wrapped(architecture)
    found = read_restricted(model, pack(IDS, PREFIXES, OFFSETS))
    for row, t in enumerate(PREFIXES):
        for column, offset in enumerate(OFFSETS):
            alone = read_restricted(model, pack(IDS, (t,), (offset,)))
            assert apart(found.attn_out[:, row, column], alone.attn_out[:, 0, 0]) < SAME
            assert apart(found.pooled[:, row, column], alone.pooled[:, 0, 0]) < SAME
            assert apart(found.pooled_but_first[:, row, column], alone.pooled_but_first[:, 0, 0]) < SAME
            assert apart(found.uniform[:, row], alone.uniform[:, 0]) < SAME


@every_architecture
def test_queries_attend_to_their_prefix_and_to_nothing_else(architecture):
    model, packing, patterns = wrapped(architecture), pack(IDS, PREFIXES, OFFSETS), []
    names = [Site(Stream.PATTERN, layer).hook for layer in range(1, model.n_layers + 1)]
    with model.bridge.hooks(
        fwd_hooks=[(name, lambda tensor, hook: patterns.append(tensor[0].clone())) for name in names]
    ):
        read_restricted(model, packing)
    assert len(patterns) == model.n_layers
    for pattern in patterns:
        for t, queries in zip(PREFIXES, packing.queries, strict=True):
            assert (pattern[:, queries, :t].sum(dim=-1) - 1).abs().max() < 1e-6
            assert not pattern[:, queries, t:].any()


@every_architecture
@pytest.mark.parametrize("changed", [2, 3, 4])
def test_a_token_of_the_continuation_matters_to_its_own_query_alone(architecture, changed):
    """The query of offset o is x_{t+o-1}: changing x_{t+1} changes nothing at x_{t+3}, and so on."""
    model, t, offsets = wrapped(architecture), 9, (1, 2, 3, 4)
    other = list(IDS)
    other[t + changed - 2] = (other[t + changed - 2] + 1) % tiny.VOCABULARY
    one, two = (read_restricted(model, pack(ids, (t,), offsets)) for ids in (IDS, other))
    distance = (one.attn_out - two.attn_out).norm(dim=-1) / one.attn_out.norm(dim=-1)
    differs = distance[:, 0] > SAME  # not 0: a mixture of experts sums tokens in groups
    assert differs.any(dim=0).tolist() == [offset == changed for offset in offsets]
    assert apart(one.uniform, two.uniform) < SAME
    assert apart(one.last, two.last) < SAME


def test_weights_but_the_first_token_s_sum_to_one():
    """An ordinary row, one that a model's sink takes a share of, and one with nothing beside the first token."""
    weights = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.1, 0.1], [0.9, 0.0, 0.0]])
    found, given = but_first(weights), weights.clone()
    torch.testing.assert_close(found, torch.tensor([[0, 2 / 3, 1 / 3], [0, 0.5, 0.5], [0.9, 0, 0]]))
    assert torch.equal(weights, given)


def test_a_prefix_of_one_token_keeps_it():
    """Whatever the offset, and beside a prefix of two, of which the second token's state is all that is left."""
    found = read_restricted(wrapped("llama"), pack(IDS, (1, 2), (1, 2, 4)))
    assert apart(found.pooled_but_first[:, 0], found.pooled[:, 0]) < SAME
    assert apart(found.pooled_but_first[-1, 1], found.last[1].expand(3, -1)) < SAME


def test_what_is_packed():
    """Prefixes of 2 and 3 of the tokens 10 … 15, offsets 1 and 3: x_2 and x_3, then x_4 and x_5, and two spares."""
    packing = pack((10, 11, 12, 13, 14, 15), (2, 3), (1, 3))
    assert packing.ids.tolist() == [10, 11, 12, 13, 14, 11, 12]
    assert packing.positions.tolist() == [0, 1, 2, 3, 4, 1, 2]
    assert packing.queries.tolist() == [[1, 3], [2, 4]]
    assert packing.spares.tolist() == [5, 6]
    assert packing.targets.tolist() == [[12, 14], [13, 15]]
    assert packing.sees.sum(dim=1).tolist() == [1, 2, 3, 2, 3, 2, 3]
    assert not packing.sees[:, 3:].any()


@pytest.mark.parametrize(
    ("prefixes", "offsets", "message"),
    [
        ((16,), (1, 5), "needs a text of 21; this one has 20"),
        ((0, 4), (1,), "Prefixes have 1 or more tokens"),
        ((4,), (0, 1), "offsets count from 1"),
        ((), (1,), "Give one or more of each"),
    ],
)
def test_what_cannot_be_packed(prefixes, offsets, message):
    with pytest.raises(PromptError, match=message):
        pack(IDS, prefixes, offsets)


@every_architecture
def test_a_model_that_keeps_to_mask_and_positions_is_taken(architecture):
    check_restrictable(wrapped(architecture), IDS[:17], row=ROW)


@pytest.mark.parametrize("architecture", sorted(WIDE))
def test_a_window_shorter_than_the_text_is_refused(architecture):
    with pytest.raises(CaptureError, match=r"looks back over 17 tokens, and a query 18 tokens into its text must see"):
        check_restrictable(wrapped(architecture), IDS[:18], row=ROW)


_SMALL = {"vocab_size": tiny.VOCABULARY, "hidden_size": 32}


def gpt_neo(window: int) -> hf.GPTNeoConfig:
    """Every other layer looks back over so many tokens of its row."""
    return hf.GPTNeoConfig(
        **_SMALL,
        num_layers=2,
        num_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        attention_types=[[["global", "local"], 1]],
        window_size=window,
    )


REFUSED = {
    "bloom": (hf.BloomConfig(**_SMALL, n_layer=3, n_head=4), "takes no positions"),
    "gpt-neo": (gpt_neo(8), "looks back over 8 tokens, and a query 20 tokens into its text"),
}


@pytest.mark.parametrize("architecture", REFUSED)
def test_attention_that_goes_by_the_order_of_its_input_is_refused(architecture):
    config, message = REFUSED[architecture]
    model = loading.wrap(tiny.random_network(config), tiny.tokenizer(), name=architecture)
    with pytest.raises(CaptureError, match=message):
        check_restrictable(model, IDS, row=ROW)


@pytest.mark.parametrize(("window", "taken"), [(17, False), (ROW, True)])
def test_a_window_that_counts_places_in_the_row_is_found_out_by_the_longest_row(window, taken):
    """Some queries of a packed pass are then farther from their prefix than they are in the text."""
    model = loading.wrap(tiny.random_network(gpt_neo(window)), tiny.tokenizer(), name="gpt-neo")
    packed = read_restricted(model, pack(IDS, PREFIXES, OFFSETS))
    alone = [read_restricted(model, pack(IDS, (t,), OFFSETS)).attn_out[:, 0] for t in PREFIXES]
    assert (apart(packed.attn_out, torch.stack(alone, dim=1)) < SAME) == taken
    if taken:
        check_restrictable(model, IDS[:16], row=ROW)
    else:
        with pytest.raises(CaptureError, match=r"comes out otherwise .* lower --prefixes and --prefix-tokens"):
            check_restrictable(model, IDS[:16], row=ROW)


def test_numbers_of_two_bytes_are_read_too():
    model = loading.wrap(bare("llama").to(torch.bfloat16), tiny.tokenizer(), name="llama")
    packing = pack(IDS, PREFIXES, OFFSETS)
    check_restrictable(model, IDS, row=ROW)
    found, exact = read_restricted(model, packing), read_restricted(wrapped("llama"), packing)
    assert found.attn_out.dtype == torch.float32
    assert apart(found.last, exact.last) < 0.1  # a bfloat16 has 8 bits


def test_hooks_are_given_back():
    model = wrapped("llama")

    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in model.bridge.modules())

    before, packing = hooks(), pack(IDS, PREFIXES, OFFSETS)
    found = [read_restricted(model, packing) for _ in range(2)]
    assert hooks() == before
    assert all(isinstance(one, Readout) for one in found)
    assert isinstance(packing, Packing)
    assert torch.equal(found[0].attn_out, found[1].attn_out)
