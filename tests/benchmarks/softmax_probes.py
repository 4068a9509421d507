"""What 30 probes cost together, against 30 trainings one after the other on the same minibatches; and peak memory.

    make bench                                       with the other benchmarks
    python tests/benchmarks/softmax_probes.py        a few minutes on two cores

Rivals: (a) this trainer, called once a probe; (b) PyTorch as it is usually written, nn.Linear, cross_entropy, optim.Adam
and a schedule, once a probe, on features standardised beforehand. Each round times all three, in turn; below 1 means that
together takes less. Steps are timed without reading vectors and without scoring.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy

from valens.linear_probes.learning import Block, Labels
from valens.linear_probes.recipe import Recipe
from valens.linear_probes.training import train

N_PROBES = 30


@dataclass(frozen=True)
class Size:
    d: int
    n_classes: int
    batch: int
    steps: int
    rows: int = 4000

    def __str__(self) -> str:
        return f"d {self.d}, {self.n_classes:,} classes, {self.batch} rows a step"


SIZES = [
    Size(32, 50, 32, 300),
    Size(64, 100, 64, 200),
    Size(192, 300, 64, 60),
    Size(192, 1000, 256, 12),
    Size(576, 1000, 256, 6),
]


def labels_of(size: Size) -> Labels:
    classes = torch.randint(size.n_classes, (size.rows,), generator=torch.Generator().manual_seed(0))
    few = torch.arange(10)
    return Labels(classes, size.n_classes, torch.arange(20, size.rows), few, few + 10)


def with_modules(features: torch.Tensor, labels: Labels, recipe: Recipe) -> None:
    """One probe, as it is usually written."""
    linear = torch.nn.Linear(features.shape[1], labels.n_classes)
    adam = torch.optim.Adam(linear.parameters(), lr=recipe.lr, weight_decay=recipe.l2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, recipe.steps)
    generator = torch.Generator().manual_seed(0)
    queue = torch.empty(0, dtype=torch.long)
    for _ in range(recipe.steps):
        if len(queue) < recipe.batch:
            queue = torch.cat([queue, labels.train[torch.randperm(len(labels.train), generator=generator)]])
        rows, queue = queue[: recipe.batch], queue[recipe.batch :]
        adam.zero_grad()
        cross_entropy(linear(features[rows]), labels.classes[rows]).backward()
        adam.step()
        schedule.step()


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratios(size: Size, repeats: int, device: str) -> Iterator[tuple[str, list[float], float]]:
    """Together over each rival, round by round, and how many thousand million products a second together makes."""
    features = torch.randn(N_PROBES, size.rows, size.d, generator=torch.Generator().manual_seed(1)).to(device)
    labels, recipe = labels_of(size), Recipe(steps=size.steps, batch=size.batch, checkpoints=1, patience=0)
    names = tuple(map(str, range(N_PROBES)))
    on_device = Labels(
        labels.classes.to(device), labels.n_classes, labels.train.to(device), labels.validation, labels.test
    )

    def together() -> None:
        train([Block(names, features)], labels, recipe, seed=0, device=device)

    def alone() -> None:
        for place, name in enumerate(names):
            train([Block((name,), features[place : place + 1])], labels, recipe, seed=0, device=device)

    def modules() -> None:
        for part in features:
            with_modules(part, on_device, recipe)

    def synchronised(call: Callable[[], None]) -> Callable[[], None]:
        return lambda: (call(), torch.cuda.synchronize() if device == "cuda" else None)[0]

    calls = {"together": together, "(a) this trainer, one by one": alone, "(b) nn.Linear, one by one": modules}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            times[name].append(seconds(synchronised(call)))
    products = 4 * N_PROBES * size.batch * size.d * size.n_classes * size.steps
    speed = products / statistics.median(times["together"][1:]) / 1e9
    for name in list(calls)[1:]:
        yield name, [ours / rival for ours, rival in zip(times["together"], times[name], strict=True)][1:], speed


def peak_of_full_vocabulary(rows: int = 50_000, d: int = 576, n_classes: int = 49_152) -> float:
    """The largest resident memory, in MiB, of three steps and a scoring of one probe over a whole vocabulary."""
    features = torch.randn(1, rows, d)
    labels = labels_of(Size(d, n_classes, 512, 3, rows))
    process, done, peak = psutil.Process(), threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    train([Block(("one",), features)], labels, Recipe(steps=3, checkpoints=1), seed=0)
    done.set()
    thread.join()
    return peak[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds after one that warms up")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments = parser.parse_args()
    console = Console()
    memory = peak_of_full_vocabulary()
    where = f"{arguments.device}, {torch.get_num_threads()} threads"
    table = Table(title=f"{N_PROBES} probes together over one by one, {where}, torch {torch.__version__}", box=None)
    for column in ("size", "against", "median", "min", "max", "Gflop/s"):
        table.add_column(column, justify="left" if column in {"size", "against"} else "right")
    for size in SIZES:
        for rival, found, speed in ratios(size, arguments.repeats, arguments.device):
            numbers = [f"{number:.2f}" for number in (statistics.median(found), min(found), max(found))]
            table.add_row(str(size), rival, *numbers, f"{speed:.0f}")
            console.print(f"{size} · {rival}: {numbers[0]}", style="dim", highlight=False)
    console.print(table)
    console.print(f"Peak memory, 50,000 prefixes × 49,152 classes, one layer: {memory:,.0f} MiB (wanted: below 4,096)")


if __name__ == "__main__":
    main()
