"""What capture costs, as ratios against named rivals, all measured interleaved in one run on SmolLM2-135M.

    make bench                                     everything, about ten minutes on two cores
    python tests/benchmarks/capture.py --quick     the comparisons of a single pass
    python tests/benchmarks/capture.py --ladder    only what the ladder reads, in processor time

Each round times ours and the rival one after the other on the same batch; the table gives the median, the smallest and
the largest of the rounds' ratios. Below 1 means that valens takes less time than the rival.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from measuring import Line, peak_memory, processor_seconds, rounds, seconds, show
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedModel
from transformers.utils import logging as hf_logging

from probes.ladder.rungs import rungs
from valens.corpora import lee
from valens.extraction.capture import Batch, capturing
from valens.extraction.doubts import with_measures
from valens.extraction.extract import plan
from valens.layers.sites import Site, Stream
from valens.model.catalog import locate
from valens.model.loading import load
from valens.model.model import Model
from valens.representations.named import HS, VA
from valens.representations.prompts import Tokens, tokenize
from valens.representations.readings import Reading
from valens.store.shards import row_of
from valens.store.store import ActivationStore, Collection

READINGS = [VA.reading, HS.reading]
NAME = "smollm2-135m"


def bare_model(dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Hugging Face's own model, SDPA, untouched by any bridge."""
    folder, file = locate(NAME)
    dense = GgufConfig(dequantize=True)
    with contextlib.redirect_stderr(io.StringIO()):
        return AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, dtype=dtype, quantization_config=dense
        ).eval()


def batch_of(texts: int, tokens: int) -> Batch:
    ids = torch.randint(5, 40_000, (texts, tokens), generator=torch.Generator().manual_seed(0))
    return Batch(ids, torch.ones_like(ids, dtype=torch.bool))


def body(model: PreTrainedModel, batch: Batch) -> None:
    with torch.inference_mode():
        model.base_model(input_ids=batch.ids, use_cache=False)


def pooled_afterwards(model: PreTrainedModel, batch: Batch) -> None:
    """Every layer's hidden states from the output and values from hooks on v_proj, pooled after the pass."""
    values: list[torch.Tensor] = []
    hooks = [
        layer.self_attn.v_proj.register_forward_hook(lambda module, args, output: values.append(output))
        for layer in model.base_model.layers
    ]
    with torch.inference_mode():
        hidden = model.base_model(input_ids=batch.ids, use_cache=False, output_hidden_states=True).hidden_states
        for tensor in (*values, *hidden):
            tensor.mean(dim=1)
    for hook in hooks:
        hook.remove()


def cached_by_the_bridge(model: Model, batch: Batch) -> None:
    """TransformerBridge.run_with_cache, filtered to the hook points that our readings use."""
    names = {
        Site(stream, layer).hook for stream in (Stream.VALUES, Stream.HIDDEN) for layer in range(1, model.n_layers + 1)
    }
    with torch.inference_mode():
        model.bridge.run_with_cache(batch.ids, names_filter=lambda name: name in names)


def layer_by_layer(model: PreTrainedModel, batch: Batch) -> None:
    """The usual harness: for each l, cut the model to its first l layers, encode, and pool the last hidden state."""
    base = model.base_model
    layers = base.layers
    try:
        for depth in range(1, len(layers) + 1):
            base.layers = layers[:depth]
            with torch.inference_mode():
                base(input_ids=batch.ids, use_cache=False).last_hidden_state.mean(dim=1)
    finally:
        base.layers = layers


class TimedCollection(Collection):
    """A collection that notes how long its writes take."""

    spent: ClassVar[list[float]] = []

    def write(self, tokens: Sequence[Tokens], vectors: Mapping[str, torch.Tensor]) -> Path:
        start = time.perf_counter()
        path = super().write(tokens, vectors)
        self.spent.append(time.perf_counter() - start)
        return path


def writing_share(model: Model, repeats: int) -> list[float]:
    """The part of an extraction's time that goes into writing its shards."""
    shares = []
    texts = [f"Text {number}: " + "the values of a layer carry the meaning of a text " * 12 for number in range(40)]
    for _ in range(repeats):
        TimedCollection.spent.clear()
        with tempfile.TemporaryDirectory() as folder:
            job = plan(model, texts, READINGS, store=ActivationStore(folder))
            own = job.collection
            timed = dataclasses.replace(job, collection=TimedCollection(own.folder, own.identity, own.about))
            shares.append(timed.run().seconds)
        shares[-1] = sum(TimedCollection.spent) / shares[-1]
    return shares


