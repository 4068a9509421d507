"""Which of the names that are known was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str], *, n: int = 1, cutoff: float = 0.6) -> str:
    """A sentence with the `n` names nearest to a word, whatever the case, and the space after it; empty if none is near.

    `cutoff` is how alike two names must be, from 0 to 1.
    """
    near = nearest(word, known, n=n, cutoff=cutoff)
    return f"Did you mean {' or '.join(near)}? " if near else ""


def nearest(word: str, known: Iterable[str], *, n: int, cutoff: float) -> list[str]:
    """The names themselves, the nearest first."""
    names = {name.lower(): name for name in known}
    return [names[name] for name in get_close_matches(word.lower(), names, n=n, cutoff=cutoff)]
