"""`valens models`: the models known by a short name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from valens.terminal.console import say, write_json
from valens.terminal.options import OUTPUT, AsJson


def models(
    *,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache", help="Say where what is remembered of models is kept, and its size.", rich_help_panel=OUTPUT
        ),
    ] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Remove it: all is worked out again.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the models that have a short name, with their sizes.

    Any other decoder goes by its hub name, folder or GGUF file. Of some the paper gives a layer set.
    """
    from dataclasses import asdict

    if cache or clear_cache:
        _show_cache(clear=clear_cache, as_json=as_json)
        return

    from valens.model.catalog import CATALOG
    from valens.terminal.tables import plain_table

    if as_json:
        write_json({name: asdict(known) | {"d_values": known.d_values} for name, known in CATALOG.items()})
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
    say(console, plain_table(columns, rows, right=columns[1:5]))
    say(
        console,
        "heads: query heads / key-value heads; d_v: width of a layer's values; layers are counted from 1.",
        style="dim",
    )


def _show_cache(*, clear: bool, as_json: bool) -> None:
    """Say where the user's cache is and how large, and empty it if asked to."""
    from valens.files import user_cache

    folder = user_cache.cache_folder()
    n_bytes = 0 if folder is None else user_cache.size(folder)
    if clear and folder is not None:
        user_cache.clear(folder)
    if as_json:
        write_json({"cache": None if folder is None else str(folder), "bytes": n_bytes, "cleared": clear})
    elif folder is None:
        say(Console(), f"There is no cache: ${user_cache.ENVIRONMENT} is off.")
    else:
        done = (
            ", removed" if clear else f"; `valens models --clear-cache` removes it, ${user_cache.ENVIRONMENT} moves it"
        )
        say(Console(), f"{folder}: {n_bytes / 2**20:,.1f} MiB{done}.", soft_wrap=True)


def _source(source: str, *, room: int) -> str:
    """Say where a model is found, on two lines if it needs more room; of a wheel, its name alone."""
    if source.startswith("wheel:"):
        return source.split("/", maxsplit=1)[0].replace(":", " ")
    return source if len(source) <= room else source.replace("/", "/\n")
