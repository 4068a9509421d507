"""Who knows the very next token? Linear softmax probes on frozen vectors of prefixes (Figures 5 and 6).

Appendix D of arXiv 2602.01572. Each text is read once; every prefix drawn from it has its vectors from that pass. At each
layer a linear probe learns, from the prefixes of some documents, which token follows, and is scored on prefixes of others.
All probes of a run learn together, on the same rows in the same order, so that their differences are the vectors' alone.
The paper does not say which pooling its "hidden states" have: `HS` is their mean over the prefix, `LT` its last token's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from probes.layers import Layers, layers_of_model, sets_of_model, shared_prompt
from probes.next_token.examples import ALL, PARTS, STARTS, Classes, Examples, choose_classes, draw
from probes.next_token.names import REPEATS
from probes.next_token.result import KIND, NextTokenResult
from probes.next_token.scores import Held, notes_of
from probes.next_token.section import QUESTION
from probes.next_token.tables import curve_table, document_table, score_table
from probes.next_token.training import Probed, ProbeTrainer, probed_sites
from valens.corpora import Corpus
from valens.errors import CorpusError, ProbeError
from valens.extraction import extract
from valens.extraction.estimate import Estimate
from valens.extraction.extract import token_limit
from valens.layers.layer_set import LayerSet
from valens.linear_probes.recipe import Recipe
from valens.model.model import Model
from valens.model.unembedding import Unembedding
from valens.representations.named import HS, LT, VA, Representation, check_no_templates
from valens.results.provenance import provenance
from valens.statistics.seeds import check_counts, check_seed
from valens.store.store import ActivationStore


@dataclass(frozen=True)
class NextToken:
    """The settings of a next-token probing; see `next_token` for what each means.

    Raises ProbeError for what no probing can measure.
    """

    kind: ClassVar[str] = KIND
    question: ClassVar[str] = QUESTION
    result: ClassVar[type[NextTokenResult]] = NextTokenResult

    layers: Layers = None
    sets: Sequence[LayerSet | str] = ()
    n_classes: int | str | None = None
    start: str = "beginning"
    prefixes: int = 64
    min_prefix: int = 8
    max_tokens: int | None = None
    recipe: Recipe = field(default_factory=Recipe)
    seeds: int = 3
    control: bool = True
    repeat: str = "best"
    seed: int = 0
    resamples: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before a model is loaded for it."""
        check_seed(self.seed)
        check_counts(seeds=self.seeds, resamples=self.resamples, prefixes=self.prefixes, min_prefix=self.min_prefix)
        if self.start not in STARTS:
            raise ProbeError(f"--start is {' or '.join(STARTS)}; {self.start!r} was asked for.")
        if self.repeat not in REPEATS:
            raise ProbeError(f"--repeat is {' or '.join(REPEATS)}; {self.repeat!r} was asked for.")
        if isinstance(self.n_classes, str) and self.n_classes != ALL:
            raise ProbeError(f"--classes takes a whole number, or {ALL}; got {self.n_classes!r}.")

    def plan(
        self,
        model: Model,
        data: Corpus,
        representations: Sequence[Representation] = (VA, HS, LT),
        *,
        store: ActivationStore | str | Path,
    ) -> ProbingJob:
        """Draw prefixes and classes of a corpus, and plan what has to be read of it.

        CorpusError where fewer than 10 documents can be used, ProbeError for more classes than there are, SiteError,
        PromptError or SelectionError for settings that the model does not allow.
        """
        layers, sets = layers_of_model(model, self.layers), sets_of_model(model, self.sets)
        probed = probed_sites(model, representations, layers, sets)
        check_no_templates(representations, "Prefixes are of plain text")
        prompt = shared_prompt(representations, "Next-token probes compare")
        examples = draw(
            model.tokenizer,
            data.texts,
            max_tokens=token_limit(model, self.max_tokens),
            start=self.start,
            prefixes=self.prefixes,
            min_prefix=self.min_prefix,
            seed=self.seed,
            prompt=prompt,
        )
        n_vocabulary = len(Unembedding.of(model).weight)
        classes = choose_classes(examples, self.n_classes, n_vocabulary)
        _check_coverage(classes.coverage(examples))
        reading = extract.plan(
            model,
            examples.tokens,
            [*(representation.reading for representation in representations), LT.reading],
            store=ActivationStore.of(store),
            prompt=prompt,
            max_tokens=self.max_tokens,
            prefixes=examples.lengths,
        )
        return ProbingJob(self, model, data, tuple(probed), examples, classes, n_vocabulary, reading)


