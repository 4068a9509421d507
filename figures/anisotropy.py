"""Anisotropy: do all texts point the same way, by layer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from script import figure_script

from probes.anisotropy.figure import anisotropy_curves
from valens.plotting import Width
from valens.results.result import Result


def draw(results: Sequence[Result], width: Width) -> Mapping[str, Figure]:
    """Draw the mean cosine between different texts, from a stored result."""
    (result,) = results
    return {"anisotropy": anisotropy_curves(result.table, width=width)}


if __name__ == "__main__":
    figure_script(draw, kind="anisotropy", stored=Path(__file__).parent / "results", about=__doc__)
