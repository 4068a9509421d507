"""`valens sweep-layers`: score every layer, and choose the layers that an embedding should average."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probes.command import ModelOptions, run_probe
from valens.terminal import choices
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    INPUT,
    AsJson,
    AttnImplementation,
    Bos,
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
    PoolOver,
    Representations,
    Revision,
    Seed,
    Select,
    StorePath,
    Strict,
    SuiteName,
    TaskLimit,
    representations_named,
)
from valens.terminal.texts import cautions, read_suites

if TYPE_CHECKING:
    from valens.tasks import Suite


def layer_sweep(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    suite: SuiteName = "builtin",
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
    limit: TaskLimit = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    on_long: OnLong = "truncate",
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    layers: Layers = None,
    select: Select = "paper",
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
    from probes.layer_sweep.probe import LayerSweep
    from valens.selectors import check_tasks, selector
    from valens.store.store import ActivationStore

    wanted = representations_named(representations, bos=bos, pool_over=pool_over)
    settings = LayerSweep(
        layers=layers,
        select=select,
        compare=compare,
        max_tokens=max_tokens,
        on_long=on_long,
        exact=exact,
        seed=seed,
    )
    whole, *judging = read_suites([suite, *filter(None, [evaluation])], data_root=data_root, strict=strict)
    tasks = whole if limit is None else whole.limited(limit)
    check_tasks(selector(select), [task.task_type for task in tasks.tasks])  # before a model is loaded for them
    run_probe(
        settings,
        ModelOptions(model, revision, device, dtype, attn_implementation, check),
        tasks,
        wanted,
        store=ActivationStore(store, check=check),
        out=out,
        dry_run=dry_run,
        as_json=as_json,
        notes=_cautions(tasks, judging),
    )


def _cautions(suite: Suite, judging: Sequence[Suite]) -> list[str]:
    """Return what a reader must know of the tasks, and of the texts that they share with those judging."""
    return [*cautions(suite), *(line for judged in judging for line in _shared(suite, judged))]


def _shared(suite: Suite, judged: Suite) -> list[str]:
    """Return what is known, and what is not, of the texts that the suite shares with the one it will be judged on."""
    from valens.suites.contamination import warning

    sentences = [f"{missing.name} is not compared with the selection. {missing.reason}" for missing in judged.left_out]
    shared = warning(suite, judged)
    return sentences + ([shared] if shared else [])
