"""Options that several commands share, each spelt once; and what is made of the words that they are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valens.terminal import choices
from valens.terminal.choices import either

if TYPE_CHECKING:
    from valens.representations.named import Representation

INPUT, READING, CHOOSING, TRAINING, OUTPUT, HELP = PANELS = (
    "What is read",
    "How it is read",
    "What is chosen",
    "How probes are trained",
    "Where it goes",
    "Help",
)
"""The panels of every command's options, in their order."""

DEFAULT_STORE = Path("activations")

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="An alias, hub name, local folder or GGUF file.",
        autocompletion=choices.models,
        rich_help_panel=INPUT,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Branch, tag or commit on the hub.", show_default="its newest", rich_help_panel=INPUT
    ),
]
_CORPUS_HELP = f"{either([*choices.CORPORA, 'a path'])}: a folder of .txt, or .jsonl(.gz), .json or .parquet."
CorpusName = Annotated[
    str,
    typer.Option(
        "--corpus",
        metavar="CORPUS",
        help=_CORPUS_HELP,
        autocompletion=choices.corpora,
        rich_help_panel=INPUT,
    ),
]
ParagraphsOrCorpus = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        metavar="CORPUS",
        help=_CORPUS_HELP,
        autocompletion=choices.corpora,
        show_default="paragraphs of Wikipedia",
        rich_help_panel=INPUT,
    ),
]
FitCorpus = Annotated[
    str | None,
    typer.Option(
        "--fit",
        metavar="CORPUS",
        help="Texts that post-processing is fitted on, none of them read for anything else: a corpus or a path.",
        autocompletion=choices.corpora,
        show_default="none, or 300 paragraphs of Wikipedia",
        rich_help_panel=INPUT,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A mirror of hub data sets, with folders named as there.",
        show_default="the hub",
        rich_help_panel=INPUT,
    ),
]
Field = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The field of a record that holds its text.",
        show_default="the likeliest",
        rich_help_panel=INPUT,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="At most this many texts.", show_default="all", rich_help_panel=INPUT),
]
SuiteName = Annotated[
    str,
    typer.Option(
        "--suite",
        metavar="SUITE",
        help="builtin or some of its tasks, paper, or tasks of MTEB as in mteb:STS15,SciFact@train.",
        autocompletion=choices.suites,
        rich_help_panel=INPUT,
    ),
]
TaskLimit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", help="At most this many texts a task.", show_default="all", rich_help_panel=INPUT
    ),
]
Select = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help=f"{either(choices.SELECTORS)}. paper and greedy choose by what tasks agree on and need two or more.",
        autocompletion=choices.selectors,
        rich_help_panel=CHOOSING,
    ),
]
NearDuplicates = Annotated[
    float | None,
    typer.Option(
        "--near-duplicates",
        metavar="THRESHOLD",
        help="Leave out texts that nearly repeat an earlier one: this Jaccard similarity or more, as .9.",
        show_default="kept",
        rich_help_panel=INPUT,
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="A task whose data cannot be had is an error, not left out.", rich_help_panel=INPUT),
]
Representations = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help=f"{either(choices.REPRESENTATIONS)}, or readings such as values/last, with commas between; the first is the "
        "main one.",
        autocompletion=choices.representations,
        rich_help_panel=INPUT,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE", help=f"{either(choices.DEVICES)}.", autocompletion=choices.devices, rich_help_panel=READING
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        metavar="DTYPE",
        help=f"{either(choices.DTYPES)}, for the weights.",
        autocompletion=choices.dtypes,
        rich_help_panel=READING,
    ),
]
AttnImplementation = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"Who computes the attention: {either(choices.ATTN_IMPLEMENTATIONS)}.",
        autocompletion=choices.attn_implementations,
        rich_help_panel=READING,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Tokens read of a text.",
        show_default="512, or the model's context",
        rich_help_panel=READING,
    ),
]
OnLong = Annotated[
    str,
    typer.Option(
        metavar="WORD",
        help=f"What becomes of longer texts: {either(choices.ON_LONG)}.",
        autocompletion=choices.on_long,
        rich_help_panel=READING,
    ),
]
BOS_HELP = f"Begin-of-sequence token: {either(choices.BOS)}; auto is as the tokenizer adds it."
POOL_OVER_HELP = f"Which tokens are pooled: {either(choices.POOL_OVER)}; text is without special tokens."
Bos = Annotated[
    str,
    typer.Option(
        "--bos",
        metavar="WORD",
        help=BOS_HELP,
        autocompletion=choices.bos,
        rich_help_panel=READING,
    ),
]
PoolOver = Annotated[
    str,
    typer.Option(
        "--pool-over",
        metavar="WORD",
        help=POOL_OVER_HELP,
        autocompletion=choices.pool_over,
        rich_help_panel=READING,
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        metavar="LAYERS", help="Layers to score, as 20-27 or 1,5,9.", show_default="all", rich_help_panel=CHOOSING
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        max=choices.LARGEST_SEED,
        metavar="N",
        help="Draws everything that is left to chance.",
        rich_help_panel=CHOOSING,
    ),
]
Resamples = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Bootstrap resamples for the intervals.", rich_help_panel=CHOOSING),
]
Resplits = Annotated[
    int,
    typer.Option(metavar="N", help="How many random splits the scores are means over.", rich_help_panel=CHOOSING),
]
StorePath = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="The activation store.", rich_help_panel=OUTPUT)
]
ShownStore = Annotated[
    Path,
    typer.Option("--store", metavar="DIR", help="The activation store.", rich_help_panel=INPUT),
]
Check = Annotated[
    bool, typer.Option("--check", help="Hash every shard of the store before it is read.", rich_help_panel=OUTPUT)
]
Out = Annotated[
    Path, typer.Option(metavar="DIR", help="Tables, figures and provenance go here.", rich_help_panel=OUTPUT)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and stop.", rich_help_panel=OUTPUT)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT)]


def representations_named(names: str, *, bos: str, pool_over: str) -> list[Representation]:
    """Return the different representations of `--representations`, all of them with the prompt of the two other options.

    RepresentationError for one that is none, PromptError for a policy that does not exist.
    """
    from valens.representations.named import representation
    from valens.representations.prompts import Prompt

    prompt = Prompt(bos=bos, pool_over=pool_over)
    return [replace(named, prompt=prompt) for named in dict.fromkeys(map(representation, names.split(",")))]
