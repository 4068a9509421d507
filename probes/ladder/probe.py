"""Is it the values, or the pooling? Every step from the mean of hidden states to the mean of values, and every fix.

Each text of a suite is read once. Every rung (see `probes.ladder.rungs`) is scored at every block, over shared layer sets
and over sets of its own, on the same texts with the same resamples. How much of the lead of values a fix of the pooling
makes good, and what is left of it when hidden states are pooled as well as they can be, is told for each way of choosing
layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from probes.ladder.result import KIND, LadderResult
from probes.ladder.rungs import Rung, rungs
from probes.ladder.scores import Setting, score_rungs
from probes.ladder.section import QUESTION
from probes.ladder.verdicts import block_table, verdict_table, way_table
from probes.layers import Layers, layers_of_model
from valens.corpora.contract import Corpus
from valens.errors import LayerSetError, SelectionError
from valens.evaluation.suite_scores import lexical_scores, text_indices
from valens.evaluation.tfidf import LEXICAL
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.extraction.fitting import check_fit_texts
from valens.layers.layer_set import LayerSet
from valens.model.model import Model
from valens.representations.named import Representation
from valens.representations.prompts import PLAIN, Prompt
from valens.representations.readings import Reading
from valens.results.provenance import provenance
from valens.selectors import check_tasks, selector
from valens.statistics.seeds import check_counts, check_seed
from valens.store.store import ActivationStore
from valens.suites.paragraphs import paragraphs
from valens.tasks import Suite

_NEEDS_VECTORS = ("greedy", "intrinsic-dimension")


@dataclass(frozen=True)
class Ladder:
    """The settings of a ladder; see `ladder` for what each means.

    Raises SelectionError for a selector that does not exist or that looks at vectors.
    """

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[LadderResult]] = LadderResult

    fit: Corpus | None = None
    layers: Layers = None
    select: str = "paper"
    draws: int = 5
    runs: int = 5
    prompt: Prompt = PLAIN
    max_tokens: int | None = None
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be chosen or measured, before a model is loaded for it."""
        selector(self.select)
        check_seed(self.seed)
        if self.select in _NEEDS_VECTORS:
            raise SelectionError(
                f"The ladder chooses by scores alone, and {self.select} looks at vectors. Use paper or best."
            )
        check_counts(resamples=self.resamples, draws=self.draws, runs=self.runs)

    def plan(
        self,
        model: Model,
        data: Suite,
        representations: Sequence[Representation] = (),
        *,
        store: ActivationStore | str | Path,
    ) -> LadderJob:
        """Plan what has to be read of a suite's texts and of those that are fitted on; the rungs are the representations.

        SelectionError for representations, or a selector that the suite's tasks do not allow; LayerSetError for layers that
        the model does not have; PostprocessingError for texts to fit on that are evaluated, or too few.
        """
        if representations:
            raise SelectionError("The ladder has rungs of its own. Leave --representations out.")
        check_tasks(selector(self.select), [task.task_type for task in data.tasks])
        chosen = layers_of_model(model, self.layers) or _of_the_paper(model)
        if chosen is not None and not set(chosen) <= set(range(1, model.n_layers + 1)):
            raise LayerSetError(
                f"The ladder looks at the blocks of {model.name}, 1 to {model.n_layers}; layers {chosen} were asked for."
            )
        sizes = model.sizes
        steps = rungs(sizes.n_kv_heads * sizes.d_head, sizes.d_model, self.draws)
        fit = self.fit or paragraphs()
        indices = text_indices(data)
        check_fit_texts(fit, list(indices))
        reading = extract.plan(
            model,
            [*indices, *fit.texts],
            list(dict.fromkeys(rung.reading for rung in steps)),
            store=ActivationStore.of(store),
            prompt=self.prompt,
            max_tokens=self.max_tokens,
        )
        job = LadderJob(self, model, data, fit, steps, chosen, reading)
        job.check_widths()
        return job


