"""LongBench v2 (arXiv 2412.15204): the long contexts of 503 questions, from the hub or a local mirror of it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from valens.corpora.contract import Corpus
from valens.corpora.fields import Row, corpus_of_rows
from valens.errors import CorpusError
from valens.progress import without_datasets_bars

if TYPE_CHECKING:
    from datasets import Dataset

HUB_ID = "zai-org/LongBench-v2"
FORMER_HUB_ID = "THUDM/LongBench-v2"
REVISION = "2b48e494f2c7a2f0af81aae178e05c7e1dde0fe9"
FIELD = "context"
"""The long text of a question."""


def longbench_v2(*, data_root: Path | None = None, field: str | None = None, limit: int | None = None) -> Corpus:
    """Read the different contexts of LongBench v2 in the order of their questions.

    Args:
        data_root: a mirror, which holds the data set's files in a folder named as on the hub; None asks the hub.
        field: which field of a question is read; None is its context.
        limit: how many texts are kept, from the first on; None keeps all.

    Returns:
        The corpus.

    Raises:
        CorpusError: the data cannot be had; it says what was tried.

    """
    mirror = None if data_root is None else _mirror(data_root)
    data = _loaded(HUB_ID, REVISION) if mirror is None else _loaded(str(mirror), None)
    rows = (Row(number, fields) for number, fields in enumerate(data, start=1))
    source = f"{HUB_ID} at {REVISION}" if mirror is None else str(mirror)
    return corpus_of_rows("longbench-v2", rows, source=source, field=field or FIELD, limit=limit)


def _mirror(data_root: Path) -> Path:
    folders = [data_root / hub_id for hub_id in (HUB_ID, FORMER_HUB_ID)]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise CorpusError(
        f"There is no mirror of longbench-v2: {folders[0]} and {folders[1]} are not folders. Put the data set's "
        "data.json into one of them, or leave --data-root out to ask the hub."
    )


def _loaded(location: str, revision: str | None) -> Dataset:
    """Load the questions; `location` is a hub id with its revision, or a folder."""
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        with contextlib.nullcontext() if sys.stderr.isatty() else without_datasets_bars():
            return datasets.load_dataset(location, split="train", revision=revision)
    except (OSError, ValueError, DatasetsError, StopIteration) as error:
        # `datasets` lets a bare StopIteration out for a file without a record.
        reason = str(error).partition("\n")[0] or "no record in it"
        raise CorpusError(
            f"longbench-v2 could not be read from {location} ({reason}). Put the data set's data.json into "
            f"DIR/{HUB_ID} and give --data-root DIR, or go online."
        ) from error
