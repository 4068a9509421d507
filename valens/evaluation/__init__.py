"""Scores of a task at every layer, with bootstrap replicates."""
