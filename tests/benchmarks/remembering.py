"""What a second run costs that needs no forward pass, beside the same without the cache: SmolLM2-135M, the demo's sweep.

    python tests/benchmarks/remembering.py [STORE]     some six minutes on two cores, three more for an empty store

Each is a command of its own, with all that a user waits for. `VALENS_CACHE=off` is what a run cost before there was a
cache: it loads the model, parses the sample and scores anew. Then a model is loaded for a pass, from its GGUF file and as
remembered.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from measuring import Line, cost, show

ROUNDS = 3
LOAD = """
import time, valens as vl
start = time.perf_counter()
vl.load("smollm2-135m").bridge
print(time.perf_counter() - start)
"""


def seconds_to_load(cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"VALENS_CACHE": cache},
    )
    return float(done.stdout)


def main(store: str = "activations", rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder) / "cache")
        sweep = ("sweep-layers", "--suite", "builtin", "--no-compare", "--store", store, "--out", f"{folder}/out")
        cost(*sweep, VALENS_CACHE=cache)  # fills the store and the cache
        again, without, other, loads = [], [], [], []
        for turn in range(rounds):
            again.append(cost(*sweep, VALENS_CACHE=cache))
            without.append(cost(*sweep, VALENS_CACHE="off"))
            rule = ("best", "top-k", "contiguous")[turn % 3]
            other.append(cost(*sweep, "--select", rule, VALENS_CACHE=cache))
            loads.append((seconds_to_load(cache), seconds_to_load("off")))
    show(
        "smollm2-135m, built-in suite, a store that has all",
        [
            Line("the demo's sweep again", "seconds", [one[0] for one in again], "≤ 12"),
            Line("the same with another --select", "seconds", [one[0] for one in other], "≤ 6"),
            Line(
                "the demo's sweep again",
                "without the cache, processor time",
                [ours[1] / theirs[1] for ours, theirs in zip(again, without, strict=True)],
                "",
            ),
            Line("without the cache", "seconds", [one[0] for one in without], ""),
            Line("loading for a pass", "seconds", [ours for ours, _ in loads], "≤ 3"),
            Line("loading for a pass", "from the GGUF file", [ours / theirs for ours, theirs in loads], ""),
        ],
    )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