def reading_speed(repeats: int, *, n_rows: int = 20_000, layers: int = 30, d: int = 192) -> dict[str, list[float]]:
    """Gigabytes a second for one layer of 20,000 rows by 30 layers: the first read of a file, and again."""
    speeds: dict[str, list[float]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as folder:
        writer = ActivationStore(folder).collection({}, {})
        tokens = [Tokens((number,), (True,), truncated=False) for number in range(n_rows)]
        for start in range(0, n_rows, 100):
            part = tokens[start : start + 100]
            writer.write(part, {"values/mean": torch.randn(layers, len(part), d)})
        rows = [row_of(text) for text in tokens]
        for turn in range(repeats):
            for path in Path(folder).rglob("*.safetensors"):
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            reader = ActivationStore(folder).find(writer.key)
            reader.readings()
            for name in ("cold", "warm"):
                taken = seconds(lambda reader=reader, turn=turn: reader.read("values/mean", turn % layers, rows))
                speeds[name].append(n_rows * d * 4 / taken / 1e9)
    return speeds


def cosines(one: Model, other: Model, batch: Batch) -> list[float]:
    """The smallest cosine, by reading, between the vectors of two models."""
    found = []
    for model in (one, other):
        with capturing(model, READINGS) as read:
            found.append(read(batch))
    return [float(torch.cosine_similarity(found[0][reading], found[1][reading], dim=-1).min()) for reading in READINGS]


def ours(model: Model, batch: Batch, readings: Sequence[Reading] = READINGS) -> None:
    with capturing(model, readings) as read:
        read(batch)


def single_pass(model: Model, bare: PreTrainedModel, repeats: int) -> Iterator[Line]:
    """Ratios for one pass over one batch."""
    batch = batch_of(8, 256)
    against = rounds(lambda: ours(model, batch), lambda: body(bare, batch), repeats)
    yield Line("capture, 8 × 256 tokens", "(a) bare Hugging Face body, SDPA", against, "≤ 1.05")
    against = rounds(lambda: ours(model, batch), lambda: pooled_afterwards(bare, batch), repeats)
    yield Line("capture, 8 × 256 tokens", "(b) output_hidden_states + v_proj hooks, pooled after", against, "≤ 0.97")
    against = rounds(lambda: ours(model, batch), lambda: cached_by_the_bridge(model, batch), repeats)
    yield Line("capture, 8 × 256 tokens", "(c) TransformerBridge.run_with_cache, filtered", against, "≤ 0.70")


def of_the_ladder(model: Model, bare: PreTrainedModel, repeats: int) -> Iterator[Line]:
    """Ratios of all that the ladder reads, in processor time: what other jobs do to the clock is ten times as large."""
    sizes = model.sizes
    steps = rungs(sizes.n_kv_heads * sizes.d_head, sizes.d_model, 1)
    readings = with_measures(list(dict.fromkeys(rung.reading for rung in steps)))
    for texts, tokens in ((8, 256), (4, 96)):
        batch = batch_of(texts, tokens)
        against = rounds(
            lambda batch=batch: ours(model, batch, readings),
            lambda batch=batch: body(bare, batch),
            repeats,
            clock=processor_seconds,
        )
        what = f"the ladder's {len(readings)} readings, {texts} × {tokens} tokens"
        yield Line(what, "(a) bare Hugging Face body, SDPA", against, "≤ 1.15")


def many_passes(model: Model, bare: PreTrainedModel, repeats: int) -> Iterator[Line]:
    """Ratios that take minutes."""
    long = batch_of(4, 1024)
    against = rounds(lambda: ours(model, long), lambda: cached_by_the_bridge(model, long), max(2, repeats // 2))
    yield Line("capture, 4 × 1,024 tokens", "(c) TransformerBridge.run_with_cache, filtered", against, "≤ 0.50")
    small = batch_of(8, 128)
    against = rounds(lambda: ours(model, small), lambda: layer_by_layer(bare, small), max(2, repeats // 2))
    yield Line(
        "all layers, 8 × 128 tokens", "(d) layer by layer: the model cut to l = 1..30 layers", against, "≤ 0.071"
    )
    half = load(NAME, dtype="bfloat16")
    batch = batch_of(8, 256)
    against = rounds(lambda: ours(half, batch), lambda: ours(model, batch), max(2, repeats // 2))
    yield Line("bfloat16, 8 × 256 tokens", "valens in float32", against, "≤ 0.625")
    documents = tokenize(model.tokenizer, lee().documents[:16], max_tokens=256)
    found = cosines(half, model, Batch.of(documents))
    yield Line("bfloat16's smallest cosine, 16 Lee documents", "to float32 (VA, HS)", found, "≥ 0.999")


def facts(model: Model, repeats: int) -> Iterator[Line]:
    """Shares, speeds and memory."""
    yield Line("writing", "share of an extraction's time", writing_share(model, repeats), "≤ 0.03")
    speeds = reading_speed(repeats)
    yield Line("reading one layer, 20,000 rows, warm", "GB/s", speeds["warm"], "≥ 1")
    yield Line("reading one layer, 20,000 rows, cold", "GB/s", speeds["cold"], "")
    batch = batch_of(16, 512)
    with peak_memory() as peak:
        ours(model, batch)
    yield Line("peak memory above the model, 16 × 512 tokens", "MiB", peak, "≤ 400")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the comparisons of a single pass")
    parser.add_argument("--ladder", action="store_true", help="only what the ladder reads")
    parser.add_argument("--repeats", type=int, default=7, help="rounds after one that warms up")
    arguments = parser.parse_args()
    hf_logging.disable_progress_bar()
    model, bare = load(NAME), bare_model()
    makers = [of_the_ladder(model, bare, arguments.repeats)]
    if not arguments.ladder:
        makers += [single_pass(model, bare, arguments.repeats)]
    if not arguments.ladder and not arguments.quick:
        makers += [many_passes(model, bare, arguments.repeats), facts(model, arguments.repeats)]
    show(f"{NAME}, {torch.get_num_threads()} threads, torch {torch.__version__}", chain.from_iterable(makers))


if __name__ == "__main__":
    main()