@dataclass(frozen=True)
class LadderJob:
    """Which rungs are scored on which tasks; made by `Ladder.plan`."""

    settings: Ladder
    model: Model = field(repr=False)
    suite: Suite = field(repr=False)
    fit: Corpus = field(repr=False)
    rungs: tuple[Rung, ...]
    layers: LayerSet | None
    """The set of blocks that is looked at beside the deep half and all; None for none."""
    reading: extract.Job = field(repr=False)

    def check_widths(self) -> None:
        """Raise PostprocessingError for fewer texts to fit on than a rung needs, before anything is read."""
        for rung in self.rungs:
            width = self.model.sizes.width(rung.reading.stream)
            for each in rung.postprocessing:
                each.check(len(self.fit.texts), width)

    def estimate(self) -> Estimate:
        """Return what reading the texts would cost; makes one small forward pass to measure the speed."""
        cost = self.reading.estimate()
        return replace(cost, notes=(f"{len(self.rungs)} rungs; {len(self.fit.texts):,} of the texts are fitted on",))

    def run(self) -> LadderResult:
        """Read the texts, score every rung, and say what each fix makes good."""
        settings, n_layers = self.settings, self.model.n_layers
        extraction = self.reading.run()
        sets = {"set": self.layers} if self.layers else {}
        setting = Setting(
            suite=self.suite,
            indices=text_indices(self.suite),
            blocks=tuple(range(1, n_layers + 1)),
            sets={**sets, "half": LayerSet.half(n_layers), "all": LayerSet.all(n_layers)},
            n_layers=n_layers,
            select=settings.select,
            runs=settings.runs,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        scored = score_rungs(self._arrays(extraction, setting), setting, n_rungs=len(self.rungs))
        scores = sorted(scored, key=lambda each: self.rungs.index(each.rung))
        words = lexical_scores(self.suite, resamples=settings.resamples, seed=settings.seed)
        facts = provenance(**extraction.facts() | self._facts(extraction))
        return LadderResult(
            KIND,
            block_table(scores, words, LEXICAL, self.model.name, n_layers),
            facts,
            {"ways": way_table(scores), "verdicts": verdict_table(scores)},
        )

    def _arrays(
        self, extraction: extract.Extraction, setting: Setting
    ) -> Iterator[tuple[Rung, Float[np.ndarray, "block text d"], Float[np.ndarray, "block fit d"]]]:
        """Yield each rung with its vectors at every block, of the suite's texts and of those that are fitted on."""
        n_texts = len(setting.indices)

        @lru_cache(maxsize=1)
        def vectors(reading: Reading, layers: tuple[int, ...]) -> Float[np.ndarray, "block text d"]:
            return np.stack([extraction.vectors(reading, layer) for layer in layers])

        for rung in sorted(self.rungs, key=lambda rung: str(rung.reading)):
            found = vectors(rung.reading, tuple(rung.layer(block) for block in setting.blocks))
            yield rung, found[:, :n_texts], found[:, n_texts:]

    def _facts(self, extraction: extract.Extraction) -> dict[str, Any]:
        settings = self.settings
        return {
            "suite": self.suite.facts(),
            "fit": self.fit.facts(),
            "rungs": {rung.name: {"reading": str(rung.reading), "what": rung.what} for rung in self.rungs},
            "layers": str(self.layers) if self.layers else None,
            "texts_truncated": extraction.truncated,
            "select": settings.select,
            "draws": settings.draws,
            "runs": settings.runs,
            "resamples": settings.resamples,
            "seed": settings.seed,
        }


def ladder(
    model: Model,
    suite: Suite,
    *,
    store: ActivationStore | str | Path,
    fit: Corpus | None = None,
    layers: Layers = None,
    select: str = "paper",
    draws: int = 5,
    runs: int = 5,
    prompt: Prompt = PLAIN,
    max_tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> LadderResult:
    """Score every step from the mean of hidden states to the mean of values, and every fix, on a suite.

    The steps are R0 `hidden/mean` (what enters a block), R1 `hidden/unit`, R2 `normed/mean`, R3 `values/mean`. Fixes of both
    sides: without the first token, without sinks, standardised, without the first 1 or 3 principal directions (all fitted on
    `fit`). Controls of the value matrix: random matrices and principal components of the same width. A second call with the
    same settings makes no forward pass.

    Args:
        model: the decoder that is read.
        suite: the tasks; `vl.suite("builtin")` is five of them.
        store: the activation store, or its folder.
        fit: the texts that post-processing is fitted on, none of them in the suite; None: 300 paragraphs of the Wikipedia
            sample that no built-in task has.
        layers: a LayerSet or its notation: blocks that are looked at as a set, beside the deep half and all; None: those
            that the paper chose for this model, if it chose any.
        select: the selector by which each rung chooses a set of its own; see `valens.selectors`.
        draws: how many random matrices stand in for the value matrix; their scores are averaged.
        runs: how many of the runs that mteb makes of a clustering or classification are made; its own scores have ten.
        prompt: what is put around each text, the policy for BOS, and which tokens are pooled; the same for all rungs.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context.
        resamples: how many bootstrap resamples an interval is made of.
        seed: draws resamples and splits.

    Returns:
        Scores of every rung by block and task; in `details` what each scores under each way of choosing layers and how much
        of the gap it closes (`ways`), and the paired differences that decide (`verdicts`).

    Raises:
        SelectionError, LayerSetError, PromptError: settings that the model or suite does not allow.
        PostprocessingError: texts to fit on that are evaluated, or too few of them.

    """
    settings = Ladder(
        fit=fit,
        layers=layers,
        select=select,
        draws=draws,
        runs=runs,
        prompt=prompt,
        max_tokens=max_tokens,
        resamples=resamples,
        seed=seed,
    )
    return settings.plan(model, suite, store=store).run()


def _of_the_paper(model: Model) -> LayerSet | None:
    """Return the set that the paper chose for this model, if any."""
    return LayerSet.parse(model.paper_layers, model.n_layers) if model.paper_layers else None
