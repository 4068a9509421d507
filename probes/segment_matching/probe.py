"""Does a text's beginning find its own end? Recall@k by layer, with intervals (Figure 2).

Section 3.2 of arXiv 2602.01572. Every document is cut in two, each segment is read alone, and at each layer the prefix
segments look for their suffix segments among those of all documents, and the other way round. What is kept of each
document is the rank of its own other half; recall@k, MRR, their intervals and every paired test follow from the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from probes.layers import layers_asked
from probes.segment_matching.ranks import matched_ranks, rank_table, word_ranks
from probes.segment_matching.recall import SIMILARITIES
from probes.segment_matching.result import KIND, SegmentMatchingResult
from probes.segment_matching.scores import Measured
from probes.segment_matching.segments import Segments, cut
from valens.corpora import Corpus
from valens.errors import CorpusError, ResultError
from valens.extraction import extract
from valens.extraction.extract import Job, token_limit
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import HS, VA, Representation, check_no_prompts
from valens.results.provenance import provenance
from valens.store.store import ActivationStore

MAX_TOKENS = 2000
"""The paper's limit of tokens a text."""

FEWEST = 10
"""Fewer documents are refused: a recall among them says nothing."""


def segment_matching(
    model: Model,
    corpus: Corpus,
    representations: Sequence[Representation] = (VA, HS),
    *,
    store: ActivationStore | str | Path,
    layers: LayerSet | None = None,
    max_tokens: int | None = None,
    segment_tokens: int | None = None,
    similarity: str = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    seed: int = 0,
    resplits: int = 1,
    resamples: int = 10_000,
    interval: str = "percentile",
) -> SegmentMatchingResult:
    """Match the segments of a corpus at every layer.

    Each text's first `max_tokens` tokens (2,000, or the model's context) are cut `resplits` times; `seed` draws the cuts and
    the resamples. `similarity` is `cosine`, `dot` or `centered-cosine` (the mean over all segments is taken off first).
    `interval` is `percentile` or `bca`. Raises CorpusError where fewer than 10 documents can be cut or where a `k` exceeds
    their number, SiteError, PromptError or SelectionError for settings that the model does not allow.
    """
    check_settings(ks, similarity, interval)
    wanted = {name: layers_asked(model, name, layers) for name in dict.fromkeys(representations)}
    segments = cut_corpus(
        model, corpus, max_tokens=max_tokens, segment_tokens=segment_tokens, seed=seed, resplits=resplits, ks=ks
    )
    job = plan(model, segments, representations, store=store, max_tokens=max_tokens)
    words = word_ranks(model, segments)  # before anything is read: it fails where texts have no words
    extraction = job.run()
    ranks = words | matched_ranks(segments, extraction, wanted, similarity)
    measured = Measured(model, corpus.name, tuple(f"recall@{k}" for k in ks), resamples, seed, interval)
    facts = provenance(
        **extraction.facts(),
        corpus=corpus.facts(),
        documents={
            "used": len(segments.documents),
            "repeated": segments.repeated,
            "too_short": segments.short,
            "truncated": segments.truncated,
        },
        representations={str(name): str(LayerSet.of(found)) for name, found in wanted.items()},
        ks=list(ks),
        max_tokens=_limit(model, max_tokens),
        segment_tokens=segment_tokens,
        similarity=similarity,
        resplits=resplits,
        resamples=resamples,
        interval=interval,
        seed=seed,
    )
    details = {"ranks": rank_table(ranks, corpus, segments.documents)}
    return SegmentMatchingResult(KIND, measured.table(ranks), facts, details)


def cut_corpus(
    model: Model,
    corpus: Corpus,
    *,
    max_tokens: int | None = None,
    segment_tokens: int | None = None,
    seed: int = 0,
    resplits: int = 1,
    ks: Sequence[int] = (),
) -> Segments:
    """The documents of a corpus that can be cut, and their segments; CorpusError if they are too few, or for these `ks`."""
    limit = _limit(model, max_tokens)
    segments = cut(
        model.tokenizer, corpus.texts, max_tokens=limit, segment_tokens=segment_tokens, seed=seed, resplits=resplits
    )
    _check_documents(segments, corpus, ks)
    return segments


def plan(
    model: Model,
    segments: Segments,
    representations: Sequence[Representation],
    *,
    store: ActivationStore | str | Path,
    max_tokens: int | None = None,
) -> Job:
    """What a matching has to read; `Job.estimate` says what that costs."""
    check_no_prompts(representations, "Segments are cut from plain text")
    passages = segments.passages()
    return extract.plan(
        model,
        [tokens for tokens, _ in passages],
        [representation.reading for representation in representations],
        store=ActivationStore.of(store),
        max_tokens=_limit(model, max_tokens),
        prefixes=[ends for _, ends in passages],
    )


def _limit(model: Model, max_tokens: int | None) -> int:
    return token_limit(model, min(MAX_TOKENS, model.n_ctx) if max_tokens is None else max_tokens)


def check_settings(ks: Sequence[int], similarity: str, interval: str) -> None:
    """Raise ResultError for what no matching can measure; worth asking before a model is loaded."""
    if not ks or min(ks) < 1 or len(set(ks)) < len(ks):
        raise ResultError(f"Recall@k asks for different k of 1 or more; {list(ks)} was asked for.")
    if similarity not in SIMILARITIES:
        raise ResultError(f"A similarity is {', '.join(SIMILARITIES)}; {similarity!r} was asked for.")
    if interval not in {"percentile", "bca"}:
        raise ResultError(f"An interval is percentile or bca; {interval!r} was asked for.")


def _check_documents(segments: Segments, corpus: Corpus, ks: Sequence[int]) -> None:
    n = len(segments.documents)
    left_out = f"{segments.repeated} repeated and {segments.short} too short ones are left out"
    if n < FEWEST:
        raise CorpusError(
            f"{corpus.name} has {n} usable documents ({left_out}); {FEWEST} or more are needed. Give a larger corpus, raise "
            "--max-tokens or lower --segment-tokens."
        )
    if max(ks, default=0) >= n:
        raise CorpusError(
            f"recall@{max(ks)} among {n} documents is always 1 ({left_out}). Ask for k below {n}, or give more documents."
        )
