"""mteb, imported when it is needed; it changes no state of the process."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from valens.errors import MissingPackageError
from valens.progress import without_datasets_bars


@contextmanager
def preserve_rng_state() -> Iterator[Any]:
    """Give the package `mteb`, within `with`; MissingPackageError if it is not installed.

    mteb seeds the random generators of the whole process whenever a task is made, and the library that loads its data
    draws bars; the generators are given back as they were, and the bars are kept back.
    """
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        mteb = _imported()
        with without_datasets_bars():
            yield mteb
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(pytorch)


def _imported() -> Any:
    try:
        return importlib.import_module("mteb")
    except ModuleNotFoundError as error:
        if error.name != "mteb":
            raise
        raise MissingPackageError(
            'Tasks of MTEB need the package mteb, which is not installed. Run: pip install "valens-lm[mteb]"'
        ) from error


@contextmanager
def reading_afresh(folder: Path) -> Iterator[None]:
    """Let the library that loads data keep what it reads of a local folder under what the folder holds now.

    Left alone, it knows a folder by its last name and by its data card, and after the files have changed, or for another
    folder of that name, it would go on giving what it read first.
    """
    config = importlib.import_module("datasets").config
    usual = config.HF_DATASETS_CACHE
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]
    config.HF_DATASETS_CACHE = Path(usual) / "mirrors" / sha256(repr((str(folder), facts)).encode()).hexdigest()[:32]
    try:
        yield
    finally:
        config.HF_DATASETS_CACHE = usual
