"""Which tokens swallow the attention, how long are their vectors, and what does that do to a mean? By layer, from one pass.

Attention sinks (arXiv 2309.17453, 2410.10781), massive activations (2402.17762) and value-state drain (2410.13835),
measured on a user's own texts. A mean with one token that is far longer than the others and the same in every text is that
token over the number of tokens: its cosine compares the lengths of texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.sinks.measures import ATTENTION, DIMENSIONS, EMBEDDINGS, LENGTHS, MASSIVE, READINGS, SHARES
from probes.sinks.names import (
    ACTIVATIONS,
    ATTENDS,
    FIRST_IS_LONGEST,
    FIRST_LENGTH,
    FIRST_SHARE,
    LARGEST_SHARE,
    LENGTH_CORRELATION,
    LONGEST_LENGTH,
    MEAN_COSINE,
    RANK,
    SINK_SCORE,
    SINKS,
)
from probes.sinks.result import KIND, SinksResult
from probes.sinks.section import QUESTION
from valens import metrics
from valens.corpora import Corpus
from valens.errors import CorpusError, SelectionError
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.layers.sites import Stream
from valens.metrics.anisotropy import effective_rank, mean_cosine
from valens.model.model import Model
from valens.progress import steps
from valens.representations.measures import MEASURED, Measure
from valens.representations.named import Representation
from valens.representations.prompts import PLAIN, Prompt
from valens.representations.readings import Reading
from valens.results.provenance import provenance
from valens.statistics import percentile_interval, resample_counts
from valens.statistics.seeds import check_counts, check_seed
from valens.store.store import ActivationStore

FEWEST = 3
_PAIR_RESAMPLES = 200
"""The rank correlation over all pairs of texts is resampled at most this often."""
_TOKENS_SHOWN = 3

Columns = dict[str, Float[np.ndarray, " text"]]


@dataclass(frozen=True)
class Sinks:
    """The settings of a sinks probe; see `sinks` for what each means."""

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[SinksResult]] = SinksResult

    prompt: Prompt = PLAIN
    max_tokens: int | None = None
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before a model is loaded for it."""
        check_seed(self.seed)
        check_counts(resamples=self.resamples)

    def plan(
        self,
        model: Model,
        data: Corpus,
        representations: Sequence[Representation] = (),
        *,
        store: ActivationStore | str | Path,
    ) -> SinksJob:
        """Plan what has to be read; CorpusError for fewer than three different texts, SelectionError for representations."""
        if representations:
            raise SelectionError("Sinks are measured of hidden states, values and keys. Leave --representations out.")
        reading = extract.plan(
            model,
            data.texts,
            READINGS,
            store=ActivationStore.of(store),
            prompt=self.prompt,
            max_tokens=self.max_tokens,
        )
        n = len({passage.rows for passage in reading.passages})
        if n < FEWEST:
            raise CorpusError(f"{data.name} has {n} different texts as they are read; {FEWEST} or more are needed.")
        return SinksJob(self, model, data, reading)


@dataclass(frozen=True)
class SinksJob:
    """Which texts are measured; made by `Sinks.plan`."""

    settings: Sinks
    model: Model = field(repr=False)
    corpus: Corpus = field(repr=False)
    reading: extract.Job = field(repr=False)

    def estimate(self) -> Estimate:
        """Return what reading the texts would cost; makes one small forward pass to measure the speed."""
        cost = self.reading.estimate()
        return replace(
            cost, notes=("attention is looked at, so TransformerLens computes it: slower than other probes",)
        )

    def run(self) -> SinksResult:
        """Read the texts, and measure every layer."""
        extraction = self.reading.run()
        first_of = {row: index for index, row in reversed(list(enumerate(extraction.rows)))}
        measured = _Measured(self, extraction, sorted(first_of.values()))
        facts = provenance(
            **extraction.facts(),
            corpus=self.corpus.facts(),
            documents={"used": len(measured.texts), "repeated": len(extraction.rows) - len(measured.texts)},
            texts_truncated=extraction.truncated,
            resamples=self.settings.resamples,
            seed=self.settings.seed,
        )
        table = pd.DataFrame(measured.rows()).assign(
            n=len(measured.texts), model=self.model.name, corpus=self.corpus.name
        )
        details = {"tokens": measured.tokens(), "dimensions": measured.dimensions()}
        return SinksResult(KIND, table, facts, details)


