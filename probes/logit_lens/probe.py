"""What of a text's continuation can be read off its vectors? Ranks of subsequent tokens by a logit lens (Figures 7, 8).

Appendix E of arXiv 2602.01572. Of each document some prefixes x_1 … x_t are drawn; for each offset o the query x_{t+o-1}
attends to the prefix alone (see `restricted_pass`), vectors at every layer go through the model's own unembedding, and the
rank of the true token x_{t+o} is kept. The vectors are named in `ranks`.

The data flow: text ─tokens─▶ one packed pass ─▶ vectors [layer, prefix, offset, d], as they are and after the final norm
─unembedding, in chunks─▶ ranks, kept text by text ─▶ MRR@100 with intervals over documents. Vectors and logits of one
text are gone before the next is read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from probes.logit_lens.names import NAMES, NORMS
from probes.logit_lens.prefixes import Continuations, draw_prefixes
from probes.logit_lens.ranks import TextRanks, text_ranks
from probes.logit_lens.restricted_pass import check_restrictable, pack
from probes.logit_lens.result import KIND, LogitLensResult
from probes.logit_lens.tables import LensTables, curves_of, rank_table, unigram_ranks
from valens.corpora import Corpus
from valens.errors import CaptureError, CorpusError, ProbeError
from valens.extraction.manifest import about_of, how_read
from valens.model.attention import BRIDGE_ATTENTION
from valens.model.model import Model
from valens.model.unembedding import Unembedding
from valens.progress import progress
from valens.representations.prompts import PLAIN
from valens.results.provenance import provenance
from valens.store.partial_results import PartialResults
from valens.store.shards import row_of

OFFSETS = (1, 2, 3, 4, 5)
PREFIX_TOKENS = (50, 150)
PREFIXES = 4
"""How many prefixes a document has; with 400 documents as many examples as the paper's 1,600."""

_FORMAT = 1
"""The version of what is kept of a text; it is part of the identity of what is kept."""


@dataclass(frozen=True)
class Estimate:
    """What a lens would cost; `seconds` is measured on one text."""

    texts: int
    """How many documents are used."""
    instances: int
    too_short: int
    repeated: int
    passes: int
    """How many texts have not been computed yet."""
    seconds: float


@dataclass(frozen=True)
class LensJob:
    """Which prefixes of which documents are asked about, and where their ranks are kept; made by `plan`."""

    model: Model = field(repr=False)
    continuations: Continuations
    offsets: tuple[int, ...]
    identity: dict[str, Any] = field(repr=False)
    """All that could change a rank, besides the text."""
    kept: PartialResults | None
    """Where each text's ranks are kept as they are computed; None keeps them in memory alone."""

    def pending(self) -> list[int]:
        """The places of the documents that a pass is needed for."""
        stored = self._stored()
        return [place for place in range(len(self.continuations.texts)) if place not in stored]

    def estimate(self) -> Estimate:
        """What `run` would cost; computes one text to measure the speed, and keeps nothing."""
        pending, used = self.pending(), self.continuations
        self._check(pending)
        start = time.monotonic()
        for place in pending[:1]:
            self.ranks_of(place)
        seconds = (time.monotonic() - start) * len(pending)
        return Estimate(len(used.texts), used.n_instances, used.short, used.repeated, len(pending), seconds)

    def run(self) -> tuple[Int[np.ndarray, "document representation norm layer prefix offset"], int, float]:
        """The ranks of every text, how many texts a pass was made for, and the seconds that took."""
        if self.kept is not None:
            self.kept.begin()
        found, texts, start = self._stored(), self.continuations.texts, time.monotonic()
        pending = [place for place in range(len(texts)) if place not in found]
        self._check(pending)
        n_tokens = sum(len(texts[place]) for place in pending)
        with progress(f"Reading continuations, {self.model.name}", texts=len(pending), tokens=n_tokens) as advance:
            for place in pending:
                found[place] = self.ranks_of(place)
                if self.kept is not None:
                    self.kept.write(row_of(texts[place]), found[place])
                advance(1, len(texts[place]))
        return np.stack([found[place] for place in range(len(texts))]), len(pending), time.monotonic() - start

    def ranks_of(self, place: int) -> TextRanks:
        """The ranks of one text, by one pass; CaptureError naming the text if a vector is not finite."""
        text, prefixes = self.continuations.texts[place], self.continuations.prefixes[place]
        try:
            return text_ranks(self.model, text, prefixes, self.offsets)
        except CaptureError as error:
            raise CaptureError(f"Text {self.continuations.documents[place]} (from 0): {error}") from error

    def _check(self, pending: Sequence[int]) -> None:
        """Refuse a model whose attention cannot be restricted, as the text with the longest prefix shows."""
        if not pending:
            return
        longest = max(pending, key=lambda place: self.continuations.prefixes[place][-1])
        ids = self.continuations.texts[longest].ids
        packing = pack(ids, self.continuations.prefixes[longest], self.offsets)
        check_restrictable(self.model, ids[:-1], row=len(packing.ids))

    def _stored(self) -> dict[int, TextRanks]:
        """The ranks of the texts for which no pass is needed, by their places."""
        if self.kept is None:
            return {}
        prefixes = self.continuations.prefixes
        shape = len(NAMES), len(NORMS), self.model.n_layers, len(prefixes[0]), len(self.offsets)
        rows = map(row_of, self.continuations.texts)
        read = (self.kept.read(row, shape=shape, dtype=np.int32) for row in rows)
        return {place: ranks for place, ranks in enumerate(read) if ranks is not None}


