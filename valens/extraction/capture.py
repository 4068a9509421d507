"""Read every layer of a model in one forward pass, pooled inside the hooks.

A hook point lends the tensor that passes it; the hook multiplies it with the pooling weights at once, so what is kept of
[text, token, d] is [text, d], summed in float32. A pooling that sees the vectors weighs them in the hook too, and a measure
counts them there. All readings of a pass lie in one buffer, which goes to the host in one copy. Attention is causal and
texts are padded on the right, so padding needs no mask and changes nothing; for the same reason one pass has the vectors of
every prefix of a text, which are more rows of pooling weights.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from valens.errors import CaptureError
from valens.layers.sites import Site, Stream
from valens.model.attention import forgotten_patterns
from valens.model.model import Model
from valens.representations.measures import MEASURED, Measure, attention_to_first, measured
from valens.representations.poolings import CustomPooling, Pooling, pooling_weights, pooling_weights_of_vectors
from valens.representations.prompts import Tokens
from valens.representations.readings import Reading

Vectors = dict[Reading, Float[Tensor, "_layer _row _d"]]


@dataclass(frozen=True)
class Batch:
    """Texts side by side. Each text is pooled up to each of its ends: as a rule its last token, or several for prefixes."""

    ids: Int[Tensor, "text token"]
    pooling_mask: Bool[Tensor, "row token"]
    """True for the tokens that are pooled in each row. A row is a text up to one end; the rows of a text are neighbours."""
    mask: Bool[Tensor, "text token"] | None = None
    """True for the tokens that are text; None where texts are padded on the right, as no mask is needed then."""

    @classmethod
    def of(
        cls,
        tokens: Sequence[Tokens],
        *,
        ends: Sequence[Sequence[int]] | None = None,
        device: torch.device | str = "cpu",
        left: bool = False,
    ) -> Batch:
        """Pad texts to the longest of them, with token 0.

        Args:
            tokens: the texts, one or more.
            ends: for each text, the number of tokens of each prefix that is pooled; None: the whole texts. Each text gets
                as many rows as the one with most ends; spare rows repeat its last end.
            device: where the batch is put.
            left: whether texts are padded on the left; then the batch has a mask.

        """
        width, n_ends = max(map(len, tokens)), max(map(len, ends)) if ends else 1
        ids = torch.zeros(len(tokens), width, dtype=torch.long)
        pooling_mask = torch.zeros(len(tokens), n_ends, width, dtype=torch.bool)
        mask = torch.zeros(len(tokens), width, dtype=torch.bool)
        for index, text in enumerate(tokens):
            start = width - len(text) if left else 0
            mask[index, start : start + len(text)] = True
            ids[index, mask[index]] = torch.tensor(text.ids)
            cuts = list(ends[index]) if ends else [len(text)]
            for row, end in enumerate(cuts + cuts[-1:] * (n_ends - len(cuts))):
                pooling_mask[index, row, start : start + end] = torch.tensor(text.pooling_mask[:end])
        rows = rearrange(pooling_mask, "text end token -> (text end) token")
        return cls(ids.to(device), rows.to(device), mask.to(device) if left else None)


@contextlib.contextmanager
def capturing(model: Model, readings: Sequence[Reading]) -> Iterator[Callable[[Batch], Vectors]]:
    """Lend the hooks for readings to a model, and remove them on leaving.

    Args:
        model: the decoder that is read.
        readings: what is read. A `pattern` reading makes TransformerLens compute the attention.

    Yields:
        A function from a Batch to the vectors of each reading [layer, row, d], in float32 on the host. The d of a `pattern`
        reading is n_heads · n_keys; keys after a text's end are zero.

    Raises:
        CaptureError: when the function is called, if a hook did not fire.

    """
    taps = _taps(model, readings)
    absent = [tap.site for tap in taps if tap.site.hook not in model.bridge.hook_dict]
    if absent:
        raise CaptureError(f"TransformerLens does not show {absent[0]} of {model.name}. Read another stream of it.")
    pattern = any(reading.stream is Stream.PATTERN for reading in readings)
    with lent_hooks(model, [(tap.site.hook, tap) for tap in taps], pattern=pattern):
        yield lambda batch: _run(model, readings, taps, batch)


@contextlib.contextmanager
def lent_hooks(model: Model, hooks: Sequence[tuple[str, Callable[..., None]]], *, pattern: bool) -> Iterator[None]:
    """Lend hooks to the model; its own attention runs, unless a `pattern` is read: TransformerLens alone shows it."""
    native = contextlib.nullcontext() if pattern else model.native_attention()
    with native, forgotten_patterns(model.bridge), model.bridge.hooks(fwd_hooks=list(hooks)):
        yield


def vector_count(model: Model, reading: Reading) -> int:
    """Return how many numbers a reading has for one text, over all its layers."""
    return len(reading.layers(model.n_layers)) * width(model, reading)


def width(model: Model, reading: Reading) -> int:
    """Return how many numbers a reading has for one text at one layer (`pattern`, pooled: for one text and key)."""
    names = MEASURED.get(reading.pooling) if isinstance(reading.pooling, Measure) else None
    return len(names) if names else model.sizes.width(reading.stream)


class _Tap:
    """Pools what passes one site, once for each pooling asked for there, into the views that it is lent."""

    def __init__(self, model: Model, site: Site, poolings: Sequence[Pooling | CustomPooling | Measure]) -> None:
        self.site = site
        self.poolings = poolings
        self._norm = model.final_norm if site.norm else None
        self.pooling_mask = torch.empty(0, 0, 0, dtype=torch.bool)
        self.weights: dict[Pooling | CustomPooling | Measure, Float[Tensor, "text row token"]] = {}
        self.views: list[Float[Tensor, "row d"]] = []
        self.fired = False

    def __call__(self, tensor: Tensor, hook: object) -> None:  # noqa: ARG002
        pooled = self._of_pattern(tensor) if self.site.stream is Stream.PATTERN else self._of_vectors(tensor)
        for part, view in zip(pooled, self.views, strict=True):
            view.copy_(rearrange(part, "text row d -> (text row) d"))
        self.fired = True

    def _of_vectors(self, tensor: Tensor) -> Iterator[Float[Tensor, "text row _d"]]:
        if tensor.ndim == 4:  # noqa: PLR2004
            tensor = rearrange(tensor, "text token head d -> text token (head d)")
        vectors = (tensor if self._norm is None else self._norm(tensor)).float()
        weights = [self._weights(pooling, vectors) for pooling in self.poolings if not isinstance(pooling, Measure)]
        pooled = iter(torch.bmm(torch.cat(weights, dim=1), vectors).chunk(len(weights), dim=1) if weights else ())
        for pooling in self.poolings:
            yield measured(pooling, self.pooling_mask, vectors) if isinstance(pooling, Measure) else next(pooled)

    def _weights(
        self, pooling: Pooling | CustomPooling, vectors: Float[Tensor, "text token d"]
    ) -> Float[Tensor, "text row token"]:
        if isinstance(pooling, Pooling) and pooling.sees_vectors:
            return pooling_weights_of_vectors(pooling, self.pooling_mask, vectors)
        return self.weights[pooling]

    def _of_pattern(self, pattern: Float[Tensor, "text head query key"]) -> Iterator[Float[Tensor, "text row _d"]]:
        for pooling in self.poolings:
            if pooling is Measure.TO_FIRST:
                yield attention_to_first(pattern, self.pooling_mask)
            else:
                yield _pool_pattern(pattern, self.weights[pooling])


def _pool_pattern(
    pattern: Float[Tensor, "text head query key"], weights: Float[Tensor, "text pooled query"]
) -> Float[Tensor, "text pooled head*key"]:
    pooled = einsum(pattern.float(), weights, "text head query key, text pooled query -> text pooled head key")
    return rearrange(pooled, "text pooled head key -> text pooled (head key)")


def _taps(model: Model, readings: Sequence[Reading]) -> list[_Tap]:
    """Make one tap a site, with the poolings that are asked for there, in the order of the readings."""
    poolings: dict[Site, list[Pooling | CustomPooling | Measure]] = {}
    for reading in readings:
        for layer in reading.layers(model.n_layers):
            poolings.setdefault(Site(reading.stream, layer, reading.norm), []).append(reading.pooling)
    return [_Tap(model, site, asked) for site, asked in poolings.items()]


def _run(model: Model, readings: Sequence[Reading], taps: list[_Tap], batch: Batch) -> Vectors:
    shapes = {reading: _shape(model, reading, batch) for reading in readings}
    buffer = torch.empty(sum(map(math.prod, shapes.values())), device=model.device)
    vectors = _split(buffer, shapes)
    pooling_mask = rearrange(batch.pooling_mask, "(text row) token -> text row token", text=len(batch.ids))
    weights: dict[Pooling | CustomPooling | Measure, Tensor] = {
        pooling: _by_text(pooling_weights(pooling, batch.pooling_mask), batch)
        for pooling in {reading.pooling for reading in readings}
        if isinstance(pooling, CustomPooling) or (isinstance(pooling, Pooling) and not pooling.sees_vectors)
    }
    for tap in taps:
        tap.pooling_mask, tap.weights = pooling_mask, weights
        tap.views = [_view(model, vectors, tap.site, pooling) for pooling in tap.poolings]
        tap.fired = False
    with torch.inference_mode():  # what is pooled into `buffer`, made outside of it, can be trained on
        model.run_body(batch.ids, batch.mask)
    silent = [str(tap.site) for tap in taps if not tap.fired]
    if silent:
        raise CaptureError(
            f"{len(silent)} sites of {model.name} were not read (first: {silent[0]}): no hook fired there."
        )
    return _split(_to_host(buffer), shapes)


def _to_host(buffer: Float[Tensor, " number"]) -> Float[Tensor, " number"]:
    """Copy to the host: from a GPU in one copy into pinned memory, which is the only point that waits for the pass."""
    if buffer.device.type == "cpu":
        return buffer
    host = torch.empty_like(buffer, device="cpu", pin_memory=True)
    host.copy_(buffer, non_blocking=True)
    torch.cuda.current_stream(buffer.device).synchronize()
    return host


def _by_text(weights: Float[Tensor, "row token"], batch: Batch) -> Float[Tensor, "text end token"]:
    return rearrange(weights, "(text end) token -> text end token", text=len(batch.ids))


def _shape(model: Model, reading: Reading, batch: Batch) -> tuple[int, int, int]:
    """Return the shape of a reading of this batch, [layer, row, d]; a pattern has a number for each head and key."""
    n_rows, n_tokens = batch.pooling_mask.shape
    per_key = n_tokens if reading.stream is Stream.PATTERN and not reading.is_measure else 1
    return len(reading.layers(model.n_layers)), n_rows, width(model, reading) * per_key


def _split(buffer: Float[Tensor, " number"], shapes: dict[Reading, tuple[int, int, int]]) -> Vectors:
    """Return each reading's [layer, row, d] view of the buffer that all share."""
    parts = buffer.split([math.prod(shape) for shape in shapes.values()])
    return {reading: part.view(shape) for (reading, shape), part in zip(shapes.items(), parts, strict=True)}


def _view(
    model: Model, vectors: Vectors, site: Site, pooling: Pooling | CustomPooling | Measure
) -> Float[Tensor, "row d"]:
    reading = Reading(site.stream, pooling, site.norm)
    return vectors[reading][reading.layers(model.n_layers).index(site.layer)]
