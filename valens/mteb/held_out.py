"""A training set parted into what is learnt from and what is held out, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from valens.corpora.duplicates import normalised

HELD_OUT = 0.25
"""The share of the different texts that is held out."""

SEED = 0
"""Decides which. It is part of what a task is, so it is no argument."""


def held_out(texts: Sequence[str]) -> list[bool]:
    """Return whether each text is held out; texts of the same letters and digits always stay together."""
    limit = int(HELD_OUT * 2**64)
    return [
        int.from_bytes(sha256(f"{SEED}/{normalised(text) or text}".encode()).digest()[:8]) < limit for text in texts
    ]
