"""What every corpus is: texts with a name each, where they came from, and what was left out on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from valens.corpora.duplicates import identity
from valens.errors import CorpusError
from valens.files.escaped_surrogates import escape_surrogates


@dataclass(frozen=True)
class NearDuplicates:
    """How many texts were left out of a corpus because they nearly repeat an earlier one; `str` says it."""

    threshold: float
    """The Jaccard similarity of 30-character shingles from which on a text nearly repeats another."""
    left_out: int

    def __str__(self) -> str:
        """Say how many there are and what they are."""
        return (
            f"left out: {self.left_out:,} that nearly repeat an earlier one ({self.threshold:g} or more of their "
            "30-character shingles in common, as Jaccard similarity)"
        )


@dataclass(frozen=True)
class Corpus:
    """Long texts to be read, none of them empty, none said twice.

    `ids` has one name a text (an id field, a file name, a title, else the number of its row). `source` says what was
    read, so that a person can find it again; `notes` say what the reader of a result should know of it, and
    `near_duplicates` what `without_near_duplicates` left out, None where nobody looked.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    near_duplicates: NearDuplicates | None = None

    def __repr__(self) -> str:
        """Describe the corpus in a line, without its texts."""
        return f"<Corpus {self.name}: {len(self.texts):,} texts from {self.source}>"

    def __post_init__(self) -> None:
        """Refuse a corpus without texts, or without one id a text."""
        if not self.texts or len(self.texts) != len(self.ids):
            raise CorpusError(
                f"{self.name} needs one text or more and an id for each; it has {len(self.texts)} texts and "
                f"{len(self.ids)} ids."
            )

    def limited(self, n: int) -> Corpus:
        """Return the corpus of the first `n` texts, or of all if there are fewer; CorpusError below 1."""
        check_limit(n)
        if n >= len(self.texts):
            return self
        return replace(self, texts=self.texts[:n], ids=self.ids[:n], notes=(*self.notes, _first_taken(n)))

    def facts(self) -> dict[str, Any]:
        """Return what a result records of the corpus; `sha256` is over the sha256 of each text in order."""
        whole = hashlib.sha256()
        for text in self.texts:
            whole.update(hashlib.sha256(text.encode()).digest())
        return {
            "name": self.name,
            "source": self.source,
            "texts": len(self.texts),
            "sha256": whole.hexdigest(),
            "notes": list(self.notes),
            "near_duplicates": asdict(self.near_duplicates) if self.near_duplicates else None,
        }


def check_limit(limit: int | None) -> None:
    """Raise CorpusError for a limit below 1; None is no limit."""
    if limit is not None and limit < 1:
        raise CorpusError(f"A limit is 1 text or more; {limit} was asked for. Leave --limit out to take them all.")


def gathered(
    name: str,
    named_texts: Iterable[tuple[str, str | None]],
    *,
    source: str,
    limit: int | None = None,
    notes: tuple[str, ...] = (),
) -> Corpus:
    """Gather texts that come one by one with their ids into a corpus, reading no further than `limit` asks for.

    A text of nothing but white space is left out, and so is one that repeats an earlier one (see `duplicates`);
    the notes count both, as far as was read. Half characters in names are escaped. CorpusError if nothing is left.
    """
    check_limit(limit)
    texts: dict[bytes, tuple[str, str]] = {}
    empty = repeated = 0
    for text_id, text in named_texts:
        if text is None or not text.strip():
            empty += 1
        elif (key := identity(text)) in texts:
            repeated += 1
        else:
            texts[key] = text_id, text
            if len(texts) == limit:
                notes = (*notes, _first_taken(limit))
                break
    if not texts:
        raise CorpusError(f"There is no text in {source}; {empty:,} were empty. Give texts to read.")
    notes += tuple(_left_out(empty, "without text") + _left_out(repeated, "that repeat an earlier one"))
    return Corpus(
        name=escape_surrogates(name),
        texts=tuple(text for _, text in texts.values()),
        ids=tuple(escape_surrogates(text_id) for text_id, _ in texts.values()),
        source=escape_surrogates(source),
        notes=tuple(map(escape_surrogates, notes)),
    )


def _first_taken(n: int) -> str:
    return f"the first {n:,} texts were taken, as asked"


def _left_out(n: int, what: str) -> list[str]:
    return [f"left out: {n:,} {what}"] if n else []
