"""Does a text's beginning find its own end? Recall@k by layer, with intervals (Figure 2).

Section 3.2 of arXiv 2602.01572. Every document is cut in two, each segment is read alone, and at each layer the prefix
segments look for their suffix segments among those of all documents, and the other way round. What is kept of each
document is the rank of its own other segment; recall@k, MRR, their intervals and every paired test follow from the ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from probes.layers import Layers, check_names, layers_asked, layers_of_model, shared_prompt
from probes.segment_matching.ranks import matched_ranks, rank_table, word_ranks
from probes.segment_matching.recall import SIMILARITIES
from probes.segment_matching.result import KIND, SegmentMatchingResult
from probes.segment_matching.scores import Measured
from probes.segment_matching.section import QUESTION
from probes.segment_matching.segments import Segments, cut
from valens.corpora import Corpus
from valens.errors import CorpusError, ResultError
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.extraction.extract import token_limit
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import HS, VA, Representation, check_no_templates
from valens.results.provenance import provenance
from valens.statistics.seeds import check_counts, check_seed
from valens.store.store import ActivationStore

MAX_TOKENS = 2000
"""The paper's limit of tokens a text."""

INTERVALS = ("wilson", "percentile", "bca")

FEWEST = 10
"""Fewer documents are refused: a recall among them says nothing."""


