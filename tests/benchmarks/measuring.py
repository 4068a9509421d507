"""What the benchmarks share: interleaved rounds, peak memory, and the table that they print."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Line:
    what: str
    rival: str
    ratios: list[float]
    """One a round: ours over the rival's time, or a number in the unit that `rival` names."""
    target: str


def seconds(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def processor_seconds(call: Callable[[], object]) -> float:
    """How long processors work for a call, in this process: what other jobs do shows less in it, waiting threads more."""
    gc.collect()
    start = time.process_time()
    call()
    return time.process_time() - start


def rounds(
    ours: Callable[[], object],
    rival: Callable[[], object],
    repeats: int,
    *,
    warm_up: bool = True,
    clock: Callable[[Callable[[], object]], float] = seconds,
) -> list[float]:
    """Ours over the rival's time, round by round; who goes first alternates, and a round before warms both up."""
    ratios = []
    for turn in range(repeats + warm_up):
        pair = (ours, rival) if turn % 2 else (rival, ours)
        times = {call: clock(call) for call in pair}
        ratios.append(times[ours] / times[rival])
    return ratios[warm_up:]


@contextlib.contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The largest resident memory while inside, above that on entering, in MiB."""
    process, done, peak = psutil.Process(), threading.Event(), [0.0]
    gc.collect()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], (process.memory_info().rss - before) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def show(title: str, lines: Iterable[Line]) -> None:
    """Print each line as it is measured, and all of them as a table at the end."""
    console = Console()
    table = Table(title=title, box=None)
    for column in ("what", "against", "median", "min", "max", "target"):
        table.add_column(column, justify="right" if column in {"median", "min", "max"} else "left")
    for line in lines:
        shown = (statistics.median(line.ratios), min(line.ratios), max(line.ratios))
        numbers = [f"{number:.4g}" for number in shown]
        table.add_row(line.what, line.rival, *numbers, line.target)
        console.print(f"{line.what} · {line.rival}: {numbers[0]}", style="dim", highlight=False)
    console.print(table)


def cost(*arguments: str | Path, **environment: str) -> tuple[float, float]:
    """Seconds of the clock, and of the processors, that a command of valens takes with all its processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "valens", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
