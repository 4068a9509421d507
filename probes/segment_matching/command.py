"""`valens segment-matching`: does a text's beginning find its own end, at which layers, and by which vectors?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.terminal import choices
from valens.terminal.choices import either
from valens.terminal.console import say, show_estimate, waiting, write_json
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    READING,
    AsJson,
    AttnImplementation,
    Check,
    CorpusName,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    Field,
    Layers,
    Limit,
    ModelName,
    Out,
    Representations,
    Revision,
    Seed,
    StorePath,
    layer_set,
    representations_named,
)
from valens.terminal.texts import read_corpus

if TYPE_CHECKING:
    from valens.probes import SegmentMatchingResult


def segment_matching(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
    representations: Representations = "VA,HS",
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Tokens read of a text.",
            show_default="2,000, or the model's context",
            rich_help_panel=READING,
        ),
    ] = None,
    segment_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Tokens kept on each side of the cut.",
            show_default="all",
            rich_help_panel=READING,
        ),
    ] = None,
    layers: Layers = None,
    k: Annotated[
        str,
        typer.Option(
            "--k", metavar="NUMBERS", help="The k of recall@k, with commas between.", rich_help_panel=CHOOSING
        ),
    ] = "1,5,10",
    similarity: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"How alike two segments are: {either(choices.SIMILARITIES)}.",
            autocompletion=choices.similarities,
            rich_help_panel=CHOOSING,
        ),
    ] = "cosine",
    interval: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"The bootstrap interval: {either(choices.INTERVALS)}.",
            autocompletion=choices.intervals,
            rich_help_panel=CHOOSING,
        ),
    ] = "percentile",
    seed: Seed = 0,
    resplits: Annotated[
        int,
        typer.Option(
            metavar="N", help="How often every text is cut anew; the spread is shown.", rich_help_panel=CHOOSING
        ),
    ] = 1,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/segment-matching"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Match the beginnings of texts with their ends, by layer.

    The scores are recall@k and MRR, with intervals. Each text is cut once between a quarter and three quarters of its
    tokens, and each segment is read alone. A second run with the same settings reads nothing.
    """
    from valens.files.atomic import writable_folder
    from valens.model.loading import load
    from valens.probes import check_matching, cut_corpus, matching_plan
    from valens.probes import segment_matching as match
    from valens.store.store import ActivationStore

    console = Console(stderr=as_json)
    wanted = representations_named(representations)
    ks = _numbers(k)
    check_matching(ks, similarity, interval)
    activations = ActivationStore(store, check=check)
    texts = read_corpus(console, corpus, data_root=data_root, field=field, limit=limit)
    if not dry_run:
        writable_folder(out)
    with waiting(console, f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, attn_implementation=attn_implementation, revision=revision)
    picked = layer_set(layers, loaded.n_layers)
    if dry_run:
        segments = cut_corpus(
            loaded, texts, max_tokens=max_tokens, segment_tokens=segment_tokens, seed=seed, resplits=resplits, ks=ks
        )
        job = matching_plan(loaded, segments, wanted, store=activations, max_tokens=max_tokens)
        show_estimate(console, job.estimate(), as_json=as_json)
        return
    found = match(
        loaded,
        texts,
        wanted,
        store=activations,
        layers=picked,
        max_tokens=max_tokens,
        segment_tokens=segment_tokens,
        similarity=similarity,
        ks=ks,
        seed=seed,
        resplits=resplits,
        interval=interval,
    )
    found.save(out)
    if as_json:
        write_json(_as_json(found, out))
    else:
        _show(console, found, out)


def _numbers(text: str) -> list[int]:
    from valens.errors import ResultError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ResultError(f"--k takes whole numbers with commas between, as 1,5,10; got {text!r}.")
    return [int(part) for part in parts]


def _as_json(found: SegmentMatchingResult, out: Path) -> dict[str, Any]:
    from valens.results.tables import records

    first, *others = found.representations
    compared = [
        {"first": first, "second": second, "metric": metric} | row
        for second in others
        for metric in found.metrics
        for row in records(found.compare(first, second, metric=metric))
    ]
    facts = found.provenance
    return {"scores": records(found.table), "compared": compared, "provenance": facts, "out": str(out)}


def _show(console: Console, found: SegmentMatchingResult, out: Path) -> None:
    from probes.segment_matching.summary import best_table, layer_table, opening, words

    facts, metric = found.provenance, found.main_metric
    say(console, opening(found) + "\n")
    say(console, f"{metric} of each text's beginning looking for its end, with 95 % intervals\n")
    say(console, layer_table(found, metric))
    say(
        console,
        "Each interval is its layer's own; p is corrected over the layers. Layer 0 is what enters the first block.\n",
        style="dim",
    )
    say(console, best_table(found))
    say(console, "")
    for line in words(found):
        say(console, line)
    passes, seconds = facts["forward_passes"], timedelta(seconds=round(facts["seconds_reading"]))
    read = f"{passes:,} passages read in {seconds}" if passes else "No forward pass: the store had every segment"
    say(console, f"{read}. Scores of both directions, ranks and figure2 are in {out}", soft_wrap=True)
