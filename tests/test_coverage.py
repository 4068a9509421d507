"""Do the intervals and tests hold what they promise? Simulated documents whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import binom
from simulated import exchangeable

from valens.evaluation.evaluate import evaluate
from valens.statistics import (
    bca_interval,
    bootstrap_means,
    compare_replicates,
    jackknife_means,
    not_distinguishable_from_best,
    percentile_interval,
    sign_flip_test,
    wilson_interval,
)
from valens.statistics.cross_fit import compare_cross_fits, cross_fit

N = 200
BLOCKS, SETS = 8, 500
"""4,000 simulated sets, of which each 500 share their resamples."""

RANKS = np.arange(1, 101)
CHANCES = (1 / RANKS**1.5) / (1 / RANKS**1.5).sum()


def hits(probability: float) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda chance: (chance.random((SETS, N)) < probability).astype(float)


def reciprocal_ranks(chance: np.random.Generator) -> np.ndarray:
    return 1 / chance.choice(RANKS, size=(SETS, N), p=CHANCES)


def differences(chance: np.random.Generator) -> np.ndarray:
    """Of hits of two representations on the same documents, some of which are hard for both."""
    hard = chance.random((SETS, N))
    first, second = (hard + 0.2 * chance.normal(size=(SETS, N)) < limit for limit in (0.7, 0.6))
    return first.astype(float) - second


# The truth, in the last case, from 4 million documents: its standard error is .0003, a hundredth of an interval's width.
CASES = {
    "hits, half": (hits(0.5), 0.5),
    "hits, most": (hits(0.8), 0.8),
    "reciprocal ranks": (reciprocal_ranks, float((CHANCES / RANKS).sum())),
    "paired differences": (
        differences,
        float(np.mean([differences(np.random.default_rng([1, k])).mean() for k in range(40)])),
    ),
}


def bounds(method: str, draw: Callable[[np.random.Generator], np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for block in range(BLOCKS):
        samples = draw(np.random.default_rng([0, block]))
        replicates = bootstrap_means(samples, resamples=2000, seed=block)
        if method == "bca":
            yield bca_interval(samples.mean(axis=-1), replicates, jackknife_means(samples))
        else:
            yield percentile_interval(replicates)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize(("draw", "truth"), CASES.values(), ids=CASES)
def test_95_percent_intervals_cover_93_to_97(draw, truth, method):
    """The share of 4,000 sets has a standard error of .0034 (binomial) and .002 (2,000 resamples, shared by 500 sets).

    What is left of the 2 points is room for what 200 units cost a bootstrap: about half a point.
    """
    covered = [(low <= truth) & (truth <= high) for low, high in bounds(method, draw)]
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("probability", [0.95, 0.96, 0.97, 0.98])
def test_wilson_s_interval_covers_near_1(probability):
    """Of 50 documents, exactly, by the binomial distribution: percentile and BCa intervals cover 64 to 92 %."""
    hits = np.arange(51)
    low, high = wilson_interval(hits, 50)
    covered = binom.pmf(hits, 50, probability)[(low <= probability) & (probability <= high)].sum()
    assert 0.92 <= covered <= 0.975


def test_either_tail_of_bca_misses_about_as_often():
    """What it corrects for. Of skewed data the percentile interval misses above more than below; 4 standard errors: .01."""
    draw, truth = CASES["reciprocal ranks"]
    too_high, too_low = np.mean([((truth < low).mean(), (truth > high).mean()) for low, high in bounds("bca", draw)], 0)
    assert (too_high, too_low) == pytest.approx((0.025, 0.025), abs=0.01)


def test_a_sign_flip_test_rejects_5_percent_of_true_nulls():
    """3 standard errors of 4,000 sets are .0103; random flips of heavy-tailed, symmetric differences without a step."""
    null = np.random.default_rng(0).laplace(size=(4000, 30))
    rejected = sign_flip_test(null, flips=1000, seed=0) <= 0.05
    assert rejected.mean() == pytest.approx(0.05, abs=0.0103)


def test_a_sign_flip_test_of_hits_never_rejects_more():
    """Its p values are a few steps apart, so it rejects less often than it may; 3 standard errors are .0103."""
    chance = np.random.default_rng(0)
    first, second = (chance.random((2, 4000, 60)) < 0.5).astype(float)
    assert 0.02 < (sign_flip_test(first - second, seed=0) <= 0.05).mean() <= 0.0603


@pytest.mark.parametrize("ladder", [0.0, 0.02], ids=["all equal", "a ladder"])
def test_the_set_holds_the_truly_best_layer(ladder):
    """600 sets of hits of 8 layers on 100 documents, hard ones hard for all; a standard error is at most .009.

    If all are equal, each is the best, and all 8 count. On the ladder each layer finds fewer documents than the one before
    it, the first is the best, and the last is left out most of the time.
    """
    kept = np.empty((600, 8))
    for number in range(len(kept)):
        chance = np.random.default_rng(number)
        limits = 0.6 - ladder * np.arange(8)[:, None]
        samples = (chance.random(100) + 0.2 * chance.normal(size=(8, 100)) < limits).astype(float)
        kept[number] = not_distinguishable_from_best(samples, resamples=500, seed=number)
    assert kept[:, 0 if ladder else slice(None)].mean() >= 0.93
    assert not ladder or kept[:, 7].mean() < 0.5


def equally_good(chance: np.random.Generator, n: int, rest: float) -> np.ndarray:
    """30 layers of one line and one of another, [31, n], all of mean 0: what a document has at every layer, and the rest."""
    return chance.normal(size=n) + rest * chance.normal(size=(31, n))


@pytest.mark.parametrize("rest", [1.0, 0.3], ids=["layers differ much", "layers are alike"])
def test_intervals_that_repeat_the_choice_of_a_layer_cover_90_to_99(rest):
    """Of 120 sets of 60 documents, the held-out score and its difference from a line of one layer; both are truly 0.

    The standard error of a share of 120 is .02 at .95. A difference is called where there is none in about 5 %, and not
    more; the maximum over layers, as if it had not been chosen, has an interval that misses 0 in a quarter of the sets.
    """
    scores, gaps, called, flattered = [], [], [], []
    for number in range(120):
        drawn = equally_good(np.random.default_rng(number), 60, rest)
        found, other = cross_fit([drawn[:30], drawn[30:]], resamples=300, seed=number)
        gap = compare_cross_fits([found], [other])
        low, high = percentile_interval(found.replicates)
        scores.append(low <= 0 <= high)
        gaps.append(gap.low[0] <= 0 <= gap.high[0])
        called.append(gap.p[0] < 0.05)
        best = drawn[:30][drawn[:30].mean(axis=1).argmax()] - drawn[30]
        low, high = percentile_interval(bootstrap_means(best, resamples=300, seed=number))
        flattered.append(low <= 0 <= high)
    assert 0.90 <= np.mean(scores) <= 0.99
    assert 0.90 <= np.mean(gaps) <= 0.99
    assert np.mean(called) <= 0.05 + 2 * 0.02
    assert np.mean(flattered) < 0.8


def test_equally_good_representations_are_told_apart_as_seldom_as_promised():
    """60 classifications, 600 test texts each, whose accuracy the few training texts move more than the test texts do.

    With the runs held fixed, 19 of 100 had p < .05 and 79 intervals held 0; a standard error of 5 % of 60 is 1.7.
    """
    rejected, held = 0, 0
    for number in range(60):
        task, vectors = exchangeable(np.random.default_rng(number), labels=3, pool=60, test=600, width=4)
        found = evaluate(task, vectors, resamples=300, seed=number)
        first, second = found.replicates[:, None]
        compared = compare_replicates(found.score[:1], found.score[1:], first, second)
        rejected += int(compared.p[0] < 0.05)
        held += int(compared.low[0] <= 0 <= compared.high[0])
    assert rejected <= 6
    assert held >= 54
