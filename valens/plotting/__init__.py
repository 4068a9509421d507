"""What figures are made of: panels, axes, labels and colours for lines by layer, from tables alone."""

from __future__ import annotations

from valens.plotting.by_layer import by_layer
from valens.plotting.style import Width, save_figure, write_figure

__all__ = ["Width", "by_layer", "save_figure", "write_figure"]
