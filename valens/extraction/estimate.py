"""What a job would cost, before anything is read for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """What a job would cost; `seconds` is measured on a first batch."""

    texts: int
    different_texts: int
    tokens: int
    truncated: int
    passes: int
    """How many texts a forward pass would be made for."""
    pass_tokens: int
    """How many tokens those texts have."""
    padding: float
    """The part of the computed tokens that is padding."""
    stored_bytes: int
    seconds: float
    notes: tuple[str, ...] = ()
    """What else is known before anything is read: how many texts are left out, and why."""
