"""The figures of the ladder, from its tables alone: steps and fixes by block, and what each makes good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from probes.ladder.names import HS, STEPS, VA, of_hidden
from valens.errors import ResultError
from valens.plotting.axes import panels, settle
from valens.plotting.by_layer import by_layer
from valens.plotting.labels import head
from valens.plotting.style import GREY, LINE, Width, colours_of, style
from valens.selectors import AVERAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {
    "Four steps from HS to VA": STEPS,
    "Hidden states, fixed": (HS, f"{HS} but-first", f"{HS} standardised", f"{HS} abtt-3", VA),
}


def ladder_curves(table: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Draw the mean score over task types by block: the steps, and fixes of hidden states.

    `table` is a ladder result's scores; ResultError for one without an average.
    """
    rows = table[(table.task_type == AVERAGE) & table.layer.notna()]
    parts = [rows[rows.representation.isin(names)].assign(panel=title) for title, names in _PANELS.items()]
    drawn = pd.concat(parts)
    heading = f"Is it the values, or the pooling? {', '.join(dict.fromkeys(table.model))}"
    return by_layer(
        drawn, panel="panel", ylabel="mean over task types (band: 95 % interval)", heading=heading, width=width
    )


def shares_closed(ways: pd.DataFrame, *, width: Width = "two") -> Figure:
    """Draw the share of the gap between HS and VA that each step and fix of hidden states closes, a panel a way.

    `ways` is a ladder result's `ways`; ResultError where values are ahead under no way, so that there is no gap.
    """
    rows = ways[(ways.task_type == AVERAGE) & ways.share.notna()]
    names = [name for name in of_hidden(dict.fromkeys(rows.representation)) if name != HS]
    shown = list(dict.fromkeys(rows.way))
    if not shown:
        raise ResultError(
            "Values are not surely ahead of hidden states under any way of choosing layers: no gap to close."
        )
    with style():
        height = 0.17 * len(names) + 0.3
        figure, axes, _ = panels(shown, width=width, most=len(shown), height=height, sharey=True)
        for axis, way in zip(axes, shown, strict=True):
            part = rows[rows.way == way].set_index("representation").loc[names[::-1]]
            _shares(axis, part)
            axis.set_xlabel("share")
            axis.set_ylabel("fix")
        head(
            figure,
            ["How much of the gap from HS (0) to VA (1) does a fix of hidden states close? Bars: 95 % intervals"],
        )
        settle(figure)
    return figure


def _shares(axis: Axes, part: pd.DataFrame) -> None:
    """Draw one way's shares, a row a fix, between the lines of HS and VA."""
    for share, dashes in ((0, "-"), (1, "--")):
        axis.axvline(share, color=GREY, linewidth=LINE, linestyle=dashes)
    bars = [part.share - part.share_low, part.share_high - part.share]
    rows = range(len(part))
    axis.errorbar(part.share, rows, xerr=bars, fmt="o", markersize=3.5, color=colours_of([VA])[VA], elinewidth=1)
    axis.set_yticks(rows, list(part.index))
    axis.margins(y=0.1)
