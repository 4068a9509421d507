"""Linear softmax probes, many at once: one weight tensor [probe, d, class], one pass over the data for all of them.

Each probe is a multinomial logistic regression on its own features of the same rows. The loss is the mean cross-entropy
plus l2 / 2 times the squared weights (not the biases), on features standardised with the mean and standard deviation of
the training rows: a convex problem, so that all may start alike, with no weights and the frequencies of the classes as
biases. The gradient, probabilities minus the one true class, is written out: no graph is kept, and logits exist for a few
rows at a time, however many classes there are.

What chance decides is the order of the rows alone. It depends on the seed and on how many rows there are, never on which
probes train together: a probe learns the same alone as among others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from valens.linear_probes.learning import Block, Labels, Learning, Trained
from valens.linear_probes.recipe import Recipe
from valens.progress import steps


def train(
    blocks: Sequence[Block],
    labels: Labels,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    title: str = "Training probes",
) -> list[Trained]:
    """Train every probe of every block, all on the same rows step by step.

    Args:
        blocks: the features of probes of equal width [probe, row, d], with a name for each probe.
        labels: the class of every row, and which rows are trained on, decide when to stop, and are scored.
        recipe: steps, batch, learning rate, penalty and patience.
        seed: decides the order of the rows.
        device: where it is computed.
        title: what the progress bar is called.

    Returns:
        One trained probe each, in the order of the blocks and of the probes in them.

    Raises:
        ProbeError: a loss becomes infinite or nan, or the weights that are kept are worse by a nat than the frequencies
            of the classes, with which training began; it names the probe and the learning rate.

    """
    labels = Labels(
        labels.classes.to(device),
        labels.n_classes,
        *(part.to(device) for part in (labels.train, labels.validation, labels.test)),
    )
    learning = [Learning(block, labels, recipe, device) for block in blocks]
    scored_after = set(recipe.scored_after())
    with steps(title, recipe.steps) as advance:
        for step, indices in enumerate(_batches(len(labels.train), recipe, seed)):
            rows = labels.train[indices.to(device)]
            for block in learning:
                block.step(rows, recipe.rate(step))
            if (done := step + 1) in scored_after:
                for block in learning:
                    block.score(done)
            advance()
            if not any(block.going for block in learning):
                break
    return [trained for block in learning for trained in block.trained()]


def bytes_of(n_rows: int, d: int, n_classes: int) -> int:
    """Return the bytes that training one probe holds, logits aside."""
    return 4 * (n_rows * d + 5 * d * n_classes)


def _batches(n: int, recipe: Recipe, seed: int) -> Iterator[Int[Tensor, " row"]]:
    """Yield which of n rows each step sees: one shuffled pass after the other; never more than all of them."""
    generator = torch.Generator().manual_seed(seed)
    size = min(recipe.batch, n)
    queue = torch.empty(0, dtype=torch.long)
    for _ in range(recipe.steps):
        if len(queue) < size:
            queue = torch.cat([queue, torch.randperm(n, generator=generator)])
        yield queue[:size]
        queue = queue[size:]
