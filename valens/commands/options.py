"""Options that several commands share, each spelt once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INPUT, READING, CHOOSING, OUTPUT = "What is read", "How it is read", "What is chosen", "Where it goes"

DEFAULT_STORE = Path("activations")

ModelName = Annotated[str, typer.Option(help="Alias, hub name, local folder or GGUF file.", rich_help_panel=INPUT)]
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
StorePath = Annotated[Path, typer.Option("--store", help="The activation store.", rich_help_panel=OUTPUT)]
Check = Annotated[
    bool, typer.Option("--check", help="Hash every shard of the store before it is read.", rich_help_panel=OUTPUT)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and stop.", rich_help_panel=OUTPUT)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT)]
