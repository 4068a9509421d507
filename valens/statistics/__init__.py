"""What every probe needs to say how sure a number is: resamples, intervals, paired tests, and many comparisons at once.

A unit is what was drawn independently: a document, a query. Where one unit was measured several times (several random
splits of the same document), average its scores first: the draws of a unit are not units.
"""

from __future__ import annotations

from valens.statistics.best import not_distinguishable_by_replicates, not_distinguishable_from_best
from valens.statistics.intervals import bca_interval, bca_interval_of_means, percentile_interval, wilson_interval
from valens.statistics.multiplicity import holm
from valens.statistics.paired import Comparison, Difference, compare_paired, compare_replicates, paired_difference
from valens.statistics.resampling import bootstrap_means, jackknife_means, resample_counts, split_units
from valens.statistics.sign_flip import sign_flip_test
from valens.statistics.ties import ROUNDING, first_highest, highest_first

__all__ = [
    "ROUNDING",
    "Comparison",
    "Difference",
    "bca_interval",
    "bca_interval_of_means",
    "bootstrap_means",
    "compare_paired",
    "compare_replicates",
    "first_highest",
    "highest_first",
    "holm",
    "jackknife_means",
    "not_distinguishable_by_replicates",
    "not_distinguishable_from_best",
    "paired_difference",
    "percentile_interval",
    "resample_counts",
    "sign_flip_test",
    "split_units",
    "wilson_interval",
]
