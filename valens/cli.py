"""The command line. Commands read their options here and leave the work to the modules; heavy imports wait until needed."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.errors import ValensError

if TYPE_CHECKING:
    from valens.extract import Estimate
    from valens.layers import LayerSet
    from valens.probes import Sweep
    from valens.representations import Representation

app = typer.Typer(
    name="valens",
    help="Which layers of a language model, and which of its internal vectors, carry the meaning of a text?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_INTERRUPTED = 130
"""The exit code that typer makes of Ctrl-C."""

_INPUT, _READING, _CHOOSING, _OUTPUT = "What is read", "How it is read", "What is chosen", "Where it goes"


@app.callback()
def _valens() -> None:
    """Group the commands."""


@app.command(
    "sweep-layers",
    epilog="Example: valens sweep-layers --model smollm2-135m --suite builtin --out results/demo",
)
def sweep_layers(  # noqa: PLR0917
    model: Annotated[
        str, typer.Option(help="Alias, hub name, local folder or GGUF file.", rich_help_panel=_INPUT)
    ] = "smollm2-135m",
    suite: Annotated[
        str, typer.Option(help="`builtin`, or names of its tasks with commas between.", rich_help_panel=_INPUT)
    ] = "builtin",
    representations: Annotated[
        str, typer.Option(help="What is swept, with commas between; the first is the main one.", rich_help_panel=_INPUT)
    ] = "VA,HS",
    limit: Annotated[int | None, typer.Option(help="At most this many texts a task.", rich_help_panel=_INPUT)] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit on the hub.", rich_help_panel=_INPUT)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_READING)] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16 or float16, for the weights.", rich_help_panel=_READING)
    ] = "float32",
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Tokens read of a text (default: 512, or the model's context).", rich_help_panel=_READING),
    ] = None,
    on_long: Annotated[
        str, typer.Option(help="What becomes of longer texts: truncate or error.", rich_help_panel=_READING)
    ] = "truncate",
    layers: Annotated[
        str | None, typer.Option(help="Layers to score, as 20-27 or 1,5,9 (default: all).", rich_help_panel=_CHOOSING)
    ] = None,
    select: Annotated[
        str, typer.Option(help="paper, best, top-k, contiguous, half or all.", rich_help_panel=_CHOOSING)
    ] = "paper",
    seed: Annotated[int, typer.Option(help="Draws the bootstrap resamples.", rich_help_panel=_CHOOSING)] = 0,
    store: Annotated[Path, typer.Option(help="The activation store.", rich_help_panel=_OUTPUT)] = Path("activations"),
    out: Annotated[
        Path, typer.Option(help="Scores, layer set, figure and provenance go here.", rich_help_panel=_OUTPUT)
    ] = Path("results/layer-sweep"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=_OUTPUT)
    ] = False,
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
    activations = ActivationStore(store)
    tasks = suite_named(suite)
    if limit is not None:
        tasks = Suite(tasks.name, tuple(task.limited(limit) for task in tasks.tasks))
    refuse_lacking(chooser, [task.task_type for task in tasks.tasks])
    if not dry_run:
        writable_folder(out)
    with console.status(f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, revision=revision)
    picked = _layers(layers, loaded.n_layers)
    if dry_run:
        job = sweep_plan(loaded, tasks, wanted, store=activations, max_tokens=max_tokens, on_long=on_long)
        _show_estimate(console, job.estimate(), as_json=as_json)
        return
    sweep = layer_sweep(
        loaded,
        tasks,
        wanted,
        store=activations,
        layers=picked,
        select=select,
        max_tokens=max_tokens,
        on_long=on_long,
        seed=seed,
    )
    sweep.save(out)
    if as_json:
        _write_json(_sweep_json(sweep, out))
    else:
        _show_sweep(console, sweep, out)


@app.command(epilog="Example: valens models --json")
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """List the models known by a short name; any other decoder goes by its hub name or folder."""
    from dataclasses import asdict

    from valens.catalog import CATALOG
    from valens.display import plain_table

    if as_json:
        _write_json({name: asdict(known) | {"d_values": known.d_values} for name, known in CATALOG.items()})
        return
    console = Console()
    columns = ("alias", "layers", "d_model", "heads", "d_v", "paper's set", "where")
    rows = [
        (
            known.alias,
            str(known.n_layers),
            f"{known.d_model:,}",
            f"{known.n_heads}/{known.n_kv_heads}",
            f"{known.d_values:,}",
            known.paper_layers or "–",
            _source(known.source, room=console.width - 58),
        )
        for known in CATALOG.values()
    ]
    console.print(plain_table(columns, rows, right=columns[1:5]))
    console.print(
        "heads: query heads / key-value heads; d_v: width of a layer's values; layers are counted from 1.", style="dim"
    )


def main() -> None:
    """Run the command line; what a user can mend is one line on standard error and exit code 2."""
    try:
        app()
    except ValensError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]Error:[/bold red] {_escaped(str(error))}", highlight=False
        )
        sys.exit(2)
    except SystemExit as done:
        if done.code == _INTERRUPTED:
            Console(stderr=True).print("Stopped. What was read is in the store; the same command goes on from there.")
        raise


def _representations(names: str) -> list[Representation]:
    from valens.representations import representation

    return list(dict.fromkeys(representation(name) for name in names.split(",")))


def _layers(text: str | None, n_layers: int) -> LayerSet | None:
    from valens.layers import LayerSet

    return None if text is None else LayerSet.parse(text, n_layers)


def _source(source: str, *, room: int) -> str:
    """Where a model is found, on two lines if it needs more room; of a wheel, its name alone."""
    if source.startswith("wheel:"):
        return source.split("/", maxsplit=1)[0].replace(":", " ")
    return source if len(source) <= room else source.replace("/", "/\n")


def _show_estimate(console: Console, estimate: Estimate, *, as_json: bool) -> None:
    from dataclasses import asdict

    from valens.display import pairs_table

    if as_json:
        _write_json(asdict(estimate))
        return
    pairs = {
        "texts": f"{estimate.texts:,}, of which {estimate.different_texts:,} differ",
        "tokens": f"{estimate.tokens:,}, after {estimate.truncated:,} texts were cut at the limit",
        "forward passes": f"{estimate.passes:,} texts with {estimate.pass_tokens:,} tokens; the store has "
        f"{estimate.different_texts - estimate.passes:,}",
        "to be stored": f"{estimate.stored_bytes / 2**20:,.1f} MiB",
        "time to read": f"about {timedelta(seconds=round(estimate.seconds))}, measured on a first batch",
    }
    console.print(pairs_table(pairs))


def _show_sweep(console: Console, sweep: Sweep, out: Path) -> None:
    from valens import display
    from valens.probes import LEXICAL

    for name, choice in sweep.choices.items():
        console.print(display.sweep_table(sweep.table, sweep.sets, name, choice, LEXICAL))
        console.print()
        for line in [*display.reasons(choice), *display.comparison(sweep.gaps, name)]:
            console.print(line, highlight=False)
        console.print()
    for line in display.rivalry(sweep.rivals):
        console.print(line, highlight=False)
    console.print(
        "Differences are means over task types with paired 95 % intervals. Layers were chosen on these very scores, "
        "which flatters them: judge a set on other data.",
        style="dim",
    )
    facts = sweep.result.provenance
    passes = facts["forward_passes"]
    seconds = timedelta(seconds=round(facts["seconds_reading"]))
    read = f"{passes:,} texts read in {seconds}" if passes else "No forward pass: the store had every text"
    cut = f"; {facts['texts_truncated']} texts were cut at the limit of tokens" if facts["texts_truncated"] else ""
    console.print(f"{read}{cut}. Scores, layers.json and figure3 are in {out}", highlight=False, soft_wrap=True)


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


def _write_json(value: object) -> None:
    from valens.results import to_json

    sys.stdout.write(to_json(value) + "\n")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
