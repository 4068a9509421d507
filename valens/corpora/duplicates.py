"""Which texts say the same thing, and which of one list are in another: letters and digits alone are compared.

Two units are equal if their texts are equal once case, spaces, punctuation and every other sign are gone. A unit is one
text, or a pair of texts in either order, as in a similarity task.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

Unit = str | tuple[str, str]

_LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")
_ASCII_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())


def normalised(text: str) -> str:
    """Return the letters and digits of a text, after Unicode's NFKC and case folding; ``""`` if it has none.

    Marks that are no part of a letter go too: the vowel signs of Hindi or Thai, the points of Hebrew and Arabic. Texts that
    differ in them alone count as the same, so in such scripts more is found in common than there is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Most signs are ASCII, and bytes lose those ten times faster than a pattern finds them.
    fewer = folded.encode("utf-8", "surrogatepass").translate(None, _ASCII_SIGNS).decode("utf-8", "surrogatepass")
    return "".join(_LETTERS_AND_DIGITS.findall(fewer))


def identity(unit: Unit) -> bytes:
    """Hash a unit to 32 bytes, the same for equal units; a text without letters and digits equals only its copy."""
    if isinstance(unit, str):
        content = normalised(unit) or unit
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()
    return hashlib.sha256(b"".join(sorted(map(identity, unit)))).digest()


def repeats(units: Iterable[Unit]) -> list[int | None]:
    """Return, for each unit, the index of the first one that it repeats; None where it is itself the first."""
    first: dict[bytes, int] = {}
    origins = [first.setdefault(identity(unit), index) for index, unit in enumerate(units)]
    return [None if origin == index else origin for index, origin in enumerate(origins)]


def distinct(units: Iterable[Unit]) -> list[int]:
    """Return the indices of the units that repeat no earlier one, in order."""
    return [index for index, origin in enumerate(repeats(units)) if origin is None]


def shared(units: Iterable[Unit], others: Iterable[Unit]) -> list[int | None]:
    """Return, for each unit, the index of the first of the others that equals it; None where none does.

    A pair equals no text: compare texts with texts, pairs with pairs.
    """
    first: dict[bytes, int] = {}
    for index, other in enumerate(others):
        first.setdefault(identity(other), index)
    return [first.get(identity(unit)) for unit in units]
