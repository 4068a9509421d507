"""A user's texts: a folder of .txt files, or one file of records as .jsonl, .jsonl.gz, .json or .parquet."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from valens.corpora.contract import Corpus, gathered
from valens.corpora.fields import Row, corpus_of_rows
from valens.errors import CorpusError

FORMS = "a folder of .txt files, or a .jsonl, .jsonl.gz, .json or .parquet file"


def corpus_at(path: Path, *, field: str | None = None, limit: int | None = None) -> Corpus:
    """Read the corpus in a folder or file, which must exist; files with records are read no further than needed.

    Raises CorpusError with the file, the line in it and what to do if it cannot be read.
    """
    try:
        return _folder(path, field, limit) if path.is_dir() else _file(path, field, limit)
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise CorpusError(
            f"{error.filename or path} cannot be read ({reason}). Make it readable, or give another."
        ) from error


def _file(path: Path, field: str | None, limit: int | None) -> Corpus:
    reader = next((reader for ending, reader in _READERS.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        hint = " Put it into a folder and give that: one text a file." if path.suffix.lower() == ".txt" else ""
        raise CorpusError(f"{path} is not a file that holds a corpus.{hint} A corpus is {FORMS}.")
    return corpus_of_rows(path.name, reader(path), source=str(path), field=field, limit=limit)


# --- a folder ---------------------------------------------------------------------------------------------------------


def _folder(folder: Path, field: str | None, limit: int | None) -> Corpus:
    if field is not None:
        raise CorpusError(f"{folder} is a folder of .txt files, which have no field `{field}`. Leave --field out.")
    files = [path for path in folder.rglob("*") if path.is_file()]
    seen = [path for path in files if not _hidden(path.relative_to(folder))]
    texts = sorted(filter(_is_txt, seen))
    if not texts:
        kinds = Counter(path.suffix or path.name for path in seen).most_common(3)
        contents = ", ".join(f"{n:,} {kind}" for kind, n in kinds) or "nothing"
        raise CorpusError(f"{folder} has no .txt file in it; it has {contents}. A corpus is {FORMS}.")
    n_hidden = sum(map(_is_txt, files)) - len(texts)
    notes = (f"passed over: {n_hidden:,} .txt files that are hidden by a dot",) if n_hidden else ()
    named_texts = ((path.relative_to(folder).as_posix(), _text(path)) for path in texts)
    return gathered(folder.resolve().name, named_texts, source=f"the .txt files of {folder}", limit=limit, notes=notes)


def _hidden(path: Path) -> bool:
    """Return whether a file is hidden or in a hidden folder, as what macOS leaves beside each file, `._3.txt`."""
    return any(part.startswith(".") for part in path.parts)


def _is_txt(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _text(path: Path) -> str:
    return _decoded(path.read_bytes(), path, starts_at=0).removeprefix("\ufeff")


def _decoded(data: bytes, path: Path, *, starts_at: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 (byte {starts_at + error.start:,}). Convert it, as with iconv -t utf-8."
        ) from error


# --- files of records -------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[Row]:
    """Read the objects of a file with one a line; blank lines are passed over."""
    with path.open("rb") as stream:
        yield from _objects(stream, path)


def _gzipped_lines(path: Path) -> Iterator[Row]:
    try:
        with gzip.open(path) as stream:
            yield from _objects(stream, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path} is not a whole gzip file ({error}). Fetch or pack it again.") from error


def _objects(lines: Iterable[bytes], path: Path) -> Iterator[Row]:
    starts_at = 0
    for number, line in enumerate(lines, start=1):
        text = _decoded(line, path, starts_at=starts_at)
        starts_at += len(line)
        if text.strip("\ufeff \t\r\n"):
            yield Row(number, _object(_parsed(text, path, number), path, number))


def _parsed(text: str, path: Path, number: int | None = None) -> object:
    """Parse the JSON of a line with its number, or of a whole file."""
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        line = error.lineno if number is None else number
        hint = "A file with one object a line is called .jsonl." if error.msg == "Extra data" else "Fix it."
        raise CorpusError(f"{path}, line {line}: broken JSON ({error.msg}, column {error.colno}). {hint}") from error
    except (ValueError, RecursionError) as error:
        where = path if number is None else f"{path}, line {number}"
        what = "it is nested too deep" if isinstance(error, RecursionError) else "a number has too many digits"
        raise CorpusError(f"{where}: JSON that cannot be read ({what}). Fix or remove it.") from error


def _object(value: object, path: Path, number: int) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise CorpusError(
        f'{path}, row {number}: a record must be an object, as {{"text": "…"}}; found {type(value).__name__}.'
    )


def _array(path: Path) -> Iterator[Row]:
    """Read the objects of a file that is one JSON array, which is read whole."""
    text = _decoded(path.read_bytes(), path, starts_at=0)
    values = _parsed(text, path) if text.strip("\ufeff \t\r\n") else []
    if not isinstance(values, list):
        raise CorpusError(f"{path} must be an array of objects; found {type(values).__name__}. A corpus is {FORMS}.")
    for number, value in enumerate(values, start=1):
        yield Row(number, _object(value, path, number))


def _table(path: Path) -> Iterator[Row]:
    """Read the rows of a parquet file, some at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(batch_size=64) for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield Row(number, row)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpusError(f"{path} cannot be read as parquet ({reason}). Fetch or write it again.") from error


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _lines,
    ".jsonl.gz": _gzipped_lines,
    ".json": _array,
    ".parquet": _table,
}
