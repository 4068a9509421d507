"""Progress over texts: one bar with tokens a second and the time left on a terminal or in a notebook, silence elsewhere.

A notebook's bar is made with ipywidgets; where that is not installed, a notebook is silent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

Advance = Callable[[int, int], None]
"""Called with how many texts and tokens are done since the last call."""


@contextlib.contextmanager
def progress(title: str, *, texts: int, tokens: int) -> Iterator[Advance]:
    """Show how far a job over this many texts and tokens is.

    Args:
        title: what is written before the bar.
        texts: how many texts the job has in all; they are counted beside the bar. 0 shows nothing.
        tokens: how many tokens they have; the bar moves by tokens, which is what takes the time.

    Yields:
        A function to call with the texts and the tokens that are done since the last call.

    """
    with _bar("{task.fields[texts]:,}/{task.fields[all_texts]:,} texts", "{task.fields[speed]}", total=texts) as bar:
        task = bar.add_task(title, total=tokens, texts=0, all_texts=texts, speed="")

        def advance(texts: int, tokens: int) -> None:
            state = bar.tasks[0]
            bar.update(task, advance=tokens, texts=state.fields["texts"] + texts)
            seconds = max(state.elapsed or 0.0, 1e-9)
            bar.update(task, speed=f"{state.completed / seconds:,.0f} tokens/s")

        yield advance


@contextlib.contextmanager
def steps(title: str, n: int) -> Iterator[Callable[[], None]]:
    """Show how many of n steps are done; yields a function to call after each step. 0 steps show nothing."""
    with _bar("{task.completed}/{task.total}", total=n) as bar:
        task = bar.add_task(title, total=n)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def without_datasets_bars() -> Iterator[None]:
    """Keep back the progress bars of the library `datasets` within `with`; afterwards they are as they were."""
    import datasets

    were_disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            datasets.enable_progress_bars()


def _bar(*details: str, total: int) -> Progress:
    """Make a bar that shows itself where somebody looks and there is something to do, and is silent elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *map(TextColumn, details),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        disable=total == 0 or not _watched(),
    )


def _watched() -> bool:
    """Return whether standard error is a terminal, or a notebook runs that has what its bars are made with."""
    in_notebook = "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None
    return sys.stderr.isatty() or in_notebook
