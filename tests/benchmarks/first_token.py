"""How much of a mean of hidden states is the first token: the built-in sweep with it and without, SmolLM2-135M.

    python tests/benchmarks/first_token.py [STORE]              some three minutes on two quiet cores

Language models park attention on the first token; its hidden state is huge. Prints at which layers one representation is
ahead of another (paired by resample, p < .05 after Holm's correction over layers), over the task types, and the best layers.
"""

from __future__ import annotations

import sys

from rich.console import Console
from torch import Tensor

import valens as vl
from valens import probes
from valens.results.formatting import ahead_and_behind

PAIRS = (("VA", "HS"), ("VA", "HS but first"), ("HS but first", "HS"), ("VA but first", "VA"))


def but_first(pooling_mask: Tensor) -> Tensor:
    place = pooling_mask.cumsum(dim=1)
    kept = pooling_mask & ((place > 1) | (place[:, -1:] == 1))
    return kept.float() / kept.sum(dim=1, keepdim=True)


def main(store: str = "activations") -> None:
    pooling = vl.CustomPooling("but-first", but_first)
    others = [
        vl.Representation(f"{name} but first", vl.Reading(stream, pooling))
        for name, stream in (("VA", vl.Stream.VALUES), ("HS", vl.Stream.HIDDEN))
    ]
    readings = [vl.VA, vl.HS, *others]
    sweep = probes.layer_sweep(
        vl.load("smollm2-135m"), vl.suite("builtin"), readings, store=store, select="best", compare=False
    )
    console = Console()
    for first, second in PAIRS:
        ahead, behind = ahead_and_behind(sweep.compare(first, second))
        console.print(f"{first} − {second}: ahead at layers {ahead}, behind at {behind}", highlight=False)
    console.print(str(sweep), highlight=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
