"""`valens sweep-layers`: score every layer, and choose the layers that an embedding should average."""

from __future__ import annotations

from collections.abc import Sequence
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
    AsJson,
    AttnImplementation,
    Check,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    Layers,
    MaxTokens,
    ModelName,
    OnLong,
    Out,
    Representations,
    Revision,
    Seed,
    StorePath,
    Strict,
    layer_set,
    representations_named,
)
from valens.terminal.texts import read_suites

if TYPE_CHECKING:
    from valens.probes import LayerSweepResult
    from valens.tasks import Suite


def sweep_layers(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    suite: Annotated[
        str,
        typer.Option(
            metavar="SUITE",
            help="builtin or some of its tasks, paper, or tasks of MTEB as in mteb:STS15,SciFact@train.",
            autocompletion=choices.suites,
            rich_help_panel=INPUT,
        ),
    ] = "builtin",
    data_root: DataRoot = None,
    strict: Strict = False,
    evaluation: Annotated[
        str | None,
        typer.Option(
            metavar="SUITE",
            help="The suite that the set will be judged on: texts that it shares are warned of.",
            autocompletion=choices.suites,
            show_default="none",
            rich_help_panel=INPUT,
        ),
    ] = None,
    representations: Representations = "VA,HS",
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most this many texts a task.", show_default="all", rich_help_panel=INPUT),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    on_long: OnLong = "truncate",
    layers: Layers = None,
    select: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help=f"{either(choices.SELECTORS)}. paper and greedy choose by what tasks agree on and need two or more.",
            autocompletion=choices.selectors,
            rich_help_panel=CHOOSING,
        ),
    ] = "paper",
    compare: Annotated[
        bool,
        typer.Option(help="Say what every other rule would choose, and what it scores.", rich_help_panel=CHOOSING),
    ] = True,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Scores by mteb's own evaluators, at their price.", rich_help_panel=CHOOSING),
    ] = False,
    seed: Seed = 0,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/layer-sweep"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Score every layer, and choose those worth averaging.

    Every layer is scored alone on every task, and a rule chooses the layers that an embedding should average. Every text is
    read once, at all layers; a second run with the same settings reads nothing.
    """
    from valens.files.atomic import writable_folder
    from valens.model.loading import load
    from valens.probes import layer_sweep, sweep_plan
    from valens.selectors import check_tasks, selector
    from valens.store.store import ActivationStore

    console = Console(stderr=as_json)
    chooser = selector(select)
    wanted = representations_named(representations)
    activations = ActivationStore(store, check=check)
    whole, *judging = read_suites([suite, *filter(None, [evaluation])], data_root=data_root, strict=strict)
    tasks = whole if limit is None else whole.limited(limit)
    check_tasks(chooser, [task.task_type for task in tasks.tasks])
    cautions = _cautions(tasks, judging)
    for caution in cautions:
        say_labelled(Console(stderr=True), "Note:", caution, style="yellow")
    if not dry_run:
        writable_folder(out)
    with waiting(console, f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, attn_implementation=attn_implementation, revision=revision)
    picked = layer_set(layers, loaded.n_layers)
    if dry_run:
        job = sweep_plan(loaded, tasks, wanted, store=activations, max_tokens=max_tokens, on_long=on_long)
        show_estimate(console, job.estimate(), as_json=as_json)
        return
    sweep = layer_sweep(
        loaded,
        tasks,
        wanted,
        store=activations,
        layers=picked,
        select=select,
        compare=compare,
        max_tokens=max_tokens,
        on_long=on_long,
        exact=exact,
        seed=seed,
    )
    sweep.save(out)
    undefined = _undefined(sweep)
    for caution in undefined:
        say_labelled(Console(stderr=True), "Note:", caution, style="yellow")
    if as_json:
        write_json(_sweep_json(sweep, out) | {"notes": cautions + undefined})
    else:
        _show_sweep(console, sweep, out)


def _cautions(suite: Suite, judging: Sequence[Suite]) -> list[str]:
    """What a reader must know of the tasks: those left out, how they were made, and texts shared with those that judge."""
    said = [f"{missing.name} is left out of the selection. {missing.reason}" for missing in suite.left_out]
    return [*said, *suite.notes, *(line for judged in judging for line in _shared(suite, judged))]


def _shared(suite: Suite, judged: Suite) -> list[str]:
    """What is known, and what is not, of the texts that the suite shares with the one it will be judged on."""
    from valens.suites.contamination import warning

    said = [f"{missing.name} is not compared with the selection. {missing.reason}" for missing in judged.left_out]
    shared = warning(suite, judged)
    return said + ([shared] if shared else [])


def _undefined(sweep: LayerSweepResult) -> list[str]:
    """Tasks that have no score at any layer."""
    return [
        f"{task} has no score at any layer of {name}: all texts have the same vector. It had no say in the choice."
        for name, tasks in sweep.provenance["without_scores"].items()
        for task in tasks
    ]


def _show_sweep(console: Console, sweep: LayerSweepResult, out: Path) -> None:
    from probes.layer_sweep import summary as told
    from valens.probes import LEXICAL

    for name, choice in sweep.choices.items():
        say(console, told.sweep_table(sweep.table, sweep.sets, name, choice, LEXICAL))
        say(console)
        for line in told.reasons(choice):
            say(console, line)
        say(console)
        say(console, told.rule_table(sweep.rules, name, choice.selector))
        for line in told.refusals(sweep.rules, name):
            say(console, line)
        say(console)
    for line in told.comparison_lines(sweep.comparisons):
        say(console, line)
    say(console, told.caution(sweep.rules), style="dim")
    facts = sweep.provenance
    passes = facts["forward_passes"]
    seconds = timedelta(seconds=round(facts["seconds_reading"]))
    read = f"{passes:,} texts read in {seconds}" if passes else "No forward pass: the store had every text"
    cut = f"; {facts['texts_truncated']} texts were cut at the limit of tokens" if facts["texts_truncated"] else ""
    say(console, f"{read}{cut}. Scores, layers.json and figure3 are in {out}", soft_wrap=True)


def _sweep_json(sweep: LayerSweepResult, out: Path) -> dict[str, Any]:
    from valens.results.tables import records

    return {
        "representation": next(iter(sweep.choices)),
        "layers": str(sweep.layers),
        "representations": sweep.to_json(),
        "comparisons": records(sweep.comparisons),
        "scores": records(sweep.table),
        "provenance": sweep.provenance,
        "out": str(out),
    }
