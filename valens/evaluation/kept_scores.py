"""Scores that were computed before, in the user's cache: the same vectors, task, settings and code give the same.

A score is found by all that it depends on, and its file says that. The vectors count by their bytes, not by where they come
from: those of a store that was damaged are others. A file that is damaged is none.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from jaxtyping import Float

from valens import metrics, statistics, tasks
from valens.evaluation.bootstrap import Evaluation
from valens.evaluation.evaluate import evaluate
from valens.files.digests import digest, key_of
from valens.files.strict_json import to_json
from valens.files.user_cache import FORMAT, cache_folder, code_hash, place, write_content
from valens.tasks import Task

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "mteb")
_SEAL = hashlib.sha256().digest_size


def kept_evaluation(task: Task, vectors: Float[np.ndarray, "layer text d"], **settings: Any) -> Evaluation:
    """Return what `evaluate` gives, to the bit, computed unless it is kept; for the arguments and errors see there."""
    if cache_folder() is None:
        return evaluate(task, vectors, **settings)
    about = {
        "format": FORMAT,
        "vectors": {"sha256": _sha256(vectors), "shape": list(vectors.shape), "dtype": str(vectors.dtype)},
        "task": {"name": task.name, "type": task.task_type, "metric": task.metric, "content": digest(asdict(task))},
        "settings": settings,
        "made by": _code(),
    }
    path = place("scores", f"{key_of(about)}.npz")
    try:
        found = _read(b"" if path is None else path.read_bytes(), about)
    except OSError:
        found = None
    if found is None:
        found = evaluate(task, vectors, **settings)
        write_content(path, _written(about, found))
    return found


def _sha256(vectors: Float[np.ndarray, "layer text d"]) -> str:
    return hashlib.sha256(np.ascontiguousarray(vectors).data).hexdigest()


@cache
def _code() -> dict[str, str]:
    code = code_hash(metrics.__name__, statistics.__name__, tasks.__name__, __package__ or "")
    return {"code": code} | {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _read(content: bytes, about: Mapping[str, Any]) -> Evaluation | None:
    """Return the evaluation of a file; None for one that is not as it was written, or about something else."""
    body, seal = content[:-_SEAL], content[-_SEAL:]
    if hashlib.sha256(body).digest() != seal:
        return None
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        said = json.loads(str(arrays["about"]))
        return _evaluation(said["evaluations"], arrays) if said["about"] == json.loads(to_json(dict(about))) else None


def _written(about: Mapping[str, Any], evaluation: Evaluation) -> bytes:
    """Return what a file has: an npz archive, and then its sha256."""
    parts = list(_parts(evaluation))
    facts = [{"n": part.n, "unit": part.unit, "sample": part.sample} for part in parts]
    arrays: dict[str, Any] = {"about": np.array(to_json({"about": dict(about), "evaluations": facts}))}
    for index, part in enumerate(parts):
        arrays |= {f"score{index}": part.score, f"replicates{index}": part.replicates}
        arrays |= {} if part.samples is None else {f"samples{index}": part.samples}
    body = io.BytesIO()
    np.savez(body, **arrays)
    return body.getvalue() + hashlib.sha256(body.getvalue()).digest()


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
