"""Attention sinks: is a mean one token, by layer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from script import figure_script

from probes.sinks.figure import sinks_by_layer
from valens.plotting import Width
from valens.results.result import Result


def draw(results: Sequence[Result], width: Width) -> Mapping[str, Figure]:
    """Draw all that was measured of sinks, from a stored result."""
    (result,) = results
    return {"sinks": sinks_by_layer(result.table, width=width)}


if __name__ == "__main__":
    figure_script(draw, kind="sinks", stored=Path(__file__).parent / "results", about=__doc__)
