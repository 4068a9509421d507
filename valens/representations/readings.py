"""What is read of a text: a stream, at all its layers, pooled over the tokens or measured."""

from __future__ import annotations

import re
from dataclasses import dataclass

from valens.errors import RepresentationError
from valens.layers.sites import Site, Stream, layers_of
from valens.representations.measures import Measure
from valens.representations.poolings import CUSTOM_MARK, CustomPooling, Pooling

_NOTATION = re.compile(
    rf"(?P<stream>[a-z_]+)(?P<norm>:norm)?/(?P<pooling>[a-z][a-z0-9:+-]*)(?:{CUSTOM_MARK}[0-9a-f]*)?"
)


@dataclass(frozen=True)
class Reading:
    """A stream, read at all its layers and pooled over a text's tokens; `str` is `values/mean`, `hidden:norm/last`.

    Args:
        stream: the stream, or its name.
        pooling: one of `Pooling`, its name, or a user-defined `CustomPooling`. A `Measure` gives a few numbers about the
            tokens instead of a vector.
        norm: whether the model's final norm is applied to every token's vector before the pooling; for `hidden` only.

    Raises:
        SiteError: a stream that does not exist, or a norm of another stream than `hidden`.
        RepresentationError: a pooling that does not exist, or that attention patterns cannot have.

    """

    stream: Stream
    pooling: Pooling | CustomPooling | Measure
    norm: bool = False

    def __post_init__(self) -> None:
        """Refuse what no model has; the check is the site's."""
        object.__setattr__(self, "stream", Stream.named(self.stream))
        if not isinstance(self.pooling, CustomPooling):
            measures = set(Measure)
            pooling = Measure(self.pooling) if self.pooling in measures else Pooling.named(self.pooling)
            object.__setattr__(self, "pooling", pooling)
        Site(self.stream, 1, self.norm)
        self._check_seen()

    @property
    def is_measure(self) -> bool:
        """Whether this gives a few numbers about the tokens, and no vector of the stream's width."""
        return isinstance(self.pooling, Measure)

    def _check_seen(self) -> None:
        """Refuse what looks at vectors where the stream has none: an attention pattern has a weight for each key."""
        is_pattern = self.stream is Stream.PATTERN
        sees_vectors = isinstance(self.pooling, Pooling) and self.pooling.sees_vectors
        if (is_pattern and (sees_vectors or self.is_measure)) != (self.pooling is Measure.TO_FIRST):
            streams = ", ".join(stream for stream in Stream if stream is not Stream.PATTERN)
            where = "pattern" if self.pooling is Measure.TO_FIRST else streams
            raise RepresentationError(
                f"{self} cannot be read: {self.stream} has no vectors for {self.pooling}. Use it with {where}."
            )

    @classmethod
    def parse(cls, text: str) -> Reading:
        """Read the notation of a reading.

        Args:
            text: stream/pooling, such as `values/mean`, or `hidden:norm/last` for the final norm. A user-defined pooling
                is a function and has no notation: it goes into `Reading(stream, CustomPooling(name, weigh))`.

        Returns:
            The reading.

        Raises:
            RepresentationError: the text is not the notation of a reading, or there is no pooling of that name.
            SiteError: there is no stream of that name, or it has no final norm.

        """
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise RepresentationError(f"{text!r} is not a valid reading. Write stream/pooling, as `values/mean`.")
        stream, pooling = Stream.named(match["stream"]), match["pooling"]
        if pooling not in {*Pooling, *Measure}:
            raise RepresentationError(
                f"There is no pooling {pooling!r}. The poolings are {', '.join(Pooling)}; a user-defined one is passed as "
                f'vl.Reading("{stream}", vl.CustomPooling("{pooling}", function)), not by name.'
            )
        return cls(stream, Measure(pooling) if pooling in set(Measure) else Pooling(pooling), match["norm"] is not None)

    def layers(self, n_layers: int) -> range:
        """Return the layers at which this is read in a model of L = `n_layers` blocks: 1..L, for `hidden` 0..L."""
        return layers_of(self.stream, n_layers)

    def __str__(self) -> str:
        """Return the name under which a store keeps it."""
        return f"{self.stream}" + (":norm" if self.norm else "") + f"/{self.pooling}"
