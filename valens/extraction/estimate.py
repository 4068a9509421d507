"""The cost of a job, before anything is read for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The cost of a job, before it runs."""

    texts: int
    """The number of texts, with repeats."""
    different_texts: int
    """The number of different texts, each of which is read once."""
    tokens: int
    """The number of tokens of all texts, with repeats and without padding."""
    truncated: int
    """The number of texts that are cut at the limit of tokens."""
    passes: int
    """The number of texts that need a forward pass: those that the store does not have yet."""
    pass_tokens: int
    """The number of tokens of those texts."""
    padding: float
    """The part of the computed tokens that is padding, in [0, 1)."""
    stored_bytes: int
    """The bytes that the new vectors take on disk."""
    seconds: float
    """The time for the forward passes, measured on a first batch."""
    notes: tuple[str, ...] = ()
    """What else is known before anything is read, as how many texts are left out and why."""
