"""What of a text's continuation can be read off its vectors? Ranks of subsequent tokens by a logit lens (Figures 7, 8).

Appendix E of arXiv 2602.01572. Of each document some prefixes x_1 … x_t are drawn; for each offset o the query x_{t+o-1}
attends to the prefix alone (see `restricted_pass`), vectors at every layer go through the model's own unembedding, and the
rank of the true token x_{t+o} is kept. The vectors are named in `ranks`. From the ranks follow MRR@100, its intervals over
documents, and every paired test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from probes.logit_lens.names import NAMES, NORMS
from probes.logit_lens.prefixes import Continuations, check_lengths, draw_prefixes
from probes.logit_lens.reading import RankReading
from probes.logit_lens.result import KIND, LogitLensResult
from probes.logit_lens.section import QUESTION
from probes.logit_lens.tables import LensTables, curves_of, rank_table, unigram_ranks
from valens.corpora import Corpus
from valens.errors import CorpusError, ProbeError
from valens.extraction.estimate import Estimate
from valens.extraction.manifest import how_read
from valens.model.attention import BRIDGE_ATTENTION
from valens.model.model import Model
from valens.model.unembedding import Unembedding
from valens.representations.named import Representation
from valens.representations.prompts import PLAIN
from valens.results.provenance import provenance
from valens.statistics.cross_fit import RESPLITS
from valens.statistics.seeds import check_counts, check_seed
from valens.store.partial_results import PartialResults
from valens.store.store import RANKS, ActivationStore

_FORMAT = 2
"""The version of what is kept of a text; it is part of the identity of what is kept."""


@dataclass(frozen=True)
class LogitLens:
    """The settings of a logit lens; see `logit_lens` for what each means.

    Raises ProbeError or CorpusError for what no lens can measure.
    """

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[LogitLensResult]] = LogitLensResult

    offsets: Sequence[int] = (1, 2, 3, 4, 5)
    prefix_tokens: tuple[int, int] = (50, 150)
    prefixes: int = 4
    resplits: int = RESPLITS
    resamples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before a model is loaded for it."""
        check_seed(self.seed)
        check_counts(resplits=self.resplits, resamples=self.resamples)
        if min(self.offsets, default=0) < 1:
            raise CorpusError(
                f"Offsets count from 1, the token right after the prefix; {list(self.offsets)} were asked for."
            )
        check_lengths(self.prefix_tokens, self.prefixes)

    def plan(
        self,
        model: Model,
        data: Corpus,
        representations: Sequence[Representation] = (),
        *,
        store: ActivationStore | str | Path | None = None,
    ) -> LensJob:
        """Draw the prefixes of a corpus, and plan what has to be read of it.

        CorpusError where texts or the model's context leave no prefix, ProbeError for representations, StoreError for what
        is no store, ModelError for a model without an unembedding.
        """
        if representations:
            raise ProbeError(
                f"A logit lens has lines of its own, {', '.join(NAMES)}; {', '.join(map(str, representations))} was asked "
                "for. Give no representations."
            )
        offsets = tuple(sorted(set(self.offsets)))
        limit = _limit(model, self.prefix_tokens, offsets)
        Unembedding.of(model)  # refuses a model that has none before anything is read
        continuations = draw_prefixes(
            model.tokenizer, data, tokens=self.prefix_tokens, farthest=offsets[-1], n=self.prefixes, seed=self.seed
        )
        model.check_token_ids(text.ids for text in continuations.texts)
        _check_number(continuations, data)
        identity = how_read(model, prompt=PLAIN, max_tokens=limit, stored="float32") | {
            "format": _FORMAT,
            "probe": KIND,
            "attn_implementation": BRIDGE_ATTENTION,
            "stored": "ranks",
            "representations": list(NAMES),
            "norms": list(NORMS),
            "offsets": list(offsets),
            "prefix_tokens": list(self.prefix_tokens),
            "prefixes": self.prefixes,
            "seed": self.seed,
        }
        partial_results = None if store is None else PartialResults.of(ActivationStore.of(store).path / RANKS, identity)
        return LensJob(self, model, data, RankReading(model, continuations, offsets, identity, partial_results))


@dataclass(frozen=True)
class LensJob:
    """Which prefixes of which documents are asked about; made by `LogitLens.plan`."""

    settings: LogitLens
    model: Model = field(repr=False)
    corpus: Corpus = field(repr=False)
    reading: RankReading

    def estimate(self) -> Estimate:
        """Return what reading the texts would cost; reads one text to measure the speed, and keeps nothing."""
        continuations = self.reading.continuations
        notes = (
            f"left out: {continuations.short:,} too short, {continuations.repeated:,} repeated",
            f"{continuations.n_instances:,} prefixes",
        )
        return replace(self.reading.estimate(), notes=notes)

    def run(self) -> LogitLensResult:
        """Read the texts, and score the ranks of their tokens at every layer."""
        settings, model, corpus = self.settings, self.model, self.corpus
        continuations, offsets = self.reading.continuations, self.reading.offsets
        extraction = self.reading.run()
        vocabulary = len(Unembedding.of(model).weight)
        unigram = unigram_ranks(continuations, offsets, vocabulary=vocabulary, seed=settings.seed)
        curves = curves_of(extraction.ranks, unigram)
        tables = LensTables(curves, offsets, model.n_layers, settings.resplits, settings.resamples, settings.seed)
        named = {"model": model.name, "corpus": corpus.name}
        details = {
            "best": tables.best().assign(**named),
            "differences": tables.differences().assign(**named),
            "ranks": rank_table(extraction.ranks, continuations, offsets, corpus.ids, model.n_layers),
        }
        facts = provenance(**self.reading.facts(extraction), **self._facts())
        return LogitLensResult(KIND, tables.by_layer().assign(**named), facts, details)

    def _facts(self) -> dict[str, Any]:
        """Return what provenance says of the texts and settings."""
        settings, continuations = self.settings, self.reading.continuations
        return {
            "corpus": self.corpus.facts(),
            "documents": {
                "used": len(continuations.texts),
                "too_short": continuations.short,
                "repeated": continuations.repeated,
            },
            "instances": continuations.n_instances,
            "offsets": list(self.reading.offsets),
            "prefix_tokens": list(settings.prefix_tokens),
            "prefixes": settings.prefixes,
            "conventions": _CONVENTIONS,
            "resplits": settings.resplits,
            "resamples": settings.resamples,
            "seed": settings.seed,
        }


