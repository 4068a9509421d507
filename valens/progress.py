"""Progress over texts: one bar with tokens a second and the time left on a terminal or in a notebook, silence elsewhere.

A notebook's bar is made with ipywidgets; where that is not installed, a notebook is silent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

Advance = Callable[[int, int], None]
"""Called with how many texts and tokens are done since the last call."""


@contextlib.contextmanager
def progress(what: str, *, texts: int, tokens: int) -> Iterator[Advance]:
    """Show how far a job over this many texts and tokens is; the bar moves by tokens, which is what takes the time."""
    if not _watched() or texts == 0:
        yield _nothing
        return
    with _bar("{task.fields[texts]:,}/{task.fields[all_texts]:,} texts", "{task.fields[speed]}") as bar:
        task = bar.add_task(what, total=tokens, texts=0, all_texts=texts, speed="")

        def advance(texts: int, tokens: int) -> None:
            done = bar.tasks[0]
            bar.update(task, advance=tokens, texts=done.fields["texts"] + texts)
            seconds = max(done.elapsed or 0.0, 1e-9)
            bar.update(task, speed=f"{done.completed / seconds:,.0f} tokens/s")

        yield advance


@contextlib.contextmanager
def steps(what: str, n: int) -> Iterator[Callable[[], None]]:
    """Show how many of n steps are done."""
    if not _watched() or n == 0:
        yield lambda: None
        return
    with _bar("{task.completed}/{task.total}") as bar:
        task = bar.add_task(what, total=n)
        yield lambda: bar.update(task, advance=1)


def _nothing(texts: int, tokens: int) -> None:
    """Advance nothing."""


def _watched() -> bool:
    """Whether somebody looks: standard error is a terminal, or a notebook runs that has what its bars are made with."""
    in_notebook = "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None
    return sys.stderr.isatty() or in_notebook


def _bar(*details: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *map(TextColumn, details),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    return Progress(*columns, console=Console(stderr=True), transient=False)
