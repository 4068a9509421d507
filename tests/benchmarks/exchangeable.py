"""How often is one of two equally good representations called better by their classifications? At .05, it may be 5 %.

    python tests/benchmarks/exchangeable.py

400 simulated tasks of each kind, of 8 training texts a label and run: how often p < .05, how often the interval of the
difference holds 0 and that of a score the mean of all scores; of test texts alone, and of what `evaluate` resamples.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.console import Console
from simulated import exchangeable

from valens.evaluation.evaluate import evaluate
from valens.statistics import bootstrap_means, compare_replicates, percentile_interval

TASKS, RESAMPLES = 400, 400
KINDS = {
    "5 labels, 10 texts each, 100 test texts": {"labels": 5, "pool": 10, "test": 100, "width": 8},
    "10 labels, 10 texts each, 110 test texts": {"labels": 10, "pool": 10, "test": 110, "width": 16},
    "5 labels, 30 texts each, 100 test texts": {"labels": 5, "pool": 30, "test": 100, "width": 8},
    "5 labels, 130 texts each, 100 test texts": {"labels": 5, "pool": 130, "test": 100, "width": 8},
    "5 labels, 10 texts each, 1,000 test texts": {"labels": 5, "pool": 10, "test": 1000, "width": 8},
    "5 labels, 30 texts each, 1,000 test texts": {"labels": 5, "pool": 30, "test": 1000, "width": 8},
    "5 labels, 130 texts each, 1,000 test texts": {"labels": 5, "pool": 130, "test": 1000, "width": 8},
}


def measured(kind: dict[str, int]) -> np.ndarray:
    """[way, number]: shares of the tasks with p < .05, with 0 in the interval, and with the mean score in an interval."""
    scores, drawn = [], []
    for number in range(TASKS):
        task, vectors = exchangeable(np.random.default_rng(number), **kind)
        found = evaluate(task, vectors, resamples=RESAMPLES, seed=number)
        scores.append(found.score)
        drawn.append([bootstrap_means(found.samples, resamples=RESAMPLES, seed=number), found.replicates])
    truth = np.mean(scores)
    return np.mean([[judged(score, way, truth) for way in ways] for score, ways in zip(scores, drawn, strict=True)], 0)


def judged(score: np.ndarray, replicates: np.ndarray, truth: float) -> tuple[float, float, float]:
    first, second = replicates[:, None]
    compared = compare_replicates(score[:1], score[1:], first, second)
    low, high = percentile_interval(replicates)
    rejected, held = compared.p[0] < 0.05, compared.low[0] <= 0 <= compared.high[0]
    return float(rejected), float(held), float(((low <= truth) & (truth <= high)).mean())


def main() -> None:
    console = Console(width=125)
    console.print(
        f"{TASKS} tasks each: p < .05 / 0 in the interval of the difference / the truth in that of a score, in %"
    )
    for name, kind in KINDS.items():
        texts, both = ("  ".join(f"{100 * share:4.1f}" for share in way) for way in measured(kind))
        console.print(f"{name:44} test texts {texts}   and runs {both}")


if __name__ == "__main__":
    main()
