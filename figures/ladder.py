"""The ladder: is it the values, or the pooling?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from script import figure_script

from probes.ladder.figure import ladder_curves, shares_closed
from valens.plotting import Width
from valens.results.result import Result


def draw(results: Sequence[Result], width: Width) -> Mapping[str, Figure]:
    """Draw steps and fixes by layer, and the share of the gap that each closes where there is one, from a stored result."""
    (result,) = results
    ways = result.detail("ways")
    shares = {"ladder-shares": shares_closed(ways, width=width)} if ways.share.notna().any() else {}
    return {"ladder": ladder_curves(result.table, width=width)} | shares


if __name__ == "__main__":
    figure_script(draw, kind="ladder", stored=Path(__file__).parent / "results", about=__doc__)
