"""From rows with fields to a corpus: which field holds the text, and which one names it."""

from __future__ import annotations

import itertools
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from valens.corpora.contract import Corpus, gathered
from valens.errors import CorpusError

TEXT_FIELDS = ("text", "context", "content", "article", "document", "body")
ID_FIELDS = ("_id", "id", "title", "name")
SAMPLE = 100
"""As many rows are looked at before the fields are chosen; a limit on the texts does not change the choice."""

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """One record of a source; `number` counts from 1 (lines of a file, where it has lines)."""

    number: int
    fields: Mapping[str, object]


def corpus_of_rows(name: str, rows: Iterable[Row], *, source: str, field: str | None, limit: int | None) -> Corpus:
    """Make a corpus of one field of rows: the one asked for, else the likeliest, which the notes then name.

    CorpusError if there is no row, no such field or no text field, or if a row holds something other than text in it.
    """
    remaining = iter(rows)
    sample = list(itertools.islice(remaining, SAMPLE))
    if not sample:
        raise CorpusError(f"{source} is empty: no record in it. Give a file with records that have a text field.")
    notes: tuple[str, ...] = ()
    if field is None:
        field = _likeliest_field(sample, source)
        notes = (f"took the field `{field}`; --field names another",)
    elif not any(field in row.fields for row in sample):
        raise CorpusError(f"{source} has no field `{field}`. {_known_fields(sample)}")
    named_by = _id_field(sample, field)
    named_texts = _named_texts(itertools.chain(sample, remaining), field, named_by, source)
    ids = f", ids from `{named_by}`" if named_by else ""
    return gathered(name, named_texts, source=f"{source}, field `{field}`{ids}", limit=limit, notes=notes)


def _named_texts(
    rows: Iterable[Row], field: str, named_by: str | None, source: str
) -> Iterator[tuple[str, str | None]]:
    for row in rows:
        text = row.fields.get(field)
        if text is not None and not isinstance(text, str):
            raise CorpusError(
                f"{source}, row {row.number}: `{field}` must hold text; it holds {type(text).__name__} "
                f"({reprlib.repr(text)}). Name a text field with --field."
            )
        if text is not None and _HALF_A_CHARACTER.search(text):
            raise CorpusError(
                f"{source}, row {row.number}: `{field}` has half of a surrogate pair, which is no character. Repair it."
            )
        named = row.fields.get(named_by) if named_by else None
        yield str(row.number if named is None else named), text


def _likeliest_field(sample: Sequence[Row], source: str) -> str:
    """Choose the first usual name that mostly holds text, else the field of the longest texts; never one with ids."""
    lengths = {name: _mean_length(sample, name) for name in _names(sample) if not _names_rows(name)}
    usual = [name for name in TEXT_FIELDS if lengths.get(name)]
    likeliest = usual[0] if usual else max(lengths, key=lambda name: lengths[name], default=None)
    if likeliest is None or not lengths[likeliest]:
        raise CorpusError(f"{source} has no field with text. {_known_fields(sample)}")
    return likeliest


def _names_rows(name: str) -> bool:
    return name.lower() in ID_FIELDS or name.lower().endswith("_id")


def _mean_length(sample: Sequence[Row], name: str) -> float:
    """Return the mean length in characters over the rows with text; 0 where most of the field's values are not text."""
    values = [value for row in sample if (value := row.fields.get(name)) is not None]
    texts = [value for value in values if isinstance(value, str)]
    return sum(map(len, texts)) / len(texts) if texts and 2 * len(texts) >= len(values) else 0.0


def _id_field(sample: Sequence[Row], field: str) -> str | None:
    """Return the first usual name whose values differ in every row of the sample; None if there is none."""
    for name in ID_FIELDS:
        values = [row.fields.get(name) for row in sample]
        different = {value for value in values if isinstance(value, str | int)}
        if name != field and len(different) == len(sample):
            return name
    return None


def _names(sample: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in sample for name in row.fields))


def _known_fields(sample: Sequence[Row]) -> str:
    fields = ", ".join(f"`{name}`" for name in _names(sample)) or "none"
    return f"Its fields are {fields}; name one that holds text with --field."