@dataclass(frozen=True)
class ProbingJob:
    """What is probed, on which prefixes of which texts; made by `NextToken.plan`."""

    settings: NextToken
    model: Model = field(repr=False)
    corpus: Corpus = field(repr=False)
    probed: tuple[Probed, ...]
    examples: Examples = field(repr=False)
    classes: Classes = field(repr=False)
    n_vocabulary: int
    reading: extract.Job = field(repr=False)
    """Reads `LT` in any case, which has the model's own prediction."""

    def estimate(self) -> Estimate:
        """Return what reading the texts would cost, training not counted; one small forward pass measures the speed."""
        n_prefixes = len(self.examples.last)
        notes = (
            f"left out: {self.examples.short:,} too short",
            f"{n_prefixes:,} prefixes, of which {len(self.probed):,} probes learn in a time that is not counted here",
        )
        return replace(self.reading.estimate(), notes=notes)

    def run(self) -> NextTokenResult:
        """Read the texts, train all probes together, and score them on held-out documents."""
        settings, examples, classes = self.settings, self.examples, self.classes
        extraction = self.reading.run()
        trainer = ProbeTrainer(self.model, extraction, examples, classes, settings.recipe, settings.seed)
        held = Held(examples.document[trainer.rows("test")], settings.resamples, settings.seed)
        n_vocabulary = self.n_vocabulary if settings.control else None
        curves = trainer.curves(self.probed, settings.seeds, held, n_vocabulary=n_vocabulary, repeat=settings.repeat)
        baselines = trainer.baselines(held)
        n_rows = {name: len(trainer.rows(name)) for name in PARTS}
        notes = [*extraction.notes, *notes_of(curves, n_rows["validation"])]
        facts = provenance(**extraction.facts() | self._facts(n_rows) | {"notes": notes})
        details = {
            "curves": curve_table(curves, held),
            "documents": document_table(self.corpus, curves, baselines, held),
        }
        return NextTokenResult(KIND, score_table(self.model, self.corpus, curves, baselines, held), facts, details)

    def _facts(self, n_rows: dict[str, int]) -> dict[str, Any]:
        """Return what provenance says of the texts and settings."""
        settings, examples, classes = self.settings, self.examples, self.classes
        documents = {name: examples.documents(part) for part, name in enumerate(PARTS)}
        return {
            "corpus": self.corpus.facts(),
            "documents": documents | {"too_short": examples.short},
            "prefixes": n_rows
            | {"a_text": settings.prefixes, "shortest": settings.min_prefix, "start": settings.start},
            "classes": {
                "n": len(classes.ids),
                "all": settings.n_classes == ALL,
                "kept": classes.coverage(examples),
            },
            "recipe": settings.recipe.facts(),
            "device": str(self.model.device),
            "control": settings.control,
            "seeds": settings.seeds,
            "repeat": settings.repeat,
            "resamples": settings.resamples,
            "seed": settings.seed,
        }


def next_token(
    model: Model,
    corpus: Corpus,
    representations: Sequence[Representation] = (VA, HS, LT),
    *,
    store: ActivationStore | str | Path,
    layers: Layers = None,
    sets: Sequence[LayerSet | str] = (),
    n_classes: int | str | None = None,
    start: str = "beginning",
    prefixes: int = 64,
    min_prefix: int = 8,
    max_tokens: int | None = None,
    recipe: Recipe | None = None,
    seeds: int = 3,
    control: bool = True,
    repeat: str = "best",
    seed: int = 0,
    resamples: int = 10_000,
) -> NextTokenResult:
    """Train linear probes that tell the next token of prefixes of a corpus, by layer and representation.

    Appendix D of arXiv 2602.01572. A second call with the same texts makes no forward pass.

    Args:
        model: the decoder that is read.
        corpus: the texts; ten different ones or more must be long enough. Some documents are trained on, some decide when
            a probe stops, and the others are scored.
        representations: what is read of a prefix; all share one prompt, which has no words of its own. The first is the
            main one.
        store: the activation store, or its folder.
        layers: a LayerSet or its notation, `20-27`: each is probed alone; None: every layer that a representation has (the
            residual stream also at 0), or none where `sets` are given.
        sets: layer sets or their notations; each is probed as one average of its layers' vectors.
        n_classes: how many of the training part's most frequent next tokens are told apart; None: 1,000, or all of them;
            `all`: the whole vocabulary. Prefixes whose next token is none of them are left out.
        start: where the prefixes of a text begin: at its `beginning`, or at a token drawn for each text (`random`), which
            leaves less to learn from beginnings that are alike.
        prefixes: how many prefixes are drawn of a text, at most.
        min_prefix: how many tokens the shortest prefix has.
        max_tokens: how many tokens of a text are read; None: 512, or the model's context.
        recipe: how the probes are trained; None: `Recipe()`, 1,000 steps of Adam.
        seeds: with how many orders of the rows each probe is trained; scores are means, their spread is `between_seeds`.
        control: also train on the control task of Hewitt & Liang (2019), with the first order, for `selectivity`.
        repeat: which probes are trained with the orders after the first and on the control task: `best`, the one of each
            representation that has the lowest validation loss with the first order, or `all`, in about four times the time.
        seed: draws prefixes, documents, orders and resamples.
        resamples: how many bootstrap resamples of the documents an interval is made of.

    Returns:
        Accuracies in [0, 1] and cross-entropies in nats by probe with 95 % intervals over held-out documents, the learning
        curves, and every document's scores. What makes the numbers doubtful is in the provenance's `notes`.

    Raises:
        CorpusError: too few documents, or none of whose next tokens is a class.
        ProbeError: settings that no probing can measure, and probes that diverged.
        SiteError, LayerSetError, PromptError, SelectionError: settings that the model does not allow.

    """
    settings = NextToken(
        layers=layers,
        sets=sets,
        n_classes=n_classes,
        start=start,
        prefixes=prefixes,
        min_prefix=min_prefix,
        max_tokens=max_tokens,
        recipe=Recipe() if recipe is None else recipe,
        seeds=seeds,
        control=control,
        repeat=repeat,
        seed=seed,
        resamples=resamples,
    )
    return settings.plan(model, corpus, representations, store=store).run()


def _check_coverage(coverage: dict[str, float]) -> None:
    empty = [name for name, share in coverage.items() if share == 0]
    if empty:
        raise CorpusError(
            f"No next token of the {empty[0]} part is among the classes. Raise --classes, or give more texts."
        )
