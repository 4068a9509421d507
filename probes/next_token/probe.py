"""Who knows the very next token? Linear softmax probes on frozen vectors of prefixes (Figures 5 and 6).

Appendix D of arXiv 2602.01572. Each text is read once; every prefix drawn from it has its vectors from that pass. At each
layer a linear probe learns, from the prefixes of some documents, which token follows, and is scored on prefixes of others.
All probes of a run learn together, on the same rows in the same order, so that their differences are the vectors' alone.
The paper does not say which pooling its "hidden states" have: `HS` is their mean over the prefix, `LT` its last token's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.next_token.examples import ALL, PARTS, Classes, Examples, choose_classes, draw
from probes.next_token.notes import notes_of
from probes.next_token.result import KIND, NextTokenResult
from probes.next_token.scores import Curve, Held, Site, baseline_rows, curve_rows, document_rows, probe_rows
from probes.next_token.training import Probed, ProbeTrainer, probed_sites
from valens.corpora import Corpus
from valens.errors import CorpusError, ProbeError
from valens.extraction import extract
from valens.extraction.extract import Job, token_limit
from valens.layers.layer_set import LayerSet
from valens.linear_probes.recipe import Recipe
from valens.model.model import Model
from valens.model.unembedding import Unembedding
from valens.representations.named import HS, LT, VA, Representation, check_no_prompts
from valens.results.provenance import provenance
from valens.store.store import ActivationStore


def next_token(
    model: Model,
    corpus: Corpus,
    representations: Sequence[Representation] = (VA, HS, LT),
    *,
    store: ActivationStore | str | Path,
    layers: LayerSet | None = None,
    sets: Sequence[LayerSet] = (),
    n_classes: int | str | None = None,
    prefixes: int = 64,
    min_prefix: int = 8,
    max_tokens: int | None = None,
    recipe: Recipe | None = None,
    seeds: int = 3,
    control: bool = True,
    seed: int = 0,
    resamples: int = 10_000,
) -> NextTokenResult:
    """Probe the next token of prefixes of a corpus.

    `layers` are probed one by one, and each of `sets` as one average; by default all layers are probed, the residual
    stream also at 0. So many of the most frequent next tokens as `n_classes` says are told apart: None is 1,000, or all
    that the training part has; `all` is the whole vocabulary. `seed` draws prefixes, documents and resamples; the probes
    are trained with `seeds` orders of the rows, and with the first one also on the control task (twice the work of that
    seed). What makes the numbers doubtful is in the provenance's `notes`. Raises CorpusError, ProbeError, SiteError or
    PromptError for what cannot be probed.
    """
    if seeds < 1 or resamples < 1:
        raise ProbeError(f"--seeds and --resamples are 1 or more; {seeds} and {resamples} were asked for.")
    recipe = Recipe() if recipe is None else recipe
    planned = plan(
        model,
        corpus,
        representations,
        store=store,
        layers=layers,
        sets=sets,
        n_classes=n_classes,
        prefixes=prefixes,
        min_prefix=min_prefix,
        max_tokens=max_tokens,
        seed=seed,
    )
    drawn, classes = planned.drawn, planned.classes
    extraction = planned.job.run()
    trainer = ProbeTrainer(model, extraction, drawn, classes, recipe, seed)
    held = Held(drawn.document[trainer.rows("test")], resamples, seed)
    curves = trainer.curves(planned.probed, seeds, held, n_vocabulary=planned.n_vocabulary if control else None)
    scored = trainer.baselines(held)
    facts = provenance(
        **extraction.facts(),
        corpus=corpus.facts(),
        documents={name: drawn.documents(part) for part, name in enumerate(PARTS)} | {"too_short": drawn.short},
        prefixes={name: len(trainer.rows(name)) for name in PARTS} | {"a_text": prefixes, "shortest": min_prefix},
        classes={"n": len(classes.ids), "all": n_classes == ALL, "kept": classes.coverage(drawn)},
        notes=notes_of(curves, len(trainer.rows("validation"))),
        recipe=recipe.facts(),
        device=str(model.device),
        control=control,
        seeds=seeds,
        resamples=resamples,
        seed=seed,
    )
    table = _table(curves, scored, held).assign(model=model.name, corpus=corpus.name)
    table["depth"] = (table.layer / model.n_layers).astype("Float64")
    return NextTokenResult(KIND, table[_COLUMNS], facts, _details(corpus, curves, scored, held))


def examples(
    model: Model,
    corpus: Corpus,
    *,
    prefixes: int = 64,
    min_prefix: int = 8,
    max_tokens: int | None = None,
    seed: int = 0,
) -> Examples:
    """The prefixes of a corpus that are probed, and the parts that they belong to."""
    limit = token_limit(model, max_tokens)
    return draw(model.tokenizer, corpus.texts, max_tokens=limit, prefixes=prefixes, min_prefix=min_prefix, seed=seed)


@dataclass(frozen=True)
class Planned:
    """What is probed, on which prefixes, and what has to be read for it; made by `plan`."""

    probed: tuple[Probed, ...]
    drawn: Examples
    classes: Classes
    n_vocabulary: int
    job: Job
    """`Job.estimate` says what reading costs. `LT` is always read: it has the model's own prediction."""


