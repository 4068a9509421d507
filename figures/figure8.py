"""Figure 8 and its companions, by layer and as a map: which vectors predict the tokens after a prefix?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from script import figure_script

from probes.logit_lens.figure import lens_by_layer, lens_by_offset, lens_map
from valens.plotting import Width
from valens.results.result import Result


def draw(results: Sequence[Result], width: Width) -> Mapping[str, Figure]:
    """MRR@100 by offset, by layer and by both, from a stored logit lens."""
    (result,) = results
    return {
        "figure8": lens_by_offset(result.details["best"], width=width),
        "figure8-layers": lens_by_layer(result.table, width=width),
        "figure8-map": lens_map(result.table, width=width),
    }


if __name__ == "__main__":
    figure_script(draw, kind="logit-lens", stored=Path(__file__).parent / "results", about=__doc__)
