"""Options that several commands share, each spelt once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from valens.layers import LayerSet
    from valens.representations import Representation

INPUT, READING, CHOOSING, OUTPUT = "What is read", "How it is read", "What is chosen", "Where it goes"

DEFAULT_STORE = Path("activations")

ModelName = Annotated[str, typer.Option(help="Alias, hub name, local folder or GGUF file.", rich_help_panel=INPUT)]
CorpusName = Annotated[
    str,
    typer.Option(
        "--corpus",
        help="wikipedia, longbench-v2, or a .txt folder, .jsonl(.gz), .json or .parquet.",
        rich_help_panel=INPUT,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(help="A mirror of hub data sets, with folders named as there.", rich_help_panel=INPUT),
]
Field = Annotated[str | None, typer.Option(help="The field of a record that holds its text.", rich_help_panel=INPUT)]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="<int>", help="At most this many texts.", rich_help_panel=INPUT)
]
Representations = Annotated[
    str, typer.Option(help="With commas between; the first is the main one.", rich_help_panel=INPUT)
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.", rich_help_panel=INPUT)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=READING)]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16, for the weights.", rich_help_panel=READING)]
Kernel = Annotated[
    str, typer.Option(help="Attention: auto, sdpa, eager or flash_attention_2.", rich_help_panel=READING)
]
MaxTokens = Annotated[
    int | None,
    typer.Option(help="Tokens read of a text (default: 512, or the model's context).", rich_help_panel=READING),
]
OnLong = Annotated[str, typer.Option(help="What becomes of longer texts: truncate or error.", rich_help_panel=READING)]
Seed = Annotated[
    int, typer.Option(min=0, metavar="<int>", help="Draws everything that is left to chance.", rich_help_panel=CHOOSING)
]
Resamples = Annotated[
    int, typer.Option(min=1, metavar="<int>", help="Bootstrap resamples for the intervals.", rich_help_panel=CHOOSING)
]
StorePath = Annotated[Path, typer.Option("--store", help="The activation store.", rich_help_panel=OUTPUT)]
Check = Annotated[
    bool, typer.Option("--check", help="Hash every shard of the store before it is read.", rich_help_panel=OUTPUT)
]
Out = Annotated[Path, typer.Option(help="Tables, figure and provenance go here.", rich_help_panel=OUTPUT)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and stop.", rich_help_panel=OUTPUT)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT)]


def representations_named(names: str) -> list[Representation]:
    """The different representations of `--representations`; RepresentationError for one that is none."""
    from valens.representations import representation

    return list(dict.fromkeys(representation(name) for name in names.split(",")))


def layer_set(text: str | None, n_layers: int) -> LayerSet | None:
    """The layers of `--layers`, None for all; LayerSetError for what the model does not have."""
    from valens.layers import LayerSet

    return None if text is None else LayerSet.parse(text, n_layers)
