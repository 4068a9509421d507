"""What the logit lens costs, measured interleaved in one run on SmolLM2-135M.

    python tests/benchmarks/logit_lens.py            about three minutes on two cores
    python tests/benchmarks/logit_lens.py --full     the ranks of 1,600 instances as well, some ten minutes more

Each round times ours and the rival one after the other; the table gives the median, the smallest and the largest of the
rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from measuring import Line, peak_memory, rounds, show
from transformers.utils import logging as hf_logging

from probes.logit_lens.ranks import text_ranks
from probes.logit_lens.restricted_pass import pack, read_restricted
from valens.model.loading import load
from valens.model.model import Model
from valens.model.unembedding import Unembedding
from valens.representations.prompts import Tokens

NAME = "smollm2-135m"
PREFIXES, OFFSETS = (55, 80, 110, 145), (1, 2, 3, 4, 5)
INSTANCES, LAYERS = 1600, 30


def text() -> Tokens:
    ids = torch.randint(5, 40_000, (150 + len(OFFSETS),), generator=torch.Generator().manual_seed(0)).tolist()
    return Tokens(tuple(ids), (True,) * len(ids), truncated=True)


def one_pass_each(model: Model, ids: tuple[int, ...]) -> None:
    for prefix in PREFIXES:
        for offset in OFFSETS:
            read_restricted(model, pack(ids, (prefix,), (offset,)))


def packing(model: Model, repeats: int) -> Line:
    ids = text().ids
    found = rounds(
        lambda: one_pass_each(model, ids), lambda: read_restricted(model, pack(ids, PREFIXES, OFFSETS)), repeats
    )
    return Line("one pass for each of 4 prefixes × 5 offsets", "one packed pass, times as long", found, "≥ 5")


def rate(unembedding: Unembedding, repeats: int, threads: int) -> Line:
    """Products and comparisons together, in multiplications a second, over what torch.mm reaches on large squares."""
    vectors = torch.randn(1024, unembedding.weight.shape[1])
    targets = torch.zeros(len(vectors), 1, dtype=torch.long)
    one, other, out = (torch.randn(2048, 2048) for _ in range(3))
    work, square = len(vectors) * unembedding.weight.numel(), 2048**3
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        times = rounds(
            lambda: [torch.mm(one, other, out=out) for _ in range(round(work / square))],
            lambda: unembedding.ranks(vectors, targets),
            repeats,
        )
    finally:
        torch.set_num_threads(before)
    scaled = [ratio * work / square / round(work / square) for ratio in times]
    return Line(f"ranks over 49,152 tokens, {threads} thread(s)", "share of torch.mm's rate", scaled, "≥ 0.6")


def memory(unembedding: Unembedding, n_ranked: int) -> Line:
    """The peak while ranking, with the vectors in memory that 1,600 instances make, of which `n_ranked` are ranked."""
    with peak_memory() as peak:
        vectors = torch.empty(INSTANCES * len(OFFSETS) * LAYERS, unembedding.weight.shape[1]).normal_()
        targets = torch.zeros(len(vectors), 1, dtype=torch.long)
        unembedding.ranks(vectors[:n_ranked], targets[:n_ranked])
    what = f"1,600 instances × 5 offsets × 30 layers, {n_ranked:,} vectors ranked"
    return Line(what, "peak MiB above the model", peak, "< 3,000")


def whole_text(model: Model) -> Line:
    with peak_memory() as peak:
        text_ranks(model, text(), PREFIXES, OFFSETS)
    return Line("one text: 5 representations, with and without norm", "peak MiB above the model", peak, "")


def lines(model: Model, repeats: int, *, full: bool) -> Iterator[Line]:
    unembedding = Unembedding.of(model)
    yield packing(model, repeats)
    for threads in (1, 2):
        yield rate(unembedding, repeats, threads)
    yield whole_text(model)
    yield memory(unembedding, INSTANCES * len(OFFSETS) * LAYERS if full else 4000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="rank all vectors of 1,600 instances")
    parser.add_argument("--repeats", type=int, default=3, help="rounds after one that warms up")
    arguments = parser.parse_args()
    hf_logging.disable_progress_bar()
    model = load(NAME)
    title = f"{NAME}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    show(title, lines(model, arguments.repeats, full=arguments.full))


if __name__ == "__main__":
    main()
