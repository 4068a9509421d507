"""`valens transfer-layers`: a layer set of one model at the same depths of another."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from valens.terminal.console import write_json
from valens.terminal.options import INPUT, AsJson


def transfer_layers(
    layers: Annotated[str, typer.Argument(metavar="LAYERS", help="A layer set, as 26,27,29-31.")],
    *,
    n_layers: Annotated[
        int,
        typer.Option(
            "--from", min=1, metavar="N", help="How many layers the model has that it is of.", rich_help_panel=INPUT
        ),
    ],
    to: Annotated[
        int,
        typer.Option("--to", min=1, metavar="N", help="How many layers the other model has.", rich_help_panel=INPUT),
    ],
    as_json: AsJson = False,
) -> None:
    """Guess a layer set for another size of the same model.

    The layers at the same depths, as fractions of all layers. A guess and no more: nothing is measured.
    `valens sweep-layers` measures.
    """
    from valens.layers.layer_set import LayerSet

    given = LayerSet.parse(layers, n_layers)
    guess = given.transferred(n_layers, to)
    fewer = len(given) - len(guess)
    if as_json:
        facts = {"layers": str(guess), "list": list(guess), "from": n_layers, "to": to, "given": str(given)}
        write_json(facts | {"fell_together": fewer, "measured": False})
        return
    sys.stdout.write(f"{guess}\n")
    lost = f" {len(given)} layers fell on {len(guess)}." if fewer else ""
    sys.stdout.write(
        f"A guess by depth, from {given} of {n_layers} layers to {to}; nothing was measured.{lost} "
        "`valens sweep-layers` measures.\n"
    )
