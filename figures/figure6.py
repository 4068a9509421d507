"""Figure 6 and its companion by layer: who knows the next token?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from script import figure_script

from probes.next_token.figure import learning_curves, next_token_layers
from valens.plotting import Width
from valens.results.result import Result


def draw(results: Sequence[Result], width: Width) -> Mapping[str, Figure]:
    """Learning curves of a stored probing and, where single layers were probed, what each reaches."""
    (result,) = results
    figures = {"figure6": learning_curves(result.table, result.details["curves"], width=width)}
    if result.table.layer.notna().any():
        figures["figure6-layers"] = next_token_layers(result.table, width=width)
    return figures


if __name__ == "__main__":
    figure_script(draw, kind="next-token", stored=Path(__file__).parent / "results", about=__doc__)
