"""The rungs between the mean of hidden states and the mean of values, and what is done to either side.

In a decoder that norms before attention, a value vector is the normed hidden state times one matrix, v = LN(x) W_V + b_V:
the mean of values is the mean of what the block normed token by token, under a fixed matrix. So the way from one to the
other has three steps: tokens of one length (unit), the norm's gain (normed), and the value matrix (VA). Only the last is
about values. A decoder that norms after attention (OLMo 2) has no step between: there `normed` is what enters the block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from probes.ladder.names import HS, NORMED, PCA, RANDOM, UNIT, VA
from valens.layers.layer_set import LayerSet
from valens.representations.postprocessing import Postprocessing
from valens.representations.readings import Reading


@dataclass(frozen=True)
class Rung:
    """One embedding of the ladder: a reading, and what is done to the vectors afterwards."""

    name: str
    reading: Reading
    what: str
    """What it is, for a reader of the table."""
    postprocessing: tuple[Postprocessing, ...] = ()
    """At most one; or several draws of a random matrix, whose scores are averaged."""

    def layer(self, block: int) -> int:
        """Return the layer of its reading that belongs to a block: the hidden state is the one that enters the block."""
        return block - 1 if self.reading.layers(1)[0] == 0 else block

    def layers(self, blocks: Iterable[int]) -> LayerSet:
        """Return the layers of its reading that belong to some blocks."""
        return LayerSet.of(self.layer(block) for block in blocks)


def rungs(values_width: int, d_model: int, draws: int) -> tuple[Rung, ...]:
    """Return all rungs, the four steps first, then the fixes of hidden states, of values, and the controls of W_V.

    Args:
        values_width: n_kv_heads · d_head, the width of random matrix and PCA.
        d_model: the width of the hidden states; the controls are left out where it is not larger.
        draws: how many random matrices there are.

    """
    steps = (
        Rung(HS, Reading.parse("hidden/mean"), "R0: the mean of the hidden states that enter the block"),
        Rung(UNIT, Reading.parse("hidden/unit"), "R1: each token's hidden state at length 1, then the mean"),
        Rung(NORMED, Reading.parse("normed/mean"), "R2: what the block's norm makes of each token, then the mean"),
        Rung(VA, Reading.parse("values/mean"), "R3: the mean of the values"),
    )
    fixes = (*_fixes(HS, "hidden"), *_fixes(VA, "values"))
    if values_width >= d_model:
        return (*steps, *fixes)
    matrices = tuple(Postprocessing("random", values_width, draw) for draw in range(draws))
    controls = (
        Rung(
            RANDOM, steps[2].reading, f"R2 times a random matrix to {values_width} numbers, in place of W_V", matrices
        ),
        Rung(
            PCA,
            steps[2].reading,
            f"R2's first {values_width} principal components",
            (Postprocessing("pca", values_width),),
        ),
    )
    return (*steps, *fixes, *controls)


def _fixes(side: str, stream: str) -> tuple[Rung, ...]:
    """Return what is tried against sinks and outlying dimensions, the same for both sides; HS unit is a step already."""
    mean = Reading.parse(f"{stream}/mean")
    unit = (Rung(f"{side} unit", Reading.parse(f"{stream}/unit"), "each token at length 1"),) if side == VA else ()
    return (
        *unit,
        Rung(f"{side} but-first", Reading.parse(f"{stream}/but-first"), "without the first token"),
        Rung(f"{side} unsunk", Reading.parse(f"{stream}/unsunk"), "without tokens 5 times as long as the median token"),
        Rung(
            f"{side} standardised", mean, "every dimension at mean 0 and variance 1", (Postprocessing("standardised"),)
        ),
        Rung(
            f"{side} abtt-1", mean, "without the mean and the first principal direction", (Postprocessing("abtt", 1),)
        ),
        Rung(
            f"{side} abtt-3",
            mean,
            "without the mean and the first 3 principal directions",
            (Postprocessing("abtt", 3),),
        ),
    )
