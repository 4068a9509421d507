"""Layer sets: which layers are averaged into an embedding, written `20-27`, `26,27,29-31`, `all` or `half`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from valens.errors import LayerSetError
from valens.layers.sites import out_of_range

_SPAN = re.compile(r"(\d+)(?:\s*[-–]\s*(\d+))?")
"""One layer, or the first and the last of a run; sentences have an en dash there, commands a hyphen."""

_WORD = re.compile(r"layers?\s+")


@dataclass(frozen=True)
class LayerSet:
    """A non-empty set of layers, counted from 1 as in the paper's equations; 0 is the input of the first block.

    `str` gives the shortest notation (`26,27,29-31` for [26, 27, 29, 30, 31]) and `LayerSet.parse` reads it back.

    Args:
        layers: different layers in increasing order, each 0 or above. `LayerSet.of` takes them in any order.

    Raises:
        LayerSetError: no layers, or layers that repeat, decrease or are negative.

    """

    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse anything but an increasing, non-empty row of layers."""
        if not self.layers or list(self.layers) != sorted(set(self.layers)) or self.layers[0] < 0:
            raise LayerSetError(
                f"A layer set is one or more different layers in increasing order, 0 or above; got {self.layers!r}. "
                "Use LayerSet.of(...) to sort and to drop repeats."
            )

    @classmethod
    def of(cls, layers: Iterable[int]) -> LayerSet:
        """Make a set of layers that come in any order; repeats are dropped. LayerSetError if there are none."""
        return cls(tuple(sorted({int(layer) for layer in layers})))

    @classmethod
    def all(cls, n_layers: int) -> LayerSet:
        """Return every block of a model of L = `n_layers` layers: 1..L."""
        return cls(tuple(range(1, n_layers + 1)))

    @classmethod
    def half(cls, n_layers: int) -> LayerSet:
        """Return the deep half, {L/2, …, L} (appendix A, arXiv 2602.01572); an odd L is halved downwards."""
        return cls(tuple(range(max(n_layers // 2, 1), n_layers + 1)))

    @classmethod
    def parse(cls, text: str, n_layers: int) -> LayerSet:
        """Read the notation of a layer set.

        Args:
            text: `20-27`, `26,27,29-31`, `all` (1..L) or `half` (L/2..L). Spaces are allowed, and so is the form that
                results print: `layers 12–14, 22`, with an en dash.
            n_layers: L, the number of blocks of the model.

        Returns:
            The set; order and repeats in the text do not matter.

        Raises:
            LayerSetError: the text is not the notation of a layer set, or it names a layer above L.

        """
        notation = _WORD.sub("", text.strip().lower(), count=1)
        if notation in {"all", "half"}:
            return cls.all(n_layers) if notation == "all" else cls.half(n_layers)
        layers: set[int] = set()
        for part in notation.split(","):
            span = _span(part.strip(), text)
            if span[-1] > n_layers:
                raise LayerSetError(out_of_range(f"The model has layers 1..{n_layers}", span[-1], f" in {text!r}"))
            layers.update(span)
        return cls.of(layers)

    def transferred(self, n_layers: int, to: int) -> LayerSet:
        """Return the layers at the same relative depths in a model of another size.

        Layer l of L goes to the layer nearest to depth l / L. A tie goes to the deeper layer; 0 stays 0, and every other
        layer becomes 1 or more. Two layers that meet in one make the set smaller. The result is a guess: nothing says that
        models of different depth keep the same things there.

        Args:
            n_layers: L, the number of blocks of the model that these layers are of.
            to: the number of blocks of the other model.

        Returns:
            The set for the other model.

        Raises:
            LayerSetError: a model without blocks, or a layer of the set above L.

        """
        if min(n_layers, to) < 1 or self.layers[-1] > n_layers:
            raise LayerSetError(
                f"The layers {self} cannot be taken from a model of {n_layers} layers to one of {to}. "
                "Both have 1 or more, and the first has all the layers of the set."
            )
        return LayerSet.of(layer and max(1, (2 * layer * to + n_layers) // (2 * n_layers)) for layer in self.layers)

    def depths(self, n_layers: int) -> tuple[float, ...]:
        """Return each layer as a fraction of the depth of a model of `n_layers` blocks, in [0, 1]."""
        return tuple(layer / n_layers for layer in self.layers)

    def __repr__(self) -> str:
        """Return the notation, which is shorter than the layers."""
        return f"<LayerSet {self}>"

    def __str__(self) -> str:
        """Return the shortest notation; a run of two is written as two layers, as the paper writes it."""
        runs = []
        for _, run in groupby(enumerate(self.layers), key=lambda pair: pair[1] - pair[0]):
            members = [layer for _, layer in run]
            long = len(members) > 2  # noqa: PLR2004
            runs.append(f"{members[0]}-{members[-1]}" if long else ",".join(map(str, members)))
        return ",".join(runs)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the layers, in increasing order."""
        return iter(self.layers)

    def __len__(self) -> int:
        """Return the number of layers in the set."""
        return len(self.layers)

    def __contains__(self, layer: object) -> bool:
        """Tell whether a layer is in the set."""
        return layer in self.layers


def _span(part: str, text: str) -> range:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise LayerSetError(
            f"{part!r} in {text!r} is not a valid layer. Write a layer set as `20-27`, `26,27,29-31`, `all` or `half`."
        )
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise LayerSetError(f"{part!r} in {text!r} runs backwards. Write the smaller layer first: {last}-{first}.")
    return range(first, last + 1)