@dataclass(frozen=True)
class SegmentMatching:
    """The settings of a segment matching; see `segment_matching` for what each means.

    Raises ResultError or ProbeError for what no matching can measure.
    """

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[SegmentMatchingResult]] = SegmentMatchingResult

    layers: Layers = None
    max_tokens: int | None = None
    segment_tokens: int | None = None
    similarity: str = "cosine"
    ks: Sequence[int] = (1, 5, 10)
    seed: int = 0
    resplits: int = 1
    resamples: int = 10_000
    interval: str = "wilson"

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before a model is loaded for it."""
        if not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks):
            raise ResultError(f"Recall@k asks for different k of 1 or more; {list(self.ks)} was asked for.")
        if self.similarity not in SIMILARITIES:
            raise ResultError(f"A similarity is {', '.join(SIMILARITIES)}; {self.similarity!r} was asked for.")
        if self.interval not in INTERVALS:
            raise ResultError(f"An interval is {', '.join(INTERVALS)}; {self.interval!r} was asked for.")
        check_seed(self.seed)
        check_counts(resamples=self.resamples)

    def plan(
        self,
        model: Model,
        data: Corpus,
        representations: Sequence[Representation] = (VA, HS),
        *,
        store: ActivationStore | str | Path,
    ) -> MatchingJob:
        """Cut the documents of a corpus, and plan what has to be read of them.

        CorpusError where fewer than 10 documents can be cut or where a `k` exceeds their number, SiteError, PromptError or
        SelectionError for settings that the model does not allow.
        """
        layers = layers_of_model(model, self.layers)
        asked = {name: layers_asked(model, name, layers) for name in dict.fromkeys(representations)}
        check_names(representations)
        check_no_templates(representations, "Segments are cut from plain text")
        prompt = shared_prompt(representations, "Segment matching compares")
        limit = token_limit(model, min(MAX_TOKENS, model.n_ctx) if self.max_tokens is None else self.max_tokens)
        segments = cut(
            model.tokenizer,
            data.texts,
            max_tokens=limit,
            segment_tokens=self.segment_tokens,
            seed=self.seed,
            resplits=self.resplits,
            prompt=prompt,
        )
        _check_number(segments, data, self.ks)
        passages = segments.passages()
        reading = extract.plan(
            model,
            [tokens for tokens, _ in passages],
            [representation.reading for representation in representations],
            store=ActivationStore.of(store),
            prompt=prompt,
            max_tokens=limit,
            prefixes=[ends for _, ends in passages],
        )
        return MatchingJob(self, model, data, asked, segments, reading, limit)


@dataclass(frozen=True)
class MatchingJob:
    """Which segments of which documents are matched at which layers; made by `SegmentMatching.plan`."""

    settings: SegmentMatching
    model: Model = field(repr=False)
    corpus: Corpus = field(repr=False)
    layers: Mapping[Representation, tuple[int, ...]]
    segments: Segments = field(repr=False)
    reading: extract.Job = field(repr=False)
    max_tokens: int

    def estimate(self) -> Estimate:
        """Return what reading the segments would cost; makes one small forward pass to measure the speed."""
        return replace(self.reading.estimate(), notes=(_left_out(self.segments),))

    def run(self) -> SegmentMatchingResult:
        """Read the segments, rank them at every layer, and score the ranks."""
        words = word_ranks(self.model, self.segments)  # before anything is read: it fails where texts have no words
        extraction = self.reading.run()
        settings, segments = self.settings, self.segments
        ranks = words | matched_ranks(segments, extraction, self.layers, settings.similarity)
        recalls = tuple(f"recall@{k}" for k in settings.ks)
        measured = Measured(self.model, self.corpus.name, recalls, settings.resamples, settings.seed, settings.interval)
        facts = provenance(
            **extraction.facts(),
            corpus=self.corpus.facts(),
            documents={
                "used": len(segments.documents),
                "repeated": segments.repeated,
                "too_short": segments.short,
                "truncated": segments.truncated,
            },
            representations={str(name): str(LayerSet.of(layers)) for name, layers in self.layers.items()},
            ks=list(settings.ks),
            max_tokens=self.max_tokens,
            segment_tokens=settings.segment_tokens,
            similarity=settings.similarity,
            resplits=settings.resplits,
            resamples=settings.resamples,
            interval=settings.interval,
            seed=settings.seed,
        )
        details = {"ranks": rank_table(ranks, self.corpus, segments.documents)}
        return SegmentMatchingResult(KIND, measured.table(ranks), facts, details)


def segment_matching(
    model: Model,
    corpus: Corpus,
    representations: Sequence[Representation] = (VA, HS),
    *,
    store: ActivationStore | str | Path,
    layers: Layers = None,
    max_tokens: int | None = None,
    segment_tokens: int | None = None,
    similarity: str = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    seed: int = 0,
    resplits: int = 1,
    resamples: int = 10_000,
    interval: str = "wilson",
) -> SegmentMatchingResult:
    """Match the segments of a corpus at every layer: recall@k and MRR, by layer and representation.

    Section 3.2 of arXiv 2602.01572. A second call with the same settings makes no forward pass.

    Args:
        model: the decoder that is read.
        corpus: long texts; each is cut once for each of `resplits`. Ten or more must be long enough.
        representations: what is read of a segment; all share one prompt, which has no words of its own. The first is the
            main one.
        store: the activation store, or its folder.
        layers: a LayerSet or its notation, `20-27`; None: every layer that a representation has.
        max_tokens: how many tokens of a text are used; None: 2,000 as in the paper, or the model's context.
        segment_tokens: how many tokens are kept on each side of the cut; None: all of them, as in the paper.
        similarity: `cosine`, `dot` or `centered-cosine` (the mean over all segments is taken off first).
        ks: the k of recall@k, each 1 or more and below the number of documents.
        seed: draws the cuts and the resamples.
        resplits: how many times every text is cut anew; scores are means, their spread is in `between_resplits`.
        resamples: how many bootstrap resamples of the documents an interval is made of.
        interval: at 95 %: `wilson` for recall, with `bca` for MRR and for means over several cuts; or for all of them
            `percentile` or `bca`, the bootstrap's, which near 1 are too narrow.

    Returns:
        Scores in [0, 1] by layer with 95 % intervals, and the rank of every document's own other segment.

    Raises:
        CorpusError: too few documents, or a `k` that exceeds their number.
        SiteError, PromptError, SelectionError: settings that the model does not allow.
        ResultError, ProbeError: settings that no matching can measure.

    """
    settings = SegmentMatching(
        layers=layers,
        max_tokens=max_tokens,
        segment_tokens=segment_tokens,
        similarity=similarity,
        ks=ks,
        seed=seed,
        resplits=resplits,
        resamples=resamples,
        interval=interval,
    )
    return settings.plan(model, corpus, representations, store=store).run()


def _left_out(segments: Segments) -> str:
    return f"{segments.repeated} repeated and {segments.short} too short documents are left out"


def _check_number(segments: Segments, corpus: Corpus, ks: Sequence[int]) -> None:
    n = len(segments.documents)
    if n < FEWEST:
        raise CorpusError(
            f"{corpus.name} has {n} usable documents ({_left_out(segments)}); {FEWEST} or more are needed. Give a larger "
            "corpus, raise --max-tokens or lower --segment-tokens."
        )
    if max(ks, default=0) >= n:
        raise CorpusError(
            f"recall@{max(ks)} among {n} documents is always 1 ({_left_out(segments)}). Ask for k below {n}, or give more "
            "documents."
        )
