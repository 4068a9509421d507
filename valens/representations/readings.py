"""What is read of a text: a stream, at all its layers, pooled over the tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from valens.errors import RepresentationError
from valens.layers.sites import Site, Stream, layers_of
from valens.representations.poolings import CustomPooling, Pooling

_NOTATION = re.compile(r"(?P<stream>[a-z_]+)(?P<norm>:norm)?/(?P<pooling>[a-z]+)")


@dataclass(frozen=True)
class Reading:
    """A stream, read at all its layers and pooled over a text's tokens; `str` is `values/mean`, `hidden:norm/last`."""

    stream: Stream
    pooling: Pooling | CustomPooling
    norm: bool = False

    def __post_init__(self) -> None:
        """Refuse what no model has; the check is the site's."""
        object.__setattr__(self, "stream", Stream.named(self.stream))
        if not isinstance(self.pooling, CustomPooling):
            object.__setattr__(self, "pooling", Pooling.named(self.pooling))
        Site(self.stream, 1, self.norm)

    @classmethod
    def parse(cls, text: str) -> Reading:
        """Read `values/mean` or `hidden:norm/last`."""
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise RepresentationError(f"{text!r} is no reading. Write stream/pooling, as `values/mean`.")
        return cls(Stream.named(match["stream"]), Pooling.named(match["pooling"]), match["norm"] is not None)

    def layers(self, n_layers: int) -> range:
        """The layers at which this is read in a model of L = `n_layers` blocks."""
        return layers_of(self.stream, n_layers)

    def __str__(self) -> str:
        """The name under which a store keeps it."""
        return f"{self.stream}" + (":norm" if self.norm else "") + f"/{self.pooling}"
