"""Figures from result tables alone: no model, no store. One file a figure; what they share is in `style`."""

from __future__ import annotations

from figures.script import figure_script
from probes.layer_sweep.figure import TASK_TYPE_COLOURS, layer_curves
from probes.logit_lens.figure import lens_by_layer, lens_by_offset, lens_map
from probes.next_token.figure import learning_curves, next_token_layers
from probes.segment_matching.figure import matching_curves
from valens.plotting.style import Width, save_figure, write_figure

__all__ = [
    "TASK_TYPE_COLOURS",
    "Width",
    "figure_script",
    "layer_curves",
    "learning_curves",
    "lens_by_layer",
    "lens_by_offset",
    "lens_map",
    "matching_curves",
    "next_token_layers",
    "save_figure",
    "write_figure",
]
