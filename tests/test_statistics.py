from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from valens.errors import ResultError
from valens.statistics import (
    bca_interval,
    bca_interval_of_means,
    bootstrap_means,
    compare_paired,
    compare_replicates,
    first_highest,
    highest_first,
    holm,
    jackknife_means,
    not_distinguishable_by_replicates,
    not_distinguishable_from_best,
    paired_difference,
    percentile_interval,
    resample_counts,
    sign_flip_test,
    wilson_interval,
)


def test_a_resample_draws_as_many_units_as_there_are():
    counts = resample_counts(17, 50, seed=3)
    assert counts.shape == (50, 17)
    assert (counts.sum(axis=1) == 17).all()


def test_counts_depend_on_the_arguments_alone():
    assert np.array_equal(resample_counts(9, 20, seed=1), resample_counts(9, 20, seed=1))
    assert not np.array_equal(resample_counts(9, 20, seed=1), resample_counts(9, 20, seed=2))


def test_counts_are_multinomial():
    """Mean 1, variance 1 - 1/n, covariance -1/n; 6 standard errors of 20,000 resamples are below .06."""
    counts = resample_counts(5, 20_000, seed=0)
    assert np.cov(counts.T) == pytest.approx(np.eye(5) - 1 / 5, abs=0.06)
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.06)


@pytest.mark.parametrize(("n", "resamples"), [(0, 10), (10, 0)])
def test_there_is_no_bootstrap_of_nothing(n, resamples):
    with pytest.raises(ResultError, match=f"n={n} and resamples={resamples}"):
        resample_counts(n, resamples, seed=0)


def test_percentile_interval_by_hand():
    low, high = percentile_interval(np.arange(101.0)[None], confidence=0.9)
    assert (low[0], high[0]) == pytest.approx((5, 95))


