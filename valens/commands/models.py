"""`valens models`: the models known by a short name."""

from __future__ import annotations

from rich.console import Console

from valens.terminal.console import say, write_json
from valens.terminal.options import AsJson


def models(
    as_json: AsJson = False,
) -> None:
    """List the models that have a short name, with their sizes.

    Any other decoder goes by its hub name, folder or GGUF file. Of some the paper gives a layer set.
    """
    from dataclasses import asdict

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


def _source(source: str, *, room: int) -> str:
    """Say where a model is found, on two lines if it needs more room; of a wheel, its name alone."""
    if source.startswith("wheel:"):
        return source.split("/", maxsplit=1)[0].replace(":", " ")
    return source if len(source) <= room else source.replace("/", "/\n")
