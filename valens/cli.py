"""The command line: the commands put together, and one way for all of them to fail.

Commands read their options and leave the work to the modules; heavy imports wait until a command needs them.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from valens.commands import store
from valens.commands.audit import audit
from valens.commands.encode import encode
from valens.commands.extract import extract
from valens.commands.extract_tokens import extract_tokens
from valens.commands.logit_lens import logit_lens
from valens.commands.models import models
from valens.commands.next_token import next_token
from valens.commands.overlap import overlap
from valens.commands.segment_matching import segment_matching
from valens.commands.sweep_layers import sweep_layers
from valens.commands.transfer_layers import transfer_layers
from valens.errors import ValensError
from valens.terminal import say_labelled

app = typer.Typer(
    name="valens",
    help="Which layers of a language model, and which of its internal vectors, carry the meaning of a text?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command(
    "sweep-layers", epilog="Example: valens sweep-layers --model smollm2-135m --suite builtin --out results/demo"
)(sweep_layers)
app.command(
    "segment-matching",
    epilog="Example: valens segment-matching --model smollm2-135m --corpus wikipedia --segment-tokens 128",
)(segment_matching)
app.command("logit-lens", epilog="Example: valens logit-lens --model smollm2-135m --corpus wikipedia --offsets 1-5")(
    logit_lens
)
app.command(epilog="Example: valens encode --model qwen3-8b --layers layers.json < texts.txt > vectors.npy")(encode)
app.command("transfer-layers", epilog="Example: valens transfer-layers 26,27,29-31 --from 36 --to 28")(transfer_layers)
app.command(
    "next-token", epilog="Example: valens next-token --model smollm2-135m --corpus wikipedia --representations VA,HS,LT"
)(next_token)
app.command(epilog="Example: valens extract abstracts.txt --model qwen3-8b --read values/mean,hidden/mean")(extract)
app.command(
    "extract-tokens",
    epilog="Example: valens extract-tokens abstracts.txt values@26/tokens pattern@26/last --model qwen3-8b",
)(extract_tokens)
app.add_typer(store.app)
app.command(epilog="Example: valens audit --model smollm2-135m")(audit)
app.command(epilog="Example: valens overlap paper mteb:STS15@test --data-root hub")(overlap)
app.command(epilog="Example: valens models --json")(models)

_INTERRUPTED = 130
"""The exit code that typer makes of Ctrl-C."""


def main() -> None:
    """Run the command line; what a user can mend is one line on standard error and exit code 2."""
    try:
        app()
    except ValensError as error:
        say_labelled(Console(stderr=True), "Error:", str(error), style="bold red")
        sys.exit(2)
    except SystemExit as done:
        if done.code == _INTERRUPTED:
            Console(stderr=True).print("Stopped. What was read is in the store; the same command goes on from there.")
        raise
