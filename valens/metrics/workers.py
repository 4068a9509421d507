"""Work on many layers by as many processes as there are processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import joblib
from threadpoolctl import threadpool_limits

T = TypeVar("T")

WORTH_PROCESSES = 20.0
"""Seconds of work below which it is not shared: processes take seconds to start."""


def map_layers(
    work: Callable[..., T], arguments: Iterable[tuple[object, ...]], *, n: int, seconds: float
) -> Iterator[T]:
    """Yield `work(*one)` for each of the `n` arguments, in order; in processes if it is about `seconds` of work or more.

    The work is so small-grained that handing it to threads takes three times as long. Processes are started as new ones,
    not forked, so this is safe beside other threads, and stay for the next call. The arguments are asked for a few at a
    time, so that they need not be in memory together.
    """
    workers = min(joblib.cpu_count(), n)
    if workers < 2 or seconds < WORTH_PROCESSES:  # noqa: PLR2004
        with threadpool_limits(1):
            for one in arguments:
                yield work(*one)
        return
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        calls = (joblib.delayed(work)(*one) for one in arguments)
        yield from joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch=workers + 1)(calls)
