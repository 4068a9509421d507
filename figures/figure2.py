"""Figure 2: does a text's beginning find its own end, by layer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from script import figure_script

from probes.segment_matching.figure import matching_curves
from valens.plotting import Width
from valens.results.result import Result


def draw(results: Sequence[Result], width: Width) -> Mapping[str, Figure]:
    """Recall of a text's own end, from a stored segment matching."""
    (result,) = results
    return {"figure2": matching_curves(result.table, width=width)}


if __name__ == "__main__":
    figure_script(draw, kind="segment-matching", stored=Path(__file__).parent / "results", about=__doc__)
