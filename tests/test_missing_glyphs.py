"""Every kind of figure stays legible: any number of layers, odd names, gaps, both widths; and to colour-blind eyes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from readable import assert_readable, drawn_texts

from probes.layer_sweep.figure import TASK_TYPE_COLOURS, layer_curves
from probes.logit_lens.figure import lens_by_layer, lens_by_offset, lens_map
from probes.next_token.figure import learning_curves, next_token_layers
from probes.segment_matching.figure import matching_curves
from valens import plotting
from valens.errors import ResultError
from valens.plotting import labels, style

LONG = "a-laboratory/A-Model-With-A-Very-Long-Name-Instruct-2026-11-21-of-which-nothing-may-be-lost"
SIX = ("VA", "HS", "LT", "hidden:norm/weighted", "attn_out/weighted", "of_my_own_with_a_very_long_name")

# layers, representations, model, corpus, the share of layers without a score
WORLDS = {
    "one layer": (1, SIX[:1], "tiny", "few texts", 0.0),
    "two layers": (2, SIX, "tiny", "人民日报.jsonl", 0.0),
    "36 layers with gaps": (36, SIX[:2], LONG, "cost $5 and $6", 0.4),
    "80 layers": (80, SIX, LONG, f"{LONG}.jsonl.gz", 0.0),
    "no score at all": (2, SIX[:2], "tiny", "<b>&amp;", 1.0),
}


def rows(world: str, **others: list) -> pd.DataFrame:
    """A row for every layer, representation and combination of the others, with scores drawn from a seed."""
    n_layers, names, model, corpus, gaps = WORLDS[world]
    keys = {"layer": list(range(1, n_layers + 1)), "representation": list(names), **others}
    table = pd.DataFrame(list(product(*keys.values())), columns=list(keys))
    rng = np.random.default_rng(0)
    score = np.where(rng.random(len(table)) < gaps, np.nan, rng.uniform(0.2, 0.9, len(table)))
    table = table.assign(model=model, corpus=corpus, depth=table.layer / n_layers, score=score, n=50)
    return table.assign(low=table.score - 0.1, high=table.score + 0.1).astype({"layer": "Int64"})


def without_layer(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The table and below it, for each of its panels, a row of something that has no layers."""
    panels = [column for column in ("metric", "offset", "norm") if column in table]
    other = table.drop_duplicates(panels).assign(**({"layer": pd.NA} | values))
    return pd.concat([table, other.astype({"layer": "Int64"})], ignore_index=True)


def matching(world: str, width: str) -> Figure:
    table = rows(world, metric=["recall@1", "recall@10"]).assign(direction="prefix to suffix")
    table = without_layer(without_layer(table, representation="TF-IDF", score=0.95), representation="chance", score=0.0)
    return matching_curves(table, width=width)


def sweep(world: str, width: str) -> Figure:
    table = rows(world, task_type=list(TASK_TYPE_COLOURS)).drop(columns="corpus")
    return layer_curves(table.assign(task=table.task_type), width=width)


def probing(world: str) -> pd.DataFrame:
    table = rows(world, metric=["accuracy", "cross-entropy", "validation cross-entropy", "selectivity"])
    table = table.assign(layers=table.layer.astype(str), prefixes=900)
    table.loc[table.metric == "validation cross-entropy", "score"] = 1.0
    for name in ("model", "model, all tokens", "bigram"):
        table = without_layer(table, representation=name, layers=None, score=0.5)
    return table[table.layers.notna() | (table.metric != "validation cross-entropy")]


def learning(world: str, width: str) -> Figure:
    curves = pd.concat([probing(world).assign(step=step) for step in (3, 50, 500)], ignore_index=True)
    return learning_curves(probing(world), curves.assign(lowest=curves.low, highest=curves.high), width=width)


def probed(world: str, width: str) -> Figure:
    return next_token_layers(probing(world), width=width)


def lens(world: str) -> pd.DataFrame:
    table = rows(world, offset=[1, 2, 7], norm=[False, True])
    return without_layer(table, representation="unigram").query("representation != 'unigram' or not norm")


