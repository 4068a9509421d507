"""The section of one result, said once: its sentences, figures and tables. A terminal and a page both show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from valens.corpora.contract import NearDuplicates
from valens.layers.layer_set import LayerSet
from valens.results.formatting import LEVEL, ahead_and_behind, at_layers, layers_named
from valens.results.views import View

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Figures = Mapping[str, Callable[[], Any]]
"""A function for each figure, by the name that its files have; each draws it as a matplotlib figure."""


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
    why: Mapping[int, str]
    """The reason for each layer that is in the set."""
    others: str = ""
    """Where the reasons of the other layers are, for a terminal, which does not show them; empty where there are none."""


@dataclass(frozen=True)
class Section:
    """The parts of a section, in the order in which they are read."""

    title: str
    """What was measured: `Segment matching`."""
    question: str = ""
    about: tuple[str, ...] = ()
    """What was read: texts, what was left out of them, settings."""
    notes: tuple[str, ...] = ()
    """What makes the numbers doubtful; empty where all is well."""
    findings: tuple[str, ...] = ()
    """Sentences, with every number that they rest on."""
    pictures: tuple[Picture, ...] = ()
    sets: tuple[LayerSetSection, ...] = ()
    tables: tuple[View, ...] = ()
    """A table that is `folded` is for a page alone."""


def pictures_of(figures: Figures, captions: Mapping[str, str]) -> tuple[Picture, ...]:
    """Give a result's figures their captions, by the names of their files."""
    return tuple(Picture(draw, captions.get(name, name)) for name, draw in figures.items())


def near_duplicates_said(corpus: Mapping[str, Any]) -> Iterator[str]:
    """Say how many texts were left out of a corpus because they nearly repeat another, where that was looked for.

    `corpus` is what provenance records of it; older results record nothing of this.
    """
    found = corpus.get("near_duplicates")
    if found is not None:
        words = str(NearDuplicates(**found))
        yield f"{words[0].upper()}{words[1:]}."


def layer_by_layer(compared: pd.DataFrame, first: str, second: str, how: str, *, metric: str = "") -> str:
    """Say at which layers the first is ahead of the second and at which behind; `how` says what is paired."""
    ahead, behind = ahead_and_behind(compared)
    return (
        f"{f'{metric}: ' if metric else ''}{first} is ahead of {second} at {len(ahead)} of {len(compared)} layers "
        f"({layers_named(ahead)}) and behind at {len(behind)} ({layers_named(behind)}): {how}, p < {LEVEL} after Holm’s "
        "correction over the layers."
    )


def as_good(best: int, among: Iterable[int]) -> str:
    """Say how many layers cannot be told from the best one."""
    equal = set(among)
    if not equal:
        return "whether others are as good cannot be told"
    others = sorted(equal - {best})
    if not others:
        return "every other layer can be told from it"
    return f"{at_layers(str(LayerSet.of(others)))} cannot be told from it"
