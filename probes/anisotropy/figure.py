"""The figure of the anisotropy probe, from its scores alone: mean cosine by layer, as it is and after centring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valens.plotting.by_layer import by_layer
from valens.plotting.style import Width

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def anisotropy_curves(table: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Draw the mean cosine between different texts by layer, one line a representation with its 95 % band, a panel a metric.

    `table` is an anisotropy result's scores; ResultError for one without layers.
    """
    models, corpora = (", ".join(dict.fromkeys(table[column])) for column in ("model", "corpus"))
    heading = f"Do all texts point the same way? {models} · {corpora} · {int(table.n.max()):,} texts"
    return by_layer(table, panel="metric", ylabel="cosine (band: 95 % interval)", heading=heading, width=width)