def by_offset(world: str, width: str) -> Figure:
    first = lens(world).drop_duplicates(["representation", "offset", "norm"])
    best = pd.concat([first.assign(choice="held out"), first.assign(choice="best layer", score=0.5)])
    return lens_by_offset(best, width=width)


def by_layer(world: str, width: str) -> Figure:
    return lens_by_layer(lens(world), width=width)


def as_map(world: str, width: str) -> Figure:
    return lens_map(lens(world), width=width)


def generic(world: str, width: str) -> Figure:
    return plotting.by_layer(rows(world, task=["a task", LONG]), heading=WORLDS[world][2], width=width)


FIGURES = (matching, sweep, learning, probed, by_offset, by_layer, as_map, generic)
SMALL = ("one layer", "two layers", "no score at all")
ONE, TWO = style.WIDTHS
CASES = [
    (figure, world, width if place % 2 else {ONE: TWO, TWO: ONE}[width])
    for place, figure in enumerate(FIGURES)
    for world, width in ((SMALL[place % 3], ONE), ("36 layers with gaps", TWO), ("80 layers", ONE))
]


@pytest.mark.parametrize(("draw", "world", "width"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_every_text_can_be_read(draw: Callable[[str, str], Figure], world: str, width: str) -> None:
    figure = draw(world, width)
    assert figure.get_figwidth() == style.WIDTHS[width]
    assert_readable(figure)
    assert plt.get_fignums() == []


def test_no_letter_of_a_name_is_lost() -> None:
    texts = "".join(text for text, _ in drawn_texts(matching("80 layers", "one")))
    assert LONG in texts.replace("\n", "")
    assert "cost $5 and $6" in " ".join(
        text.replace("\n", " ") for text, _ in drawn_texts(matching("36 layers with gaps", "two"))
    )


def test_a_letter_that_no_font_has_is_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "fonts", lambda: ("DejaVu Sans",))
    labels._drawable.cache_clear()
    assert labels.escape_missing_glyphs("Größe 人\n\udcff") == r"Größe \u4eba\n\udcff"
    labels._drawable.cache_clear()


def test_a_width_that_has_no_name_is_refused() -> None:
    with pytest.raises(ResultError, match=r"'one' \(3\.3 in\) and 'two' \(6\.9 in\); '3' was asked for"):
        style.inches("3")


def test_files_have_no_date(tmp_path: Path) -> None:
    first, second = (plotting.save_figure(matching("one layer", "one"), tmp_path / name, "f") for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert not any(word in one.read_bytes() for word in (b"Date", b"matplotlib", b"Matplotlib"))


# --- to colour-blind eyes ---------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, severity 1, on linear light.
EYES = {
    "trichromat": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
COLOURS = {
    name: getattr(style, name) for name in ["BLUE", "VERMILLION", "GREEN", "PINK", "ORANGE", "SKY", "BLACK", "GREY"]
}


def seen(colour: str, eye: np.ndarray) -> np.ndarray:
    """A colour in CIE Lab, as the eye has it."""
    rgb = np.asarray(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(eye @ linear, 0, 1) / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", EYES)
def test_colours_are_told_apart_and_near_ones_by_their_stroke_too(eye: str) -> None:
    """In CIE Lab 2.3 is just noticeable, and lines are thin: 15 for all, and a stroke of its own below 30."""
    for one, other in combinations(COLOURS.values(), 2):
        distance = np.linalg.norm(seen(one, EYES[eye]) - seen(other, EYES[eye]))
        assert distance > 15, (one, other)
        assert distance > 30 or style.stroke(one) != style.stroke(other), (one, other)


def test_letters_and_lines_stand_out_from_the_page() -> None:
    """Against white, a contrast of 3 is what WCAG asks of graphics; the light colours have a dash and a label besides."""
    for name, colour in COLOURS.items():
        luminance = TO_XYZ[1] @ np.where(
            np.array(to_rgb(colour)) <= 0.04045, 0, ((np.array(to_rgb(colour)) + 0.055) / 1.055) ** 2.4
        )
        assert 1.05 / (luminance + 0.05) > (2 if style.stroke(colour) != "-" else 3), name
