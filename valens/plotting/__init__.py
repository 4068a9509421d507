"""What figures are made of: panels, axes, labels and colours for lines by layer, from tables alone."""

from __future__ import annotations

from valens.plotting.style import Width, save_figure, write_figure

__all__ = ["Width", "save_figure", "write_figure"]
