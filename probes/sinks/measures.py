"""What is read to measure sinks."""

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
