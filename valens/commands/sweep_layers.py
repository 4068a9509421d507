"""`valens sweep-layers`: score every layer, and choose the layers that an embedding should average."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.commands.options import (
    CHOOSING,
    DEFAULT_STORE,
    INPUT,
    AsJson,
    Check,
    Device,
    DryRun,
    Dtype,
    Kernel,
    MaxTokens,
    ModelName,
    OnLong,
    Out,
    Representations,
    Revision,
    Seed,
    StorePath,
)
from valens.terminal import show_estimate, write_json

if TYPE_CHECKING:
    from valens.layers import LayerSet
    from valens.probes import Sweep
    from valens.representations import Representation


def sweep_layers(  # noqa: PLR0917
    model: ModelName = "smollm2-135m",
    suite: Annotated[
        str, typer.Option(help="`builtin`, or names of its tasks with commas between.", rich_help_panel=INPUT)
    ] = "builtin",
    representations: Representations = "VA,HS",
    limit: Annotated[int | None, typer.Option(help="At most this many texts a task.", rich_help_panel=INPUT)] = None,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    kernel: Kernel = "auto",
    max_tokens: MaxTokens = None,
    on_long: OnLong = "truncate",
    layers: Annotated[
        str | None, typer.Option(help="Layers to score, as 20-27 or 1,5,9 (default: all).", rich_help_panel=CHOOSING)
    ] = None,
    select: Annotated[
        str,
        typer.Option(
            help="paper, best, top-k, contiguous, greedy, intrinsic-dimension, half or all. paper and greedy choose by what "
            "tasks agree on and need two or more.",
            rich_help_panel=CHOOSING,
        ),
    ] = "paper",
    compare: Annotated[
        bool,
        typer.Option(help="Say what every other rule would choose, and what it scores.", rich_help_panel=CHOOSING),
    ] = True,
    seed: Seed = 0,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/layer-sweep"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Score every layer alone on every task, and choose the layers that an embedding should average.

    Every text is read once, at all layers; a second run with the same settings reads nothing.
    """
    from valens.builtin import suite_named
    from valens.models import load
    from valens.probes import layer_sweep, sweep_plan
    from valens.results import writable_folder
    from valens.selectors import refuse_lacking, selector
    from valens.store import ActivationStore
    from valens.tasks import Suite

    console = Console(stderr=as_json)
    chooser = selector(select)
    wanted = _representations(representations)
    activations = ActivationStore(store, check=check)
    tasks = suite_named(suite)
    if limit is not None:
        tasks = Suite(tasks.name, tuple(task.limited(limit) for task in tasks.tasks))
    refuse_lacking(chooser, [task.task_type for task in tasks.tasks])
    if not dry_run:
        writable_folder(out)
    with console.status(f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, kernel=kernel, revision=revision)
    picked = _layers(layers, loaded.n_layers)
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
        seed=seed,
    )
    sweep.save(out)
    if as_json:
        write_json(_sweep_json(sweep, out))
    else:
        _show_sweep(console, sweep, out)


def _representations(names: str) -> list[Representation]:
    from valens.representations import representation

    return list(dict.fromkeys(representation(name) for name in names.split(",")))


def _layers(text: str | None, n_layers: int) -> LayerSet | None:
    from valens.layers import LayerSet

    return None if text is None else LayerSet.parse(text, n_layers)


def _show_sweep(console: Console, sweep: Sweep, out: Path) -> None:
    from valens import display
    from valens.probes import LEXICAL

    for name, choice in sweep.choices.items():
        console.print(display.sweep_table(sweep.table, sweep.sets, name, choice, LEXICAL))
        console.print()
        for line in display.reasons(choice):
            console.print(line, highlight=False)
        console.print()
        console.print(display.rule_table(sweep.rules, name, choice.selector))
        for line in display.refusals(sweep.rules, name):
            console.print(line, highlight=False)
        console.print()
    for line in display.rivalry(sweep.rivals):
        console.print(line, highlight=False)
    console.print(_caution(sweep), style="dim", highlight=False)
    facts = sweep.result.provenance
    passes = facts["forward_passes"]
    seconds = timedelta(seconds=round(facts["seconds_reading"]))
    read = f"{passes:,} texts read in {seconds}" if passes else "No forward pass: the store had every text"
    cut = f"; {facts['texts_truncated']} texts were cut at the limit of tokens" if facts["texts_truncated"] else ""
    console.print(f"{read}{cut}. Scores, layers.json and figure3 are in {out}", highlight=False, soft_wrap=True)


def _caution(sweep: Sweep) -> str:
    what = "Scores of rules are means over task types, with paired 95 % intervals of the differences. "
    if "new_half" in sweep.rules:
        return what + (
            "Layers were chosen on these very scores, which flatters them. `new half` is honest: the rule chose on one half "
            "of the data, and its set was scored on the other."
        )
    return what + "Layers were chosen on these very scores, which flatters them: judge a set on other data."


def _sweep_json(sweep: Sweep, out: Path) -> dict[str, Any]:
    from valens.results import records

    return {
        "representation": next(iter(sweep.choices)),
        "layers": str(sweep.layers),
        "representations": sweep.to_json(),
        "rivals": records(sweep.rivals),
        "scores": records(sweep.table),
        "provenance": sweep.result.provenance,
        "out": str(out),
    }
