"""What is measured of sinks at each layer, and the words for it."""

from __future__ import annotations

from valens.layers.sites import Stream
from valens.representations.measures import Measure
from valens.representations.named import HS, HS_BUT_FIRST, VA
from valens.representations.readings import Reading

STREAMS = (Stream.HIDDEN, Stream.VALUES, Stream.KEYS)
"""Whose tokens' lengths are compared."""

EMBEDDINGS = {embedding.name: embedding.reading for embedding in (HS, HS_BUT_FIRST, VA)}
"""Which means are looked at."""

LENGTHS = {stream: Reading(stream, Measure.LENGTHS) for stream in STREAMS}
SHARES = {stream: Reading(stream, Measure.SHARES) for stream in (Stream.HIDDEN, Stream.VALUES)}
MASSIVE = Reading(Stream.HIDDEN, Measure.MASSIVE)
DIMENSIONS = Reading(Stream.HIDDEN, Measure.MASSIVE_BY_DIMENSION)
ATTENTION = Reading(Stream.PATTERN, Measure.TO_FIRST)

READINGS = (*EMBEDDINGS.values(), *LENGTHS.values(), *SHARES.values(), MASSIVE, DIMENSIONS, ATTENTION)

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
