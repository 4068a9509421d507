"""The numbers that decide what is left to chance."""

from __future__ import annotations

from valens.errors import ProbeError

LARGEST_SEED = 2**63 - 1
"""What numpy and torch both take."""


def check_counts(**counts: int) -> None:
    """Raise ProbeError unless each is 1 or more; each goes by the name of its option, as `resamples=1000`."""
    for name, count in counts.items():
        if count < 1:
            raise ProbeError(f"--{name.replace('_', '-')} is 1 or more; {count} was asked for. Choose another.")


def check_seed(seed: int) -> None:
    """Raise ProbeError for what is not a valid seed."""
    if not 0 <= seed <= LARGEST_SEED:
        raise ProbeError(f"A seed is a whole number from 0 to {LARGEST_SEED:,}; {seed} was asked for. Choose another.")
