"""Do all texts point the same way? The mean cosine between different texts by layer, as it is and after centring.

Anisotropy as in Ethayarajh (2019), arXiv 1909.00512, section 3.4, of texts where that paper has words: vectors that fill all
directions alike have a mean cosine of 0, vectors in a narrow cone one near 1. Taking the mean vector off (centring) shows
how much of it is one shared direction.

With u_i the vector of text i at length 1, the score is the mean of u_i · u_j over all i ≠ j, which takes one sum over texts:
(|Σ u_i|² − n) / (n (n − 1)). A resample that draws text i w_i times scores (|Σ w_i u_i|² − Σ w_i²) / ((Σ w_i)² − Σ w_i²): a
text is never compared with its own copies, which would count as alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.anisotropy.result import KIND, AnisotropyResult
from probes.anisotropy.section import CENTRED, METRICS, QUESTION
from probes.layers import Layers, check_names, layers_asked, layers_of_model, shared_prompt
from valens.corpora import Corpus
from valens.errors import CorpusError
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.layers.layer_set import LayerSet
from valens.metrics.anisotropy import mean_cosine
from valens.model.model import Model
from valens.progress import steps
from valens.representations.named import HS, VA, Representation
from valens.results.provenance import provenance
from valens.statistics import percentile_interval, resample_counts
from valens.statistics.seeds import check_counts, check_seed
from valens.store.store import ActivationStore

FEWEST = 3
"""Of two texts, centring leaves two opposite vectors."""


@dataclass(frozen=True)
class Anisotropy:
    """The settings of an anisotropy probe; see `anisotropy` for what each means."""

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[AnisotropyResult]] = AnisotropyResult

    layers: Layers = None
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
        representations: Sequence[Representation] = (VA, HS),
        *,
        store: ActivationStore | str | Path,
    ) -> AnisotropyJob:
        """Plan what has to be read; CorpusError for fewer than three different texts, SiteError for layers beyond L."""
        layers = layers_of_model(model, self.layers)
        asked = {
            representation: layers_asked(model, representation, layers)
            for representation in dict.fromkeys(representations)
        }
        check_names(representations)
        reading = extract.plan(
            model,
            data.texts,
            [representation.reading for representation in asked],
            store=ActivationStore.of(store),
            prompt=shared_prompt(list(asked), "Anisotropy compares"),
            max_tokens=self.max_tokens,
        )
        rows = list(dict.fromkeys(row for passage in reading.passages for row in passage.rows))
        if len(rows) < FEWEST:
            raise CorpusError(
                f"{data.name} has {len(rows)} different texts as they are read; {FEWEST} or more are needed to compare."
            )
        return AnisotropyJob(self, model, data, asked, reading)


@dataclass(frozen=True)
class AnisotropyJob:
    """Which texts are compared at which layers; made by `Anisotropy.plan`."""

    settings: Anisotropy
    model: Model = field(repr=False)
    corpus: Corpus = field(repr=False)
    layers: Mapping[Representation, tuple[int, ...]]
    reading: extract.Job = field(repr=False)

    def estimate(self) -> Estimate:
        """Return what reading the texts would cost; makes one small forward pass to measure the speed."""
        cost = self.reading.estimate()
        return replace(cost, notes=(f"{cost.different_texts:,} different texts are compared",))

    def run(self) -> AnisotropyResult:
        """Read the texts, and compare each with every other at every layer."""
        extraction = self.reading.run()
        first_of = {row: index for index, row in reversed(list(enumerate(extraction.rows)))}
        different = sorted(first_of.values())  # a text and its twin would count as alike
        counts = resample_counts(len(different), self.settings.resamples, self.settings.seed)
        rows, replicates = [], []
        with steps("Comparing texts", sum(map(len, self.layers.values()))) as step:
            for representation, layers in self.layers.items():
                for layer in layers:
                    vectors = extraction.vectors(representation.reading, layer, different)
                    for metric in METRICS:
                        score, resampled = mean_cosine(vectors, counts, centred=metric == CENTRED)
                        low, high = percentile_interval(resampled)
                        rows.append((representation.name, layer, metric, score, float(low), float(high)))
                        replicates.append((representation.name, layer, metric, resampled))
                    step()
        facts = provenance(
            **extraction.facts(),
            corpus=self.corpus.facts(),
            documents={"used": len(different), "repeated": len(extraction.rows) - len(different)},
            texts_truncated=extraction.truncated,
            representations={
                str(representation): str(LayerSet.of(layers)) for representation, layers in self.layers.items()
            },
            max_tokens=self.settings.max_tokens,
            resamples=self.settings.resamples,
            seed=self.settings.seed,
        )
        table = pd.DataFrame(rows, columns=["representation", "layer", "metric", "score", "low", "high"])
        table = table.assign(model=self.model.name, corpus=self.corpus.name, n=len(different))
        table["depth"] = table.layer / self.model.n_layers
        return AnisotropyResult(KIND, table, facts, {"replicates": _replicate_table(replicates)})


def anisotropy(
    model: Model,
    corpus: Corpus,
    representations: Sequence[Representation] = (VA, HS),
    *,
    store: ActivationStore | str | Path,
    layers: Layers = None,
    max_tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> AnisotropyResult:
    """Measure the mean cosine between different texts at every layer, as it is and after centring.

    After Ethayarajh (2019), arXiv 1909.00512. A second call with the same settings makes no forward pass.

    Args:
        model: the decoder that is read.
        corpus: three or more different texts; texts whose tokens are equal count once.
        representations: what is read of a text; all share one prompt. The first is the main one.
        store: the activation store, or its folder.
        layers: a LayerSet or its notation, `20-27`; None: every layer that a representation has.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context.
        resamples: how many bootstrap resamples of the texts an interval is made of.
        seed: draws the resamples.

    Returns:
        Mean cosines in [−1, 1] by layer, with 95 % intervals over texts. After centring on the mean of the same n texts, the
        mean cosine of directions without structure is −1 / (n − 1), not 0.

    Raises:
        CorpusError: fewer than three different texts.
        SiteError, PromptError, SelectionError: settings that the model does not allow.
        ProbeError: settings that cannot be measured.

    """
    settings = Anisotropy(layers=layers, max_tokens=max_tokens, resamples=resamples, seed=seed)
    return settings.plan(model, corpus, representations, store=store).run()


def _replicate_table(parts: Sequence[tuple[str, int, str, Float[np.ndarray, " resample"]]]) -> pd.DataFrame:
    """One row a representation, layer, metric and resample: the score in that resample."""
    tables = [
        pd.DataFrame(
            {
                "representation": name,
                "layer": layer,
                "metric": metric,
                "resample": np.arange(len(scores), dtype=np.int32),
                "value": scores.astype(np.float32),
            }
        )
        for name, layer, metric, scores in parts
    ]
    return pd.concat(tables, ignore_index=True).astype({"representation": "category", "metric": "category"})