class _Measured:
    """The measures of the different texts, and what is made of them at each layer."""

    def __init__(self, job: SinksJob, extraction: extract.Extraction, texts: Sequence[int]) -> None:
        self.texts = texts
        self._job, self._extraction = job, extraction
        self._counts = resample_counts(len(texts), job.settings.resamples, job.settings.seed)
        self._drawn = [np.repeat(np.arange(len(texts)), count) for count in self._counts]
        n_tokens = [sum(job.reading.passages[text].tokens.pooling_mask) for text in texts]
        one, other = np.triu_indices(len(texts), 1)
        logs = np.log(np.array(n_tokens, dtype=float))
        self._pairs = one, other
        self._likeness = np.round(-np.abs(logs[one] - logs[other]), 9)  # equal ratios tie, whatever their last bits

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row a number: what was measured, its layer, the metric, the score and its interval."""
        n_layers = self._job.model.n_layers
        with steps("Measuring layers", n_layers + 1) as step:
            for layer in range(n_layers + 1):
                for name, metric, score, replicates in self._of_layer(layer):
                    low, high = percentile_interval(replicates) if replicates.size else (np.nan, np.nan)
                    yield {
                        "representation": name,
                        "layer": layer,
                        "metric": metric,
                        "score": float(score),
                        "low": float(low),
                        "high": float(high),
                        "depth": layer / n_layers,
                    }
                step()

    def tokens(self) -> pd.DataFrame:
        """Return which tokens are most often a text's longest hidden state: layer, position, token, share of the texts."""
        rows = []
        for layer in LENGTHS[Stream.HIDDEN].layers(self._job.model.n_layers):
            positions = self._columns(LENGTHS[Stream.HIDDEN], layer)["position_of_longest"].astype(int).tolist()
            found = Counter(self._token(text, position) for text, position in zip(self.texts, positions, strict=True))
            for (token, where), count in found.most_common(_TOKENS_SHOWN):
                rows.append({"layer": layer, "token": token, "position": where, "share": count / len(self.texts)})
        return pd.DataFrame(rows)

    def dimensions(self) -> pd.DataFrame:
        """Return the dimensions with massive activations: layer, dimension, how many a text."""
        rows = []
        for layer in DIMENSIONS.layers(self._job.model.n_layers):
            counts = self._vectors(DIMENSIONS, layer).mean(axis=0)
            rows += [
                {"layer": layer, "dimension": int(dimension), "a_text": float(counts[dimension])}
                for dimension in np.flatnonzero(counts)
            ]
        return pd.DataFrame(rows, columns=["layer", "dimension", "a_text"]).astype({"layer": int, "dimension": int})

    def _token(self, text: int, position: int) -> tuple[str, str]:
        """Return a pooled token in the tokenizer's writing, and whether it is the first."""
        tokens = self._job.reading.passages[text].tokens
        pooled = [token for token, is_pooled in zip(tokens.ids, tokens.pooling_mask, strict=True) if is_pooled]
        written = "any" if position == 0 else str(self._job.model.tokenizer.convert_ids_to_tokens(pooled[position]))
        return written, "first" if position == 0 else "later"

    def _vectors(self, reading: Reading, layer: int) -> Float[np.ndarray, "text d"]:
        return self._extraction.vectors(reading, layer, self.texts)

    def _columns(self, reading: Reading, layer: int) -> Columns:
        numbers = self._vectors(reading, layer).astype(np.float64)
        return dict(zip(MEASURED[Measure(str(reading.pooling))], numbers.T, strict=True))

    def _of_layer(self, layer: int) -> Iterator[tuple[str, str, float, Float[np.ndarray, " _"]]]:
        n_layers = self._job.model.n_layers
        for stream, reading in LENGTHS.items():
            if layer in reading.layers(n_layers):
                yield from self._of_lengths(stream, self._columns(reading, layer))
        for stream, reading in SHARES.items():
            if layer in reading.layers(n_layers):
                shares = self._columns(reading, layer)
                yield stream, FIRST_SHARE, *self._median(shares["first"])
                yield stream, LARGEST_SHARE, *self._median(shares["largest"])
        yield Stream.HIDDEN, ACTIVATIONS, *self._mean(self._columns(MASSIVE, layer)["activations"])
        if layer in ATTENTION.layers(n_layers):
            yield "attention", SINK_SCORE, *self._share_of_heads(self._vectors(ATTENTION, layer))
        for name, reading in EMBEDDINGS.items():
            if layer in reading.layers(n_layers):
                yield from self._of_embeddings(name, self._vectors(reading, layer))

    def _of_lengths(
        self, stream: Stream, lengths: Columns
    ) -> Iterator[tuple[str, str, float, Float[np.ndarray, " _"]]]:
        others = np.maximum(lengths["median_of_others"], np.finfo(float).tiny)
        yield stream, FIRST_LENGTH, *self._median(lengths["first"] / others)
        yield stream, LONGEST_LENGTH, *self._median(lengths["longest"] / others)
        yield stream, SINKS, *self._mean(lengths["sunk"])
        yield stream, FIRST_IS_LONGEST, *self._mean((lengths["position_of_longest"] == 0).astype(float))

    def _of_embeddings(
        self, name: str, vectors: Float[np.ndarray, "text d"]
    ) -> Iterator[tuple[str, str, float, Float[np.ndarray, " _"]]]:
        yield name, MEAN_COSINE, *mean_cosine(vectors, self._counts, centred=False)
        yield name, RANK, effective_rank(vectors), np.empty(0)  # a resample that repeats texts has a lower rank
        one, other = self._pairs
        cosines = metrics.paired_cosine(vectors, one, other)[None]
        counts = self._counts[:_PAIR_RESAMPLES]
        weights = np.vstack([np.ones((1, len(one)), dtype=int), counts[:, one] * counts[:, other]])
        correlations = metrics.weighted_spearman(cosines, self._likeness, weights)[0]
        yield name, LENGTH_CORRELATION, float(correlations[0]), correlations[1:]

    def _median(self, values: Float[np.ndarray, " text"]) -> tuple[float, Float[np.ndarray, " _"]]:
        return float(np.median(values)), np.array([np.median(values[drawn]) for drawn in self._drawn])

    def _mean(self, values: Float[np.ndarray, " text"]) -> tuple[float, Float[np.ndarray, " _"]]:
        return float(values.mean()), self._counts @ values / len(values)

    def _share_of_heads(self, attention: Float[np.ndarray, "text head"]) -> tuple[float, Float[np.ndarray, " _"]]:
        """Return the share of heads that attend to the first token, of the mean over texts."""
        resampled = self._counts @ attention.astype(np.float64) / len(attention)
        return float((attention.mean(axis=0) > ATTENDS).mean()), (resampled > ATTENDS).mean(axis=1)


def sinks(
    model: Model,
    corpus: Corpus,
    *,
    store: ActivationStore | str | Path,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> SinksResult:
    """Measure attention sinks, massive activations and what they do to a mean, at every layer.

    One pass a text, in which TransformerLens computes the attention. A second call with the same settings makes none.

    Args:
        model: the decoder that is read.
        corpus: three or more different texts, best of many lengths; texts whose tokens are equal count once.
        store: the activation store, or its folder.
        prompt: what is put around each text, the policy for BOS, and which tokens are looked at.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context.
        resamples: how many bootstrap resamples of the texts an interval is made of; the rank correlation takes 200 at most.
        seed: draws the resamples.

    Returns:
        A number for each stream or embedding, layer and metric; `probes.sinks.names.METRICS` has the units. In `details`
        which tokens are the longest (`tokens`) and which dimensions are massive (`dimensions`).

    Raises:
        CorpusError: fewer than three different texts.
        PromptError, ProbeError: settings that the model does not allow, or that cannot be measured.

    """
    settings = Sinks(prompt=prompt, max_tokens=max_tokens, resamples=resamples, seed=seed)
    return settings.plan(model, corpus, store=store).run()