def logit_lens(
    model: Model,
    corpus: Corpus,
    *,
    offsets: Sequence[int] = OFFSETS,
    prefix_tokens: tuple[int, int] = PREFIX_TOKENS,
    prefixes: int = PREFIXES,
    keep: str | Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> LogitLensResult:
    """Rank the tokens that follow prefixes of a corpus's texts by every layer's vectors.

    Each text has `prefixes` prefixes of different lengths, drawn between the two of `prefix_tokens`; `seed` draws them, the
    halves of the documents and the resamples. With `keep`, each text's ranks are kept in that folder as they are computed,
    and a run that was stopped goes on from there. Raises CorpusError where settings, texts or the model's context leave
    no prefix, CaptureError for models whose attention cannot be restricted to a prefix.
    """
    if resamples < 1:
        raise ProbeError(f"--resamples is 1 or more; {resamples} was asked for.")
    job = plan(model, corpus, offsets=offsets, prefix_tokens=prefix_tokens, prefixes=prefixes, keep=keep, seed=seed)
    ranks, passes, seconds = job.run()
    used, n_layers = job.continuations, model.n_layers
    unigram = unigram_ranks(used, job.offsets, vocabulary=len(Unembedding.of(model).weight), seed=seed)
    tables = LensTables(curves_of(ranks, unigram), job.offsets, n_layers, resamples, seed)
    facts = provenance(
        model=about_of(model),
        how_read=job.identity,
        forward_passes=passes,
        seconds_reading=round(seconds, 1),
        corpus=corpus.facts(),
        documents={"used": len(used.texts), "too_short": used.short, "repeated": used.repeated},
        instances=used.n_instances,
        offsets=list(job.offsets),
        prefix_tokens=list(prefix_tokens),
        prefixes=prefixes,
        conventions=_CONVENTIONS,
        resamples=resamples,
        seed=seed,
    )
    named = {"model": model.name, "corpus": corpus.name}
    details = {"best": tables.best().assign(**named), "differences": tables.differences().assign(**named)}
    details["ranks"] = rank_table(ranks, used, job.offsets, corpus.ids, n_layers)
    return LogitLensResult(KIND, tables.by_layer().assign(**named), facts, details)


def plan(
    model: Model,
    corpus: Corpus,
    *,
    offsets: Sequence[int] = OFFSETS,
    prefix_tokens: tuple[int, int] = PREFIX_TOKENS,
    prefixes: int = PREFIXES,
    keep: str | Path | None = None,
    seed: int = 0,
) -> LensJob:
    """What a logit lens would read; `LensJob.estimate` says what that costs."""
    wanted = tuple(sorted(set(offsets)))
    if not wanted or wanted[0] < 1:
        raise CorpusError(f"Offsets count from 1, the token right behind the prefix; {list(offsets)} were asked for.")
    limit = prefix_tokens[1] + wanted[-1]
    if limit > model.n_ctx:
        raise CorpusError(
            f"{model.name} reads {model.n_ctx:,} tokens; the longest prefix and its farthest offset need {limit:,}. Lower "
            "--prefix-tokens or --offsets."
        )
    Unembedding.of(model)  # refuses a model that has none before anything is read
    used = draw_prefixes(model.tokenizer, corpus, tokens=prefix_tokens, farthest=wanted[-1], n=prefixes, seed=seed)
    model.check_token_ids(text.ids for text in used.texts)
    if len(used.texts) < 2:  # noqa: PLR2004
        raise CorpusError(
            f"One text of {corpus.name} can be used, and layers are chosen on one half of the documents to be scored on the "
            f"other. {used.short} were too short and {used.repeated} repeated; give more texts, or lower --prefix-tokens."
        )
    identity = how_read(model, prompt=PLAIN, max_tokens=limit, stored="float32") | {
        "format": _FORMAT,
        "probe": KIND,
        "attn_implementation": BRIDGE_ATTENTION,
        "stored": "ranks",
        "representations": list(NAMES),
        "norms": list(NORMS),
        "offsets": list(wanted),
        "prefix_tokens": list(prefix_tokens),
        "prefixes": prefixes,
        "seed": seed,
    }
    kept = None if keep is None else PartialResults.of(keep, identity)
    return LensJob(model, used, wanted, identity, kept)


_CONVENTIONS = {
    "offset": "1 is the token right behind the prefix",
    "attention": "queries behind the prefix attend to the prefix alone, not to themselves, at their true positions; where "
    "the model has attention sinks, a query's weights sum to less than 1",
    "prefix_tokens": "counted as the model reads them, a begin-of-sequence token included",
    "WHS": "pools hidden@l, the states that leave block l, with the heads' mean attention at layer l",
    "norm": "whether the model's final norm is applied before the unembedding; LHS is compared with it",
    "rank": "1 + the number of tokens with a strictly greater logit, in float32",
    "unigram": "tokens by their frequency in the other half of the documents, a begin-of-sequence token among them; 1 + the "
    "number of others at least as frequent",
    "score": "mean over a document's prefixes, then over documents; intervals resample documents",
    "held out": "the layer is chosen on one half of the documents and scored on the other, both ways",
}
