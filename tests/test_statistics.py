import numpy as np
import pytest
from scipy import stats

from valens.errors import ResultError
from valens.statistics import paired_difference, percentile_interval, resample_counts


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
