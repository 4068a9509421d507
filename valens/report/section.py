"""What a page says of one result, whatever probe made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from valens.layers.layer_set import LayerSet
from valens.report.views import View
from valens.results import formatting
from valens.results.formatting import LEVEL, ahead_and_behind, layers_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure, and what it shows, in a sentence that also serves those who cannot see it."""

    draw: Callable[[], Figure]
    caption: str


@dataclass(frozen=True)
class LayerSetSection:
    """A layer set that was chosen, what other rules would have chosen, and why each layer is in or out."""

    name: str
    """Of the representation."""
    rule: str
    layers: LayerSet
    n_layers: int
    rules: View
    reasons: View


@dataclass(frozen=True)
class Section:
    """The parts of a section, in the order in which they are read."""

    title: str
    """What was measured: `Segment matching`."""
    question: str = ""
    findings: tuple[str, ...] = ()
    """Sentences, with every number that they rest on."""
    pictures: tuple[Picture, ...] = ()
    sets: tuple[LayerSetSection, ...] = ()
    tables: tuple[View, ...] = ()


def pictured(figures: Mapping[str, Callable[[], Figure]], captions: Mapping[str, str]) -> tuple[Picture, ...]:
    """A result's figures with their captions, by the names of their files."""
    return tuple(Picture(draw, captions.get(name, name)) for name, draw in figures.items())


def layer_by_layer(compared: pd.DataFrame, first: str, second: str, how: str) -> str:
    """At which layers the first is ahead of the second and at which behind; `how` says what is paired."""
    ahead, behind = ahead_and_behind(compared)
    where = [typeset(layers_named(layers)) for layers in (ahead, behind)]
    return (
        f"{first} is ahead of {second} at {len(ahead)} of {len(compared)} layers ({where[0]}) and behind at "
        f"{len(behind)} ({where[1]}): {how}, p < {LEVEL} after Holm’s correction over the layers."
    )


def typeset(layers: str) -> str:
    """The notation of a layer set with the dashes and spaces of running text."""
    return layers.replace("-", "–").replace(", ", ",").replace(",", ", ")


def at_layers(layers: str) -> str:
    """The same with what it is: `layer 30`, `layers 26, 27`."""
    return typeset(formatting.at_layers(layers))


def as_good(best: int, among: Iterable[int]) -> str:
    """How many layers cannot be told from the best one."""
    others = sorted(set(among) - {best})
    if not others:
        return "Every other layer can be told from it."
    what = "other layer" if len(others) == 1 else "other layers"
    return f"{len(others)} {what} cannot be told from it ({typeset(str(LayerSet.of(others)))})."
