"""What is measured of sinks, in words; the readings stand in `probes.sinks.measures`, which loads a model's libraries."""

from __future__ import annotations

HS, HS_BUT_FIRST, VA = "HS", "HS-but-first", "VA"
"""The means that are looked at, by the names of their representations."""

FIRST_LENGTH = "length of the first token"
LONGEST_LENGTH = "length of the longest token"
FIRST_SHARE = "share of the first token"
LARGEST_SHARE = "share of the largest token"
SINKS = "sinks a text"
FIRST_IS_LONGEST = "texts whose longest token is the first"
ACTIVATIONS = "massive activations a text"
SINK_SCORE = "heads that attend to the first token"
LENGTH_CORRELATION = "cosine follows length"
MEAN_COSINE = "mean cosine"
RANK = "effective rank"

METRICS = {
    FIRST_LENGTH: "over the text's median other token, median text",
    LONGEST_LENGTH: "over the text's median other token, median text",
    FIRST_SHARE: "of the mean, median text",
    LARGEST_SHARE: "of the mean, median text",
    SINKS: "tokens more than 5 times as long as the median token, mean text",
    FIRST_IS_LONGEST: "share of the texts",
    ACTIVATIONS: "above 100 and 1,000 times the median magnitude, mean text",
    SINK_SCORE: "share of the heads with a mean attention above .3",
    LENGTH_CORRELATION: "rank correlation of two texts' cosine with −|log of the ratio of their lengths|",
    MEAN_COSINE: "between different texts",
    RANK: "exp of the entropy of the squared singular values",
}
"""Every metric, with its unit."""

ATTENDS = 0.3
"""A head attends to a token with a mean attention above this (Gu et al. 2024, arXiv 2410.10781)."""
