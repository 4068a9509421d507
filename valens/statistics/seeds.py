"""The numbers that decide what is left to chance."""

from __future__ import annotations

from valens.errors import ProbeError

LARGEST_SEED = 2**63 - 1
"""What numpy and torch both take."""


def check_seed(seed: int) -> None:
    """Raise ProbeError for what is not a valid seed."""
    if not 0 <= seed <= LARGEST_SEED:
        raise ProbeError(f"A seed is a whole number from 0 to {LARGEST_SEED:,}; {seed} was asked for. Choose another.")
