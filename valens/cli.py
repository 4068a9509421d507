"""The command line: the commands put together, and one way for all of them to fail.

Commands read their options and leave the work to the modules; heavy imports wait until a command needs them.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from probes.catalogue import PROBES
from valens.commands import store
from valens.commands.audit import audit
from valens.commands.encode import encode
from valens.commands.extract import extract
from valens.commands.extract_tokens import extract_tokens
from valens.commands.models import models
from valens.commands.overlap import overlap
from valens.commands.report import report
from valens.commands.transfer_layers import transfer_layers
from valens.errors import ValensError, ValensWarning
from valens.results.provenance import __version__
from valens.terminal.console import say, say_labelled
from valens.terminal.help import HELP_NAMES, Command, Group, examples
from valens.terminal.usage_errors import Misuse, usage_message

app = typer.Typer(
    name="valens",
    cls=Group,
    context_settings=HELP_NAMES,
    epilog=examples(
        "valens sweep-layers --model smollm2-135m --out results/demo",
        "valens encode --layers results/demo/layers.json texts.txt --out vectors.npy",
        "valens segment-matching --corpus my-texts/ --dry-run",
    ),
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

PROBE, USE = "Probe a model", "Use the layers"
KEEP, LOOK = "Read and keep vectors", "Look at models, texts and results"

_INTERRUPTED = 130
"""The exit code that typer makes of Ctrl-C."""

_OBJECTS = 50_000
"""New objects before Python looks for circles among them. Its default takes a quarter of the time of loading a model."""


def _show_version(wanted: bool) -> bool:
    if wanted:
        sys.stdout.write(f"valens {__version__}\n")
        raise typer.Exit
    return wanted


@app.callback()
def valens(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version, and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Which layers of a language model, and which of its internal vectors, carry the meaning of a text?"""


def _add(panel: str, name: str, command: Callable[..., None], *lines: str) -> None:
    app.command(name, cls=Command, rich_help_panel=panel, epilog=examples(*lines))(command)


for shipped in PROBES:
    _add(PROBE, shipped.command_name, shipped.command(), shipped.example)
_add(
    USE,
    "encode",
    encode,
    "valens encode texts.txt --layers layers.json --out vectors.npy",
    "valens encode --model qwen3-8b --layers preset < texts.txt > vectors.npy",
)
_add(USE, "transfer-layers", transfer_layers, "valens transfer-layers 26,27,29-31 --from 36 --to 28")
_add(KEEP, "extract", extract, "valens extract texts.txt --read values/mean,hidden/mean")
_add(KEEP, "extract-tokens", extract_tokens, "valens extract-tokens texts.txt values@26/tokens pattern@26/last")
app.add_typer(store.app, cls=Group, rich_help_panel=KEEP)
_add(LOOK, "report", report, "valens report results/demo")
_add(LOOK, "models", models, "valens models", "valens models --json")
_add(LOOK, "audit", audit, "valens audit --model smollm2-135m")
_add(LOOK, "overlap", overlap, "valens overlap paper mteb:STS15@test --data-root hub")


def main() -> None:
    """Run the command line; what a user can fix is one line on standard error and exit code 2."""
    errors = Console(stderr=True)
    warnings.showwarning = _note_of(errors, warnings.showwarning)
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    try:
        code = app(prog_name="valens", standalone_mode=False)
    except (ValensError, Misuse) as error:
        say_labelled(
            errors, "Error:", str(error) if isinstance(error, ValensError) else usage_message(error), style="bold red"
        )
        sys.exit(2)
    except typer.Abort:
        say(errors, "Stopped. Nothing was changed.")
        sys.exit(1)
    if code == _INTERRUPTED:
        say(errors, "Stopped. What was finished is kept; the same command goes on from there.")
    sys.exit(code)


def _note_of(errors: Console, show: Callable[..., None]) -> Callable[..., None]:
    """Return what shows our own warnings as notes, a line each, and all others as Python does."""

    def note(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if issubclass(category, ValensWarning):
            say_labelled(errors, "Note:", str(message), style="yellow")
        else:
            show(message, category, *rest)

    return note
