"""Scores that were computed before, in the user's cache: the same vectors, task, settings and code give the same.

A score is found by all that it depends on, and its file says that in words. One that is damaged is none.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from valens import metrics, statistics
from valens.evaluation.bootstrap import Evaluation
from valens.files import atomic
from valens.files.digests import digest, key_of
from valens.files.strict_json import to_json
from valens.files.user_cache import cache_folder, code_hash
from valens.tasks import Task

_LIBRARIES = ("numpy", "scipy", "scikit-learn")


def kept_evaluation(
    vectors: Mapping[str, Any], task: Task, compute: Callable[[], Evaluation], **settings: Any
) -> Evaluation:
    """Return an evaluation, computed unless it is kept.

    Args:
        vectors: all that tells these vectors from others, JSON-able.
        task: what they are scored on.
        compute: what makes the evaluation.
        settings: those of `evaluate`.

    Returns:
        The evaluation, to the bit as it was computed.

    """
    folder = cache_folder()
    if folder is None:
        return compute()
    about = {"vectors": dict(vectors), "task": _identity(task), "settings": settings, "made by": _code()}
    path = folder / "scores" / f"{key_of(about)}.npz"
    found = _read(path, about)
    if found is None:
        found = compute()
        _write(path, about, found)
    return found


@cache
def _code() -> dict[str, str]:
    code = code_hash(metrics.__name__, statistics.__name__, __package__ or "")
    return {"code": code} | {name: version(name) for name in _LIBRARIES}


def _identity(task: Task) -> dict[str, str]:
    return {"name": task.name, "task_type": task.task_type, "metric": task.metric, "content": digest(asdict(task))}


def _read(path: Path, about: Mapping[str, Any]) -> Evaluation | None:
    """Return the evaluation of a file; None if there is none, or one that is not as it was written."""
    try:
        content = path.read_bytes()
        body, seal = content[:-32], content[-32:]
        if hashlib.sha256(body).digest() != seal:
            return None
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            said = json.loads(str(arrays["about"]))
            return _evaluation(said["evaluations"], arrays) if said["about"] == json.loads(to_json(about)) else None
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _write(path: Path, about: Mapping[str, Any], evaluation: Evaluation) -> None:
    parts = list(_parts(evaluation))
    facts = [{"n": part.n, "unit": part.unit, "sample": part.sample} for part in parts]
    arrays: dict[str, Any] = {"about": np.array(to_json({"about": dict(about), "evaluations": facts}))}
    for index, part in enumerate(parts):
        arrays |= {f"score{index}": part.score, f"replicates{index}": part.replicates}
        arrays |= {} if part.samples is None else {f"samples{index}": part.samples}
    body = io.BytesIO()
    np.savez(body, **arrays)
    content = body.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.sweep_temporaries(path.parent)
        atomic.write_bytes(path, content + hashlib.sha256(content).digest())
    except OSError:
        return  # it is computed again


def _parts(evaluation: Evaluation) -> Iterator[Evaluation]:
    """Yield the whole, then the splits, which have no splits of their own."""
    yield evaluation
    yield from evaluation.splits


def _evaluation(facts: list[dict[str, Any]], arrays: Mapping[str, np.ndarray]) -> Evaluation:
    whole, *splits = (
        Evaluation(
            score=arrays[f"score{index}"],
            replicates=arrays[f"replicates{index}"],
            samples=arrays.get(f"samples{index}"),
            **fact,
        )
        for index, fact in enumerate(facts)
    )
    return Evaluation(**{**vars(whole), "splits": tuple(splits)})
