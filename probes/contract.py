"""Results that draw themselves: what the results of all four probes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from valens.results.result import Result


class PlottableResult(Result, ABC):
    """A result that has figures, which are drawn from its tables alone."""

    @abstractmethod
    def figures(self) -> Mapping[str, Callable[[], Any]]:
        """What draws each figure, by the name that its files have; the main one first."""

    def plot(self) -> Any:
        """The main figure, as a matplotlib figure."""
        return next(iter(self.figures().values()))()

    def extra_files(self) -> tuple[str, ...]:
        """The files of the figures."""
        return tuple(f"{name}.{suffix}" for name in self.figures() for suffix in ("pdf", "png"))

    def save(self, folder: str | Path) -> Path:
        """Write the result, and then each figure as PDF and PNG."""
        from valens.plotting import save_figure

        out = super().save(folder)
        for name, draw in self.figures().items():
            save_figure(draw(), out, name)
        return out