def test_percentile_interval_of_a_mean_is_scipys():
    """Two independent bootstraps of 10,000: their bounds differ by about .004, the interval is .24 wide."""
    data = np.random.default_rng(0).gamma(2.0, size=500)
    replicates = resample_counts(500, 10_000, seed=1) @ data / 500
    scipys = stats.bootstrap((data,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    assert percentile_interval(replicates) == pytest.approx(scipys, abs=0.02)


def test_wilson_s_interval_by_hand():
    """Of 50 of 50, n / (n + z²) with z² = 3.8415, to 1; of 0 the mirror image; of half, symmetric."""
    low, high = wilson_interval(np.array([50, 0, 25, 50]), 50)
    assert low[[0, 1, 3]] == pytest.approx([50 / 53.8415, 0, 50 / 53.8415], abs=1e-5)
    assert high[[0, 1, 3]] == pytest.approx([1, 3.8415 / 53.8415, 1], abs=1e-5)
    assert low[2] + high[2] == pytest.approx(1)
    with pytest.raises(ResultError, match="between 0 and 1"):
        wilson_interval(np.array([1]), 2, confidence=95)
    with pytest.raises(ResultError, match="n=0"):
        wilson_interval(np.array([0]), 0)


def test_undefined_replicates_are_left_out_and_nothing_else():
    low, high = percentile_interval(np.array([[1.0, np.nan, 3.0], [np.nan] * 3]), confidence=0.5)
    assert (low[0], high[0]) == pytest.approx((1.5, 2.5))
    assert np.isnan([low[1], high[1]]).all()


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_is_a_probability(confidence):
    with pytest.raises(ResultError, match="between 0 and 1"):
        percentile_interval(np.zeros(3), confidence)


def test_a_paired_difference_by_hand():
    difference = paired_difference(np.array([1.0, 2.0, 6.0]), np.array([0.0, 1.0, 2.0]), confidence=0.5)
    assert (difference.estimate, difference.low, difference.high) == pytest.approx((2, 1, 2.5))


def test_pairing_takes_out_what_is_shared():
    """b is a less exactly .1 on each unit: the difference is sure, though each mean is not."""
    data = np.random.default_rng(0).normal(size=30)
    counts = resample_counts(30, 200, seed=0)
    a, b = counts @ data / 30, counts @ (data - 0.1) / 30
    difference = paired_difference(a, b)
    assert (difference.low, difference.high) == pytest.approx((0.1, 0.1))


def test_differences_broadcast_over_layers_and_leave_out_the_undefined():
    a = np.array([[1.0, 3.0], [np.nan, 5.0], [np.nan, np.nan]])
    difference = paired_difference(a, np.array([0.0, 1.0]))
    assert difference.estimate == pytest.approx([1.5, 4.0, np.nan], nan_ok=True)


def test_replicates_of_different_bootstraps_are_not_paired():
    with pytest.raises(ResultError, match="got 3 and 4"):
        paired_difference(np.zeros(3), np.zeros(4))


def test_means_are_those_of_the_repeated_units():
    samples = np.random.default_rng(0).normal(size=(2, 3, 7))
    means = bootstrap_means(samples, resamples=20, seed=4)
    repeated = [np.repeat(samples, counts, axis=-1).mean(axis=-1) for counts in resample_counts(7, 20, seed=4)]
    assert means == pytest.approx(np.stack(repeated, axis=-1))


def test_memory_is_bounded_and_the_chunks_change_nothing(monkeypatch):
    samples = np.random.default_rng(0).normal(size=(2, 7))
    whole = bootstrap_means(samples, resamples=50, seed=1)
    monkeypatch.setattr("valens.statistics.resampling._CHUNK", 30)
    assert bootstrap_means(samples, resamples=50, seed=1) == pytest.approx(whole, abs=1e-14)


def test_leaving_out_a_unit():
    samples = np.random.default_rng(0).normal(size=(2, 5))
    left = [np.delete(samples, unit, axis=1).mean(axis=1) for unit in range(5)]
    assert jackknife_means(samples) == pytest.approx(np.stack(left, axis=1))
    with pytest.raises(ResultError, match="got 1"):
        jackknife_means(np.zeros((2, 1)))


DRAWN = np.random.default_rng(7)
DATA = {
    "skewed": DRAWN.gamma(0.5, size=60),
    "hits": (DRAWN.random(80) < 0.9).astype(float),
    "reciprocal ranks": 1 / DRAWN.geometric(0.2, size=100),
}


def variance(data, axis=-1):
    """Rounded, so that scipy sees ties where there are any."""
    return np.round(np.var(data, axis=axis), 12)


@pytest.mark.parametrize("statistic", [np.mean, variance])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_bca_is_scipys_on_scipys_own_replicates(data, statistic):
    """The same formula on the same numbers: equal up to rounding. A variance is biased downwards, a mean is not."""
    scipys = stats.bootstrap((data,), statistic, n_resamples=2000, method="BCa", rng=3)
    left = np.array([statistic(np.delete(data, unit)) for unit in range(len(data))])
    bounds = bca_interval(np.array(statistic(data)), scipys.bootstrap_distribution, left)
    assert bounds == pytest.approx(scipys.confidence_interval, rel=1e-9)


def test_bca_of_means_is_scipys():
    """Two independent bootstraps: bounds of 10,000 resamples differ by about 1/50 of the interval's width."""
    data = np.stack([DATA["skewed"], np.square(DATA["skewed"])])
    low, high = bca_interval_of_means(data, seed=0)
    for place, row in enumerate(data):
        scipys = stats.bootstrap((row,), np.mean, n_resamples=10_000, method="BCa", rng=1).confidence_interval
        assert (low[place], high[place]) == pytest.approx(scipys, abs=0.08 * (scipys.high - scipys.low))


def test_bca_of_what_does_not_vary_is_a_point():
    """A tenth is not a binary fraction, so that the replicates differ from it by rounding."""
    low, high = bca_interval_of_means(np.stack([np.full(50, 0.1), np.arange(50.0)]), resamples=500, seed=0)
    assert (low[0], high[0]) == pytest.approx((0.1, 0.1))
    assert low[1] < 24.5 < high[1]


@pytest.mark.parametrize("estimate", [-1.0, 5.0])
def test_bca_has_bounds_where_all_replicates_lie_on_one_side(estimate):
    low, high = bca_interval(np.array(estimate), np.linspace(0, 1, 100), np.array([0.0, 0.0, 9.0]))
    assert 0 <= low <= high <= 1


def test_bca_leaves_out_what_is_undefined():
    replicates, left = np.linspace(-1, 2, 50), np.array([0.1, 0.3, 0.4, 0.9])
    clean = bca_interval(np.array(0.4), replicates, left)
    holed = bca_interval(np.array(0.4), np.append(replicates, np.nan), np.append(np.nan, left))
    assert np.stack(holed) == pytest.approx(np.stack(clean))
    for undefined in ((np.nan, replicates), (0.4, np.full(50, np.nan))):
        assert np.isnan(bca_interval(np.array(undefined[0]), undefined[1], left)).all()


@given(agreeing=st.integers(0, 30), won=st.integers(0, 300), lost=st.integers(0, 300))
def test_hits_are_tested_as_mcnemar_does(agreeing, won, lost):
    differences = np.repeat([0.0, 1.0, -1.0], [agreeing + 1, won, lost])
    exact = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert sign_flip_test(differences, seed=0) == pytest.approx(exact)


def scipys_sign_flip_test(differences):
    judge = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf, axis=-1)
    return judge.pvalue


EXACT = {
    "few": np.random.default_rng(0).normal(0.4, size=11),
    "few with ties": np.array([3.0, -1, -2, 1, 2, 2, 3, 0, 0]),
    "one": np.array([0.3, 0.0]),
    "ranks": np.array([5.0, -3, 8, 1, 1, -2, 9, 4, -1, 6, 7, -7, 2, 3, 3, -4, 5]),
    "hits over five draws": np.array([3, -1, 2, 5, 1, 1, -2, 4, 2, -3, 1, 2, 2, -1, 3, 4, 2]) / 5,
}


@pytest.mark.parametrize("differences", EXACT.values(), ids=EXACT)
def test_sign_flips_are_counted_exactly(differences):
    """Scipy counts all 2^n flips too."""
    assert sign_flip_test(differences, seed=0) == pytest.approx(scipys_sign_flip_test(differences))


@pytest.mark.parametrize("differences", EXACT.values(), ids=EXACT)
def test_neither_unit_nor_rounding_nor_order_matters_to_a_sign_flip_test(differences):
    p = sign_flip_test(differences, seed=0)
    for same in (-differences, differences * 0.1 / 3, differences[::-1], np.append(differences, 0.0)):
        assert sign_flip_test(same, seed=0) == pytest.approx(p)


def test_random_flips_come_near_the_exact_p():
    """17 differences without a common step; the standard error of 10,000 flips is at most .005."""
    differences = np.random.default_rng(5).normal(0.3, size=17)
    assert sign_flip_test(differences, seed=0) == pytest.approx(scipys_sign_flip_test(differences), abs=0.02)


def test_random_flips_do_not_depend_on_what_is_tested_beside_nor_on_chunks(monkeypatch):
    curves = np.random.default_rng(0).normal(0.2, size=(2, 2, 40))
    together = sign_flip_test(curves, flips=500, seed=1)
    assert together.shape == (2, 2)
    assert sign_flip_test(curves[1, 0], flips=500, seed=1) == pytest.approx(together[1, 0])
    assert np.all(together != sign_flip_test(curves, flips=500, seed=2))
    monkeypatch.setattr("valens.statistics.sign_flip._CHUNK", 40 * 8)
    assert sign_flip_test(curves, flips=500, seed=1) == pytest.approx(together)


def test_random_flips_never_give_zero():
    assert sign_flip_test(1 + np.random.default_rng(0).random(100), flips=999, seed=0) == pytest.approx(1 / 1000)


def test_no_difference_and_an_undefined_one():
    curves = np.zeros((2, 40))
    curves[1, 3] = np.nan
    assert sign_flip_test(curves, seed=0) == pytest.approx([1, np.nan], nan_ok=True)
    with pytest.raises(ResultError, match="got 0"):
        sign_flip_test(curves, flips=0, seed=0)


def test_holm_by_hand():
    """Sorted .005, .01, .03, .04, times 4, 3, 2, 1 is .02, .03, .06, .04; none may be below the one before it."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=6).map(np.array)


@given(PROBABILITIES)
def test_holm_is_the_closure_of_bonferroni(p):
    """A hypothesis falls if every intersection that contains it falls by Bonferroni: all of them are enumerated."""
    subsets = [list(s) for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    closed = [max(min(1.0, len(s) * p[s].min()) for s in subsets if test in s) for test in range(len(p))]
    assert holm(p) == pytest.approx(closed)


@given(PROBABILITIES)
def test_holm_keeps_the_order_and_only_raises(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


def test_a_test_that_could_not_be_made_does_not_count():
    p = np.array([[np.nan, 0.02, 0.01], [0.5, 0.01, 0.4]])
    assert holm(p) == pytest.approx(np.array([[np.nan, 0.02, 0.02], [0.8, 0.03, 0.8]]), nan_ok=True)


def test_layers_that_are_equal_stay_together_and_a_constant_lead_decides():
    best = np.random.default_rng(0).normal(0.3, size=50)
    samples = np.stack([best, best - 0.1, best, best - 5])
    assert not_distinguishable_from_best(samples, resamples=500, seed=0).tolist() == [True, False, True, False]
    assert not_distinguishable_from_best(samples * 0 + 0.3, resamples=500, seed=0).all()
    assert not_distinguishable_from_best(samples[:1], resamples=500, seed=0).all()


@pytest.mark.parametrize(("lead", "kept"), [(1.4, True), (1.9, False)])
def test_of_two_layers_the_second_is_tested_one_sidedly(lead, kept):
    """The normal distribution's 95 % point is 1.645 standard errors; the bootstrap of 400 units is within .05 of it."""
    noise = stats.zscore(np.random.default_rng(0).normal(size=400)) / np.sqrt(1 / 400)
    samples = np.stack([noise + lead, np.zeros(400)])
    assert not_distinguishable_from_best(samples, seed=0).tolist() == [True, kept]


def test_an_undefined_layer_is_not_among_the_best_nor_in_the_way():
    scores, replicates = np.array([0.5, np.nan, 0.1]), np.random.default_rng(0).normal(0, 0.01, size=(3, 400))
    replicates[1] = np.nan
    replicates[0, 0] = np.nan
    assert not_distinguishable_by_replicates(scores, replicates).tolist() == [True, False, False]
    assert not not_distinguishable_by_replicates(np.full(3, np.nan), replicates).any()


def test_confidence_of_the_best_is_a_probability():
    with pytest.raises(ResultError, match="got 95"):
        not_distinguishable_from_best(np.zeros((2, 3)), confidence=95, seed=0)


def test_two_representations_compared():
    """At layer 0 both find the same; at 1 `a` alone finds 8 documents; at 2 it finds 9 and misses 1 that `b` finds."""
    a, b = np.zeros((3, 40)), np.zeros((3, 40))
    a[1, :8] = a[2, :9] = b[2, 9] = 1
    found = compare_paired(a, b, resamples=2000, seed=0)
    assert found.difference == pytest.approx([0, 0.2, 0.2])
    assert found.p == pytest.approx([1, 2 / 2**8, 2 * (1 + 10) / 2**10])
    assert found.p_holm == pytest.approx([1, 3 * found.p[1], 2 * found.p[2]])
    assert (found.low[0], found.high[0]) == (0, 0)
    exact = stats.binom(40, 0.2).ppf([0.025, 0.975]) / 40  # resampled, 8 ones in 40 are a binomial
    assert (found.low[1], found.high[1]) == pytest.approx(exact, abs=1.01 / 40)  # at most a step


def test_p_rests_on_as_many_flips_however_many_resamples_the_interval_has():
    a, b = np.random.default_rng(5).normal(size=(2, 3, 30))
    few, many = (compare_paired(a, b, resamples=resamples, seed=0) for resamples in (10, 1000))
    assert few.p == pytest.approx(many.p)
    assert few.p == pytest.approx(sign_flip_test(a - b, flips=10_000, seed=0))
    assert (few.low != many.low).all()


def test_replicates_of_means_give_the_paired_t_test():
    """The bootstrap's standard error lacks the factor n / (n - 1), and is itself sure to 1 in √(2 · 4,000)."""
    drawn = np.random.default_rng(3).normal([[0.0], [0.1], [0.2]], 1.0, size=(3, 200))
    other = np.random.default_rng(4).normal(size=(3, 200))
    replicates = [bootstrap_means(side, resamples=4000, seed=0) for side in (drawn, other)]
    found = compare_replicates(drawn.mean(axis=1), other.mean(axis=1), *replicates)
    judged = stats.ttest_rel(drawn, other, axis=1)
    assert stats.norm.isf(found.p / 2) == pytest.approx(np.abs(judged.statistic), rel=0.05)
    assert found.p_holm == pytest.approx(holm(found.p))
    low, high = np.quantile(replicates[0] - replicates[1], [0.025, 0.975], axis=1)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_replicates_that_do_not_vary_and_scores_that_do_not_exist():
    """Equal throughout, ahead by the same throughout, undefined."""
    score, constant = np.array([0.5, 0.7, np.nan]), np.array([[0.5] * 9, [0.7] * 9, [np.nan] * 9])
    found = compare_replicates(score, np.full(3, 0.5), constant, np.full((3, 9), 0.5))
    np.testing.assert_array_equal(found.p, [1, 0, np.nan])
    np.testing.assert_array_equal(found.p_holm, [1, 0, np.nan])


def test_what_does_not_fit_cannot_be_compared():
    with pytest.raises(ResultError, match=r"\[3, 40\] and \[2, 40\]"):
        compare_paired(np.zeros((3, 40)), np.zeros((2, 40)), seed=0)


# --- which is the highest ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9), st.integers(0, 99))
def test_of_scores_that_are_equal_but_for_rounding_the_first_comes_first(whole, seed):
    tenths = np.array(whole) / 10
    moved = tenths + 1e-15 * np.random.default_rng(seed).choice([-1, 0, 1], size=len(whole))
    expected = sorted(range(len(whole)), key=lambda place: (-whole[place], place))
    assert highest_first(moved) == highest_first(tenths) == expected
    assert first_highest(moved) == expected[0]


def test_one_answer_more_among_a_million_is_no_tie():
    assert first_highest(np.array([0.5, 0.5 + 1e-6])) == 1
