"""One word for every corpus: a name that is known, or a path."""

from __future__ import annotations

import os
from pathlib import Path

from valens.corpora.contract import Corpus, check_limit
from valens.corpora.files import FORMS, corpus_at
from valens.corpora.longbench import longbench_v2
from valens.corpora.wikipedia_sample import wikipedia_corpus
from valens.errors import CorpusError, did_you_mean

CORPORA = ("wikipedia", "longbench-v2")
_SHOWN = 120
"""Characters of a name or path that an error shows."""


def corpus(
    name: str | Path, *, data_root: str | Path | None = None, field: str | None = None, limit: int | None = None
) -> Corpus:
    """Read the long texts of a known name, or of a folder or file.

    Args:
        name: `wikipedia` (a sample of 2016 in gensim's wheel); `longbench-v2` (arXiv 2412.15204, from the hub); or the
            path of a folder of .txt files, or of a .jsonl, .jsonl.gz, .json or .parquet file. Write ``./wikipedia`` for
            a folder of that name.
        data_root: a local mirror of the hub for `longbench-v2`, with a folder named as on the hub; None asks the hub.
        field: the field of records that holds the text; None takes the likeliest one, which the corpus's notes name.
        limit: how many texts are kept, from the first on; None keeps all.

    Returns:
        The corpus: its different texts, each with an id, and notes on what was left out.

    Raises:
        CorpusError: what cannot be found or read, with the file, the line or row in it, and what to do.
        MissingPackageError: `wikipedia` without gensim's wheel.

    """
    check_limit(limit)
    if name == "wikipedia":
        if field is not None:
            raise CorpusError(f"The articles of wikipedia have no field `{field}`. Leave --field out.")
        _check_mirror(name, data_root)
        return wikipedia_corpus(limit=limit)
    if name == "longbench-v2":
        root = None if data_root is None else _expanded(data_root)
        return longbench_v2(data_root=root, field=field, limit=limit)
    path = _expanded(name)
    if name == "" or not _exists(path):
        raise CorpusError(_not_found(name))
    _check_mirror(name, data_root)
    return corpus_at(path, field=field, limit=limit)


def _check_mirror(name: str | Path, data_root: str | Path | None) -> None:
    if data_root is not None:
        raise CorpusError(f"{_short(name)} is not read from the hub, nor from a mirror of it. Leave --data-root out.")


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"{_short(path)} is in no home folder that is known here. Write the whole path.") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise CorpusError(
            f"{_short(path)} cannot be looked up ({error.strerror}). A corpus is {', '.join(CORPORA)}, {FORMS}."
        ) from error


def _short(name: str | Path) -> str:
    whole = str(name)
    return whole if len(whole) <= _SHOWN else f"{whole[: _SHOWN - 1]}…"


def _not_found(name: str | Path) -> str:
    if isinstance(name, Path) or os.sep in name or Path(name).suffix:
        return f"There is no file or folder {name}. A corpus is {', '.join(CORPORA)}, {FORMS}."
    hint = did_you_mean(name, CORPORA)
    known = ", ".join(CORPORA)
    return f"There is no corpus {name!r}, and no such file or folder. {hint}Give {known} or a path: {FORMS}."
