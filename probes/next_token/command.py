"""`valens next-token`: which layers, and which of their vectors, know the very next token?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.terminal import choices
from valens.terminal.choices import either
from valens.terminal.console import say, say_labelled, show_estimate, waiting, write_json
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    INPUT,
    TRAINING,
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
    MaxTokens,
    ModelName,
    Out,
    Representations,
    Resamples,
    Revision,
    Seed,
    StorePath,
    layer_set,
    representations_named,
)
from valens.terminal.texts import read_corpus

if TYPE_CHECKING:
    from valens.layers.layer_set import LayerSet
    from valens.probes import NextTokenResult


def next_token(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
    representations: Representations = "VA,HS,LT",
    prefixes: Annotated[
        int, typer.Option(metavar="N", help="At most this many prefixes of each text.", rich_help_panel=INPUT)
    ] = 64,
    min_prefix: Annotated[
        int, typer.Option(metavar="N", help="Tokens of the shortest prefix.", rich_help_panel=INPUT)
    ] = 8,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    layers: Layers = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="A layer set to score as one average, as 26-30; may be repeated.",
            show_default="none",
            rich_help_panel=CHOOSING,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="So many most frequent next tokens are told apart, or all.",
            show_default="1000, or as many as there are",
            rich_help_panel=CHOOSING,
        ),
    ] = None,
    control: Annotated[
        bool, typer.Option(help="Also train on the control task, for selectivity.", rich_help_panel=CHOOSING)
    ] = True,
    seed: Seed = 0,
    resamples: Resamples = 10_000,
    seeds: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="How many orders of the rows to train with.", rich_help_panel=TRAINING),
    ] = 3,
    steps: Annotated[int, typer.Option(metavar="N", help="At most this many steps.", rich_help_panel=TRAINING)] = 1000,
    batch: Annotated[int, typer.Option(metavar="N", help="Prefixes a step.", rich_help_panel=TRAINING)] = 256,
    lr: Annotated[float, typer.Option(metavar="RATE", help="Adam's learning rate.", rich_help_panel=TRAINING)] = 1e-3,
    schedule: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help=f"The course of the learning rate: {either(choices.SCHEDULES)}.",
            autocompletion=choices.schedules,
            rich_help_panel=TRAINING,
        ),
    ] = "cosine",
    l2: Annotated[
        float, typer.Option(metavar="WEIGHT", help="The penalty on squared weights.", rich_help_panel=TRAINING)
    ] = 1e-2,
    patience: Annotated[
        int,
        typer.Option(metavar="N", help="Checkpoints without gain after which a probe stops.", rich_help_panel=TRAINING),
    ] = 3,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/next-token"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train linear probes that tell the next token, by layer.

    They learn from frozen vectors of prefixes, all together, and are scored on other documents. Each text is read once,
    whatever its prefixes; a second run with the same texts reads nothing.
    """
    from valens.files.atomic import writable_folder
    from valens.linear_probes.recipe import Recipe
    from valens.model.loading import load
    from valens.probes import next_token as probe
    from valens.store.store import ActivationStore

    console = Console(stderr=as_json)
    wanted = representations_named(representations)
    n_classes = _classes(classes)
    recipe = Recipe(steps=steps, batch=batch, lr=lr, schedule=schedule, l2=l2, patience=patience)
    activations = ActivationStore(store, check=check)
    texts = read_corpus(console, corpus, data_root=data_root, field=field, limit=limit)
    if not dry_run:
        writable_folder(out)
    with waiting(console, f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, attn_implementation=attn_implementation, revision=revision)
    picked = layer_set(layers, loaded.n_layers)
    averaged = [_set(one, loaded.n_layers) for one in sets or ()]
    if dry_run:
        from valens.probes import next_token_plan

        planned = next_token_plan(
            loaded,
            texts,
            wanted,
            store=activations,
            layers=picked,
            sets=averaged,
            n_classes=n_classes,
            prefixes=prefixes,
            min_prefix=min_prefix,
            max_tokens=max_tokens,
            seed=seed,
        )
        show_estimate(console, planned.job.estimate(), as_json=as_json)
        return
    found = probe(
        loaded,
        texts,
        wanted,
        store=activations,
        layers=picked,
        sets=averaged,
        n_classes=n_classes,
        prefixes=prefixes,
        min_prefix=min_prefix,
        max_tokens=max_tokens,
        recipe=recipe,
        seeds=seeds,
        control=control,
        seed=seed,
        resamples=resamples,
    )
    found.save(out)
    if as_json:
        write_json(_as_json(found, out))
    else:
        _show(console, found, out)


def _classes(text: str | None) -> int | str | None:
    """A number where it is one; the probe refuses what is neither that nor `all`."""
    return int(text) if text is not None and text.strip().isdecimal() else text


def _set(text: str, n_layers: int) -> LayerSet:
    from valens.layers.layer_set import LayerSet

    return LayerSet.parse(text, n_layers)


def _as_json(found: NextTokenResult, out: Path) -> dict[str, Any]:
    from valens.results.tables import records

    first, *others = found.representations
    metrics = ("accuracy", "top-5 accuracy", "cross-entropy")
    compared = [
        {"at": at} | row
        for second in others
        for metric in metrics
        for at, table in found.comparisons(first, second, metric)
        for row in records(table)
    ]
    return {
        "best": {name: found.best(name) for name in found.representations},
        "scores": records(found.table),
        "compared": compared,
        "provenance": found.provenance,
        "out": str(out),
    }


def _show(console: Console, found: NextTokenResult, out: Path) -> None:
    from probes.next_token.summary import about, best_table, words

    for line in about(found):
        say(console, line)
    for note in found.provenance["notes"]:
        say_labelled(console, "Note:", note, style="yellow")
    say(console)
    say(console, best_table(found))
    say(console)
    for line in words(found):
        say(console, line)
    facts = found.provenance
    passes, seconds = facts["forward_passes"], timedelta(seconds=round(facts["seconds_reading"]))
    read = f"{passes:,} texts read in {seconds}" if passes else "No forward pass: the store had every prefix"
    say(console, f"{read}. Scores, curves and figure6 are in {out}", soft_wrap=True)
