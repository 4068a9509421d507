"""From segments' vectors to ranks: how high each document's own other segment ranks, at every layer and for words alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from probes.segment_matching.recall import DIRECTIONS, lexical_ranks, match_ranks
from probes.segment_matching.segments import Segments
from valens.corpora import Corpus
from valens.evaluation.tfidf import LEXICAL, sparse_tfidf
from valens.extraction.extract import Extraction
from valens.model.model import Model
from valens.progress import steps
from valens.representations.named import Representation
from valens.representations.prompts import Tokens
from valens.store.shards import row_of

_GROUP_BYTES = 512 * 2**20

Ranks = dict[tuple[str, int | None], Int[np.ndarray, "_resplit _direction _document"]]
"""For each representation and layer; the words-only baseline has no layer."""


def matched_ranks(
    segments: Segments,
    extraction: Extraction,
    wanted: Mapping[Representation, Sequence[int]],
    similarity: str,
) -> Ranks:
    """Return the ranks of every representation at its wanted layers."""
    by_layer: Ranks = {}
    rows = {row: index for index, row in enumerate(extraction.rows)}
    with steps("Matching segments", len(wanted) * len(segments.resplits)) as step:
        for representation, layers in wanted.items():
            by_resplit = []
            for pairs in segments.resplits:
                sides = [[rows[row_of(pair.prefix)] for pair in pairs], [rows[row_of(pair.suffix)] for pair in pairs]]
                by_resplit.append(
                    np.concatenate(list(_by_group(extraction, representation, layers, sides, similarity)))
                )
                step()
            ranks = np.stack(by_resplit, axis=1)
            by_layer |= {(representation.name, layer): ranks[index] for index, layer in enumerate(layers)}
    return by_layer


def _by_group(
    extraction: Extraction,
    representation: Representation,
    layers: Sequence[int],
    sides: Sequence[Sequence[int]],
    similarity: str,
) -> Iterator[Int[np.ndarray, "_layer direction document"]]:
    """Ranks of as many layers at once as fit in memory."""
    width = extraction.model.sizes.width(representation.reading.stream)
    at_once = max(1, _GROUP_BYTES // (8 * width * 2 * len(sides[0])))
    for start in range(0, len(layers), at_once):
        prefixes, suffixes = (
            np.stack([extraction.vectors(representation.reading, n, side) for n in layers[start : start + at_once]])
            for side in sides
        )
        yield match_ranks(prefixes, suffixes, similarity)


def word_ranks(model: Model, segments: Segments) -> Ranks:
    """Return the ranks that words alone give, without a model's vectors; TaskError if the texts have no word."""
    return {(LEXICAL, None): np.stack(list(_lexical(model, segments)))}


def _lexical(model: Model, segments: Segments) -> Iterator[Int[np.ndarray, "direction document"]]:
    for pairs in segments.resplits:
        texts = [_text(model, pair.prefix) for pair in pairs] + [_text(model, pair.suffix) for pair in pairs]
        weights = sparse_tfidf(texts)
        yield lexical_ranks(weights[: len(pairs)], weights[len(pairs) :])[0]


def _text(model: Model, segment: Tokens) -> str:
    return str(model.tokenizer.decode(list(segment.ids), skip_special_tokens=True))


def rank_table(ranks: Ranks, corpus: Corpus, documents: Sequence[int]) -> pd.DataFrame:
    """One row a rank, in the order of the axes resplit, direction, document; `document` is the place in the corpus."""
    indices, ids = np.array(documents), pd.Categorical([corpus.ids[index] for index in documents])
    parts = []
    for (representation, layer), values in ranks.items():
        resplit, direction, document = np.indices(values.shape).reshape(3, -1)
        columns: dict[str, Any] = {"representation": representation, "layer": layer, "resplit": resplit}
        columns |= {"direction": np.array(DIRECTIONS)[direction], "document": indices[document], "id": ids[document]}
        parts.append(pd.DataFrame(columns | {"rank": values.ravel()}).astype({"layer": "Int64", "rank": "int32"}))
    return pd.concat(parts, ignore_index=True)
