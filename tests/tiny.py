"""Tiny random models of many architectures, and a bare Hugging Face forward with plain PyTorch hooks to judge by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import transformers as hf
from threadpoolctl import threadpool_limits
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

VOCABULARY = 97
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
_GROUPED = {"num_key_value_heads": 2}

CONFIGS = {
    "llama": lambda: hf.LlamaConfig(**_SIZES, **_GROUPED),
    "llama-multi-head": lambda: hf.LlamaConfig(**_SIZES),
    "qwen2": lambda: hf.Qwen2Config(**_SIZES, **_GROUPED),
    "qwen3": lambda: hf.Qwen3Config(**_SIZES, **_GROUPED, head_dim=16),
    "qwen3-moe": lambda: hf.Qwen3MoeConfig(
        **_SIZES, **_GROUPED, head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16
    ),
    "mistral": lambda: hf.MistralConfig(**_SIZES, **_GROUPED, sliding_window=8),
    "mixtral": lambda: hf.MixtralConfig(**_SIZES, **_GROUPED, num_local_experts=4),
    "gemma2": lambda: hf.Gemma2Config(**_SIZES, **_GROUPED, head_dim=8, sliding_window=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**_SIZES, **_GROUPED, head_dim=8, sliding_window=8),
    "olmo2": lambda: hf.Olmo2Config(**_SIZES, **_GROUPED),
    "phi3": lambda: hf.Phi3Config(**_SIZES, **_GROUPED, pad_token_id=0),
    "gpt2": lambda: hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=128),
    "gpt-neox": lambda: hf.GPTNeoXConfig(**_SIZES),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """For modules that import it: so little work is done sooner by one thread than shared, above all on busy machines."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    """For modules in which a judge fits what valens fits, each fit by one thread: more of them sum in another order.

    A last bit is then another label, because these fits stop before they have converged.
    """
    with threadpool_limits(1):
        yield


def tokenizer() -> hf.PreTrainedTokenizerFast:
    """One token a word, `w0` to `w96`; a begin-of-sequence token is put first, as Llama's tokenizer does."""
    words = {f"w{number}": number for number in range(VOCABULARY)}
    fast = Tokenizer(models.WordLevel(words, unk_token="w0"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.post_processor = processors.TemplateProcessing(single="w2 $A", special_tokens=[("w2", 2)])
    # A special token is looked for inside words too, unless it says that it is a word: `w1` would be found in `w15`.
    unk, eos, bos, pad = (AddedToken(f"w{number}", single_word=True) for number in range(4))
    return hf.PreTrainedTokenizerFast(tokenizer_object=fast, unk_token=unk, eos_token=eos, bos_token=bos, pad_token=pad)


def network(architecture: str, *, seed: int = 0, **changes: object) -> hf.PreTrainedModel:
    """A random model of one of `CONFIGS`, with some of its numbers changed."""
    config = CONFIGS[architecture]()
    for name, value in changes.items():
        setattr(config, name, value)
    return random_network(config, seed=seed)


def random_network(config: hf.PretrainedConfig, *, seed: int = 0) -> hf.PreTrainedModel:
    """A random model; weights are scaled up so that layers and heads differ well above rounding."""
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
            else:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def blocks(model: hf.PreTrainedModel) -> torch.nn.ModuleList:
    base = model.base_model
    return base.h if hasattr(base, "h") else base.layers


def attention_of(block: torch.nn.Module) -> torch.nn.Module:
    for name in ("self_attn", "attn", "attention"):
        if hasattr(block, name):
            return getattr(block, name)
    raise AssertionError(block)


def output_projection(attention: torch.nn.Module) -> torch.nn.Module:
    for name in ("o_proj", "c_proj", "dense"):
        if hasattr(attention, name):
            return getattr(attention, name)
    raise AssertionError(attention)


def values_of(architecture: str, config: hf.PretrainedConfig, fused: torch.Tensor) -> torch.Tensor:
    """The values' part of a fused projection's output [text, token, ...]."""
    n_heads = config.num_attention_heads
    if architecture == "gpt2":
        return fused.chunk(3, dim=-1)[2]
    if architecture == "gpt-neox":
        per_head = fused.view(*fused.shape[:-1], n_heads, 3, -1)
        return per_head[..., 2, :].flatten(-2)
    d_head = config.hidden_size // n_heads
    return fused[..., -config.num_key_value_heads * d_head :]


def keys_of(architecture: str, config: hf.PretrainedConfig, fused: torch.Tensor) -> torch.Tensor:
    """The keys' part of a fused projection's output [text, token, ...]."""
    n_heads = config.num_attention_heads
    if architecture == "gpt2":
        return fused.chunk(3, dim=-1)[1]
    if architecture == "gpt-neox":
        return fused.view(*fused.shape[:-1], n_heads, 3, -1)[..., 1, :].flatten(-2)
    d_head = config.hidden_size // n_heads
    return fused[..., n_heads * d_head : (n_heads + config.num_key_value_heads) * d_head]


def token_vectors(  # noqa: C901
    architecture: str, model: hf.PreTrainedModel, ids: torch.Tensor
) -> dict[tuple[str, int], torch.Tensor]:
    """Every stream at every layer of a bare forward, by PyTorch hooks on Hugging Face's own modules: [text, token, d]."""
    seen: dict[tuple[str, int], torch.Tensor] = {}
    handles = []

    def first(value):
        return value[0] if isinstance(value, tuple) else value

    for layer, block in enumerate(blocks(model), start=1):
        attention = attention_of(block)

        def entering(module, args, kwargs, layer=layer):
            if layer == 1:
                seen["hidden", 0] = (args[0] if args else kwargs["hidden_states"]).detach()

        def leaving(module, args, output, layer=layer):
            seen["hidden", layer] = first(output).detach()

        def projecting(module, args, output, layer=layer):
            seen["heads", layer] = args[0].detach()
            seen.setdefault(("attn_out", layer), output.detach())

        def adding(module, args, output, layer=layer):
            seen["attn_out", layer] = output.detach()

        def valuing(module, args, output, layer=layer, attention=attention):
            fused = not hasattr(attention, "v_proj")
            seen["values", layer] = (values_of(architecture, model.config, output) if fused else output).detach()

            if fused:
                seen["keys", layer] = keys_of(architecture, model.config, output).detach()

        def keying(module, args, output, layer=layer):
            seen["keys", layer] = output.detach()

        def attending(module, args, kwargs, output, layer=layer):
            seen["normed", layer] = (args[0] if args else kwargs["hidden_states"]).detach()
            seen["pattern", layer] = output[1].detach()

        def thinking(module, args, output, layer=layer):
            seen["mlp", layer] = first(output).detach()

        if architecture in {"gemma2", "gemma3", "olmo2"}:  # they normalise what attention adds to the residual stream
            handles.append(block.post_attention_layernorm.register_forward_hook(adding))
            handles.append(block.post_feedforward_layernorm.register_forward_hook(thinking))
        else:
            handles.append(block.mlp.register_forward_hook(thinking))
        if hasattr(attention, "k_proj"):
            handles.append(attention.k_proj.register_forward_hook(keying))
        source = next(
            getattr(attention, name)
            for name in ("v_proj", "c_attn", "qkv_proj", "query_key_value")
            if hasattr(attention, name)
        )
        handles += [
            block.register_forward_pre_hook(entering, with_kwargs=True),
            block.register_forward_hook(leaving),
            output_projection(attention).register_forward_hook(projecting),
            source.register_forward_hook(valuing),
            attention.register_forward_hook(attending, with_kwargs=True),
        ]
    with torch.no_grad():
        model.base_model(input_ids=ids, use_cache=False, output_attentions=True)
    for handle in handles:
        handle.remove()
    return seen
