"""From which length on a token is a sink: a number that also those use who load no model."""

SINK_FACTOR = 5
"""A token this many times as long as the text's median token is a sink, which `unsunk` leaves out."""
