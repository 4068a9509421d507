"""What the ladder costs from a warm store, beside a sweep of two of its representations from the same store, SmolLM2-135M.

    python tests/benchmarks/ladder.py [STORE]     some five minutes on two cores, and ten more for a store that is empty

Both are commands of their own, with all that a user waits for: loading the model, making the suite, scoring, figures. The
ladder scores 21 embeddings at 30 blocks and over sets of them, the sweep two embeddings at 30 layers and over sets.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from measuring import Line, cost, show

ROUNDS = 3
SWEEP = ("sweep-layers", "--no-compare", "--representations", "HS,VA")


def main(store: str = "activations", rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as out:
        places = ("--store", Path(store), "--out", Path(out))
        cost("ladder", *places)  # fills the store, or warms it
        pairs = [(cost("ladder", *places), cost(*SWEEP, *places)) for _ in range(rounds)]
    show(
        "smollm2-135m, built-in suite, warm store",
        [
            Line("the ladder", "seconds", [ladder[0] for ladder, _ in pairs], "≤ 60 (two quiet cores)"),
            Line("the ladder", "processor seconds", [ladder[1] for ladder, _ in pairs], ""),
            Line(
                "the ladder", "a sweep of HS and VA, processor time", [ours[1] / other[1] for ours, other in pairs], ""
            ),
        ],
    )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