def plan(
    model: Model,
    corpus: Corpus,
    representations: Sequence[Representation] = (VA, HS, LT),
    *,
    store: ActivationStore | str | Path,
    layers: LayerSet | None = None,
    sets: Sequence[LayerSet] = (),
    n_classes: int | str | None = None,
    prefixes: int = 64,
    min_prefix: int = 8,
    max_tokens: int | None = None,
    seed: int = 0,
) -> Planned:
    """What `next_token` would probe; raises what that would raise for the same settings, and reads nothing."""
    probed = probed_sites(model, representations, layers, sets)
    drawn = examples(model, corpus, prefixes=prefixes, min_prefix=min_prefix, max_tokens=max_tokens, seed=seed)
    n_vocabulary = len(Unembedding.of(model).weight)
    classes = choose_classes(drawn, n_classes, n_vocabulary)
    _check_coverage(classes.coverage(drawn))
    job = _extraction(model, drawn, representations, store, max_tokens)
    return Planned(tuple(probed), drawn, classes, n_vocabulary, job)


def _extraction(
    model: Model,
    drawn: Examples,
    representations: Sequence[Representation],
    store: ActivationStore | str | Path,
    max_tokens: int | None,
) -> Job:
    check_no_prompts(representations, "Prefixes are of plain text")
    return extract.plan(
        model,
        drawn.tokens,
        [*(made.reading for made in representations), LT.reading],
        store=ActivationStore.of(store),
        max_tokens=max_tokens,
        prefixes=drawn.lengths,
    )


# --- tables ---------------------------------------------------------------------------------------------------------

_COLUMNS = ["model", "corpus", "representation", "layers", "layer", "depth", "metric"]
_COLUMNS += ["score", "low", "high", "between_seeds", "n", "prefixes"]


def _table(
    curves: Sequence[Curve], scored: Mapping[str, Float[np.ndarray, "metric document"]], held: Held
) -> pd.DataFrame:
    rows = [row for curve in curves for row in probe_rows(curve, held)]
    rows += [row for name, sums in scored.items() for row in baseline_rows(name, sums, held)]
    return pd.DataFrame(rows).astype({"layer": "Int64", "n": "Int64", "prefixes": "Int64"})


def _details(
    corpus: Corpus, curves: Sequence[Curve], scored: Mapping[str, Float[np.ndarray, "metric document"]], held: Held
) -> dict[str, pd.DataFrame]:
    by_step = pd.DataFrame([row for curve in curves for row in curve_rows(curve, held)]).astype({"layer": "Int64"})
    names = [corpus.ids[place] for place in held.documents]
    final = {curve.site: curve.final.mean(axis=1) for curve in curves}
    final |= {Site(name, ""): sums for name, sums in scored.items()}
    return {"curves": by_step, "documents": document_rows(final, names, held)}


def _check_coverage(coverage: dict[str, float]) -> None:
    empty = [name for name, share in coverage.items() if share == 0]
    if empty:
        raise CorpusError(
            f"No next token of the {empty[0]} part is among the classes. Raise --classes, or give more texts."
        )
