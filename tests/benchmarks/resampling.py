"""What intervals and tests cost, as ratios against named rivals: 30 layers × 2 representations × 500 documents.

    python tests/benchmarks/resampling.py

Each round times ours and the rival one after the other. A rival that takes one curve at a time is timed on one, and its
time counted 60 times. Below 1 means that valens takes less time; the rows that say seconds have no rival.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import torch
from measuring import Line, rounds, seconds, show
from scipy import stats

from valens.statistics import (
    bca_interval,
    bootstrap_means,
    compare_paired,
    jackknife_means,
    not_distinguishable_from_best,
    percentile_interval,
    sign_flip_test,
)

LAYERS, DOCUMENTS, RESAMPLES = 30, 500, 10_000


def scores() -> np.ndarray:
    """Reciprocal ranks of two representations: [representation, layer, document]; no sign-flip test of them is exact."""
    return 1 / np.random.default_rng(0).geometric(0.3, size=(2, LAYERS, DOCUMENTS))


def intervals(samples: np.ndarray) -> None:
    """Percentile and BCa."""
    replicates = bootstrap_means(samples, resamples=RESAMPLES, seed=0)
    percentile_interval(replicates)
    bca_interval(samples.mean(axis=-1), replicates, jackknife_means(samples))


def everything(samples: np.ndarray) -> None:
    """Both intervals of each curve, VA - HS with its tests, and the layers that cannot be told from the best."""
    intervals(samples)
    compare_paired(*samples, resamples=RESAMPLES, seed=0)
    for representation in samples:
        not_distinguishable_from_best(representation, resamples=RESAMPLES, seed=0)


def scipys(samples: np.ndarray, method: str, batch: int | None = None) -> None:
    stats.bootstrap((samples,), np.mean, axis=-1, n_resamples=RESAMPLES, method=method, batch=batch, rng=0)


def ratios(samples: np.ndarray, repeats: int) -> Iterator[Line]:
    both, first, curves = samples, samples[0, 0], 2 * LAYERS
    found = rounds(lambda: intervals(both), lambda: scipys(first, "BCa"), repeats)
    rival = "scipy.stats.bootstrap, BCa alone, one curve × 60"
    yield Line("percentile and BCa, 60 curves", rival, [ratio / curves for ratio in found], "≤ 0.3")
    found = rounds(lambda: intervals(both), lambda: scipys(both, "BCa", batch=50), max(1, repeats // 3))
    yield Line("percentile and BCa, 60 curves", "scipy.stats.bootstrap, BCa alone, all at once", found, "≤ 0.7")
    replicates = bootstrap_means(both, resamples=RESAMPLES, seed=0)
    found = rounds(
        lambda: percentile_interval(replicates), lambda: np.nanquantile(replicates, [0.025, 0.975], axis=-1), repeats
    )
    yield Line("percentile_interval, [60, 10,000]", "numpy.nanquantile", found, "≤ 1")
    found = rounds(
        lambda: sign_flip_test(both[0] - both[1], seed=0),
        lambda: stats.permutation_test(
            (both[0, 0] - both[1, 0],), np.mean, permutation_type="samples", n_resamples=RESAMPLES, rng=0
        ),
        repeats,
    )
    rival = "scipy.stats.permutation_test, one curve × 30"
    yield Line("sign_flip_test, 30 curves", rival, [ratio / LAYERS for ratio in found], "≤ 0.1")


def times(samples: np.ndarray, repeats: int) -> Iterator[Line]:
    hits = (samples == 1).astype(np.float64)
    jobs: dict[str, tuple[Callable[[], object], str]] = {
        "intervals, tests and best layers, 60 curves": (lambda: everything(samples), "≤ 5"),
        "of hits": (lambda: everything(hits), "≤ 5"),
        "the intervals alone": (lambda: intervals(samples), ""),
        "sign_flip_test alone": (lambda: sign_flip_test(samples[0] - samples[1], seed=0), ""),
        "best layers of one representation": (lambda: not_distinguishable_from_best(samples[0], seed=0), "≤ 3"),
    }
    for what, (job, target) in jobs.items():
        yield Line(what, "seconds", [seconds(job) for _ in range(repeats)], target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="rounds after one that warms up")
    repeats = parser.parse_args().repeats
    title = f"{RESAMPLES:,} resamples of {DOCUMENTS} documents, {torch.get_num_threads()} threads"
    show(title, chain(ratios(scores(), repeats), times(scores(), repeats)))


if __name__ == "__main__":
    main()
