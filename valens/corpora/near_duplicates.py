"""Texts that nearly repeat an earlier one: most of their shingles are shared, runs of 30 letters and digits.

MinHash (the package datasketch) proposes pairs, so that not every pair has to be compared; the exact Jaccard similarity of
their shingles, as 64-bit hashes, decides. Letters and digits alone count, as in `duplicates`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt64

from valens.corpora.contract import Corpus, NearDuplicates
from valens.corpora.duplicates import normalised
from valens.errors import CorpusError, MissingPackageError
from valens.progress import steps

SHINGLE = 30
"""Letters and digits of a shingle. A shorter text is one shingle."""

LEAST = 0.5
"""The lowest threshold: MinHash as it is set here proposes pairs below it too seldom."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SKETCHED = 4096
"""A long text is proposed by its shingles with the smallest hashes: the same ones, where they are shared."""
_BANDS, _ROWS = 64, 2
"""Of MinHash's 128 numbers. A pair is proposed with probability 1 − (1 − s²)⁶⁴ at similarity s: .999 at one third, the least
that two sketches have of texts at .5, and .006 at .01, more than different texts share."""


def without_near_duplicates(corpus: Corpus, *, threshold: float = 0.9) -> Corpus:
    """Leave out the texts of a corpus that nearly repeat an earlier one.

    Two texts are near-duplicates where the Jaccard similarity of their sets of 30-character shingles is `threshold` or more:
    the shingles that both have, divided by those that either has. Case, spaces and signs do not count. Of each group the
    first text is kept, so that no two of those that are kept are near-duplicates.

    Args:
        corpus: the texts.
        threshold: the similarity from which on a text is left out, .5 to 1.

    Returns:
        The corpus of the texts that are kept, in their order; its notes say how many were left out, and `near_duplicates`
        has the number.

    Raises:
        CorpusError: a threshold outside .5 to 1.
        MissingPackageError: the package datasketch is not installed.

    """
    check_threshold(threshold)
    kept = _first_of_each(corpus.texts, threshold)
    found = NearDuplicates(threshold, len(corpus.texts) - len(kept))
    return replace(
        corpus,
        texts=tuple(corpus.texts[index] for index in kept),
        ids=tuple(corpus.ids[index] for index in kept),
        notes=(*corpus.notes, str(found)),
        near_duplicates=found,
    )


def check_threshold(threshold: float) -> None:
    """Raise CorpusError for what is no threshold, MissingPackageError without the package that proposes pairs."""
    if not LEAST <= threshold <= 1:
        raise CorpusError(
            f"--near-duplicates is a Jaccard similarity from {LEAST} to 1; {threshold:g} was asked for. Ask for .9, or "
            "leave it out to keep texts that nearly repeat."
        )
    _datasketch()


def shingles(text: str) -> UInt64[np.ndarray, " shingle"]:
    """Return the 64-bit hashes of a text's different shingles, in rising order; of the whole text if it is shorter."""
    letters = normalised(text) or text
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    length = min(SHINGLE, len(codes))
    hashes = np.zeros(len(codes) - length + 1, dtype=np.uint64)
    for place in range(length):
        hashes = hashes * _BASE + codes[place : place + len(hashes)]
    return np.unique(_mixed(hashes))


def jaccard(ours: UInt64[np.ndarray, " shingle"], theirs: UInt64[np.ndarray, " other"]) -> float:
    """Return how many shingles two texts share of all that they have, exactly, 0 to 1."""
    shared = len(np.intersect1d(ours, theirs, assume_unique=True))
    return shared / (len(ours) + len(theirs) - shared)


def _first_of_each(texts: Sequence[str], threshold: float) -> list[int]:
    """Return the indices of the texts that are near-duplicates of no text that was kept before."""
    datasketch = _datasketch()
    proposals = datasketch.MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
    kept = []
    with steps("Looking for near-duplicates", len(texts)) as step:
        for index, text in enumerate(texts):
            own = shingles(text)
            sketch = datasketch.MinHash(num_perm=_BANDS * _ROWS, hashfunc=int)
            sketch.update_batch((own[:_SKETCHED] & np.uint64(0xFFFFFFFF)).tolist())
            alike = (jaccard(own, shingles(texts[other])) for other in proposals.query(sketch))
            if not any(similarity >= threshold for similarity in alike):
                proposals.insert(index, sketch)
                kept.append(index)
            step()
    return kept


def _mixed(hashes: UInt64[np.ndarray, " shingle"]) -> UInt64[np.ndarray, " shingle"]:
    """Spread hashes over all 64 bits (the finaliser of SplitMix64, which maps no two to one)."""
    for shift, mixer in zip((30, 27), _MIXERS, strict=True):
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * mixer
    return hashes ^ (hashes >> np.uint64(31))


def _datasketch() -> Any:
    try:
        return importlib.import_module("datasketch")
    except ModuleNotFoundError as error:
        if error.name != "datasketch":
            raise
        raise MissingPackageError(
            "Near-duplicates are found with the package datasketch, which is not installed. "
            'Run: pip install "valens-lm[near-duplicates]"'
        ) from error