def logit_lens(
    model: Model,
    corpus: Corpus,
    *,
    store: ActivationStore | str | Path | None = None,
    offsets: Sequence[int] = (1, 2, 3, 4, 5),
    prefix_tokens: tuple[int, int] = (50, 150),
    prefixes: int = 4,
    resplits: int = RESPLITS,
    resamples: int = 10_000,
    seed: int = 0,
) -> LogitLensResult:
    """Rank the tokens that follow prefixes of a corpus's texts by every layer's vectors: MRR@100 by offset.

    Appendix E of arXiv 2602.01572. The lens has lines of its own: VA, VA-uniform, WHS, WHS-but-first, LHS and VA-sum. Each
    text is read once; a run that was stopped goes on from what `store` has.

    Args:
        model: the decoder that is read; its attention must be one that can be restricted to a prefix.
        corpus: the texts; two or more must have `prefix_tokens[1]` tokens and the farthest of `offsets` after them.
        store: the activation store, or its folder, in which each text's ranks are kept as they are computed; None: in
            memory alone.
        offsets: which tokens after a prefix are ranked; 1 is the very next one.
        prefix_tokens: the fewest and the most tokens that a prefix has, both included.
        prefixes: how many prefixes of different lengths each text has; 400 texts with 4 are as many as the paper's 1,600.
        resplits: how many random splits of the documents layers are chosen by, each used both ways; scores are means.
        resamples: how many bootstrap resamples of the documents an interval is made of; layers are chosen anew in each.
        seed: draws the prefixes, the splits of the documents, and the resamples.

    Returns:
        MRR@100 in [0, 1] by layer and offset, with and without the final norm, with 95 % intervals over documents; each
        line's best layer; paired differences; and the rank of every true token.

    Raises:
        CorpusError: settings, texts or the model's context leave no prefix.
        ProbeError: no splits or resamples, or what is not a valid seed.
        CaptureError, ModelError: a model whose attention cannot be restricted to a prefix, or without an unembedding.

    """
    settings = LogitLens(
        offsets=offsets,
        prefix_tokens=prefix_tokens,
        prefixes=prefixes,
        resplits=resplits,
        resamples=resamples,
        seed=seed,
    )
    return settings.plan(model, corpus, store=store).run()


def _limit(model: Model, prefix_tokens: tuple[int, int], offsets: Sequence[int]) -> int:
    """Return how many tokens are read of a text; CorpusError for more than the model reads."""
    limit = prefix_tokens[1] + offsets[-1]
    if limit > model.n_ctx:
        raise CorpusError(
            f"{model.name} reads {model.n_ctx:,} tokens; the longest prefix and its farthest offset need {limit:,}. Lower "
            "--prefix-tokens or --offsets."
        )
    return limit


def _check_number(continuations: Continuations, corpus: Corpus) -> None:
    if len(continuations.texts) < 2:  # noqa: PLR2004
        raise CorpusError(
            f"One text of {corpus.name} can be used, and layers are chosen on one half of the documents to be scored on the "
            f"other. {continuations.short} were too short and {continuations.repeated} repeated; give more texts, or lower "
            "--prefix-tokens."
        )


_CONVENTIONS = {
    "offset": "1 is the token right after the prefix",
    "attention": "queries after the prefix attend to the prefix alone, not to themselves, at their true positions; where "
    "the model has attention sinks, a query's weights sum to less than 1",
    "prefix_tokens": "counted as the model reads them, a begin-of-sequence token included",
    "WHS": "pools hidden@l, the states that leave block l, with the heads' mean attention at layer l",
    "WHS-but-first": "the same without the prefix's first token, which is the begin-of-sequence token where there is one; "
    "the other weights sum to 1, and a prefix of one token keeps it",
    "norm": "whether the model's final norm is applied before the unembedding; LHS is compared with it",
    "rank": "1 + the number of tokens with a strictly greater logit, in float32",
    "unigram": "tokens by their frequency in the other split of the documents, a begin-of-sequence token among them; 1 + "
    "the number of others at least as frequent",
    "score": "mean over a document's prefixes, then over documents; intervals resample documents",
    "held out": "the layer is chosen on one half of the documents and scored on the other, both ways, in `resplits` random "
    "splits; intervals and p values repeat the choice in every resample",
}
