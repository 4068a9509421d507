"""`valens logit-lens`: which vectors predict the tokens after a prefix, at which layers, and how far?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probes.command import ModelOptions, run_probe
from valens.terminal.options import (
    CHOOSING,
    DEFAULT_STORE,
    INPUT,
    AsJson,
    CorpusName,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    Field,
    Limit,
    ModelName,
    NearDuplicates,
    Out,
    Resamples,
    Resplits,
    Revision,
    Seed,
    StorePath,
)
from valens.terminal.texts import read_corpus

_PART = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?")


def logit_lens(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
    near_duplicates: NearDuplicates = None,
    prefixes: Annotated[
        int, typer.Option(metavar="N", help="How many prefixes of each text.", rich_help_panel=INPUT)
    ] = 4,
    prefix_tokens: Annotated[
        str,
        typer.Option(
            metavar="RANGE", help="Tokens of a prefix: drawn from this range, or one number.", rich_help_panel=INPUT
        ),
    ] = "50-150",
    device: Device = "auto",
    dtype: Dtype = "float32",
    offsets: Annotated[
        str,
        typer.Option(metavar="NUMBERS", help="Which tokens after a prefix, as 1-5 or 1,2,8.", rich_help_panel=CHOOSING),
    ] = "1-5",
    resplits: Resplits = 20,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
    store: StorePath = DEFAULT_STORE,
    out: Out = Path("results/logit-lens"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Rank the tokens after prefixes by each layer's vectors.

    The score is MRR@100 by offset, with intervals. All prefixes and offsets of a text are read in one pass. Each text's
    ranks are kept: the same command goes on where it was stopped, and a second run reads nothing.
    """
    from probes.logit_lens.probe import LogitLens
    from valens.store.store import ActivationStore

    settings = LogitLens(
        offsets=whole_numbers(offsets, "--offsets"),
        prefix_tokens=whole_range(prefix_tokens, "--prefix-tokens"),
        prefixes=prefixes,
        resplits=resplits,
        resamples=resamples,
        seed=seed,
    )
    run_probe(
        settings,
        ModelOptions(model, revision, device, dtype),
        read_corpus(
            Console(stderr=as_json),
            corpus,
            data_root=data_root,
            field=field,
            limit=limit,
            near_duplicates=near_duplicates,
        ),
        (),
        store=ActivationStore(store),
        out=out,
        dry_run=dry_run,
        as_json=as_json,
    )


def whole_numbers(text: str, option: str) -> list[int]:
    """Return the numbers of `1-5` or `1,2,8`; CorpusError for what is none."""
    from valens.errors import CorpusError

    parts = [_PART.fullmatch(part.strip()) for part in text.split(",")]
    ranges = [
        range(int(part[1]), int(part[2] or part[1]) + 1) if part is not None else range(0)  # an empty one is refused
        for part in parts
    ]
    if not all(ranges):
        raise CorpusError(f"{option} takes whole numbers, as 1-5 or 1,2,8; got {text!r}.")
    return sorted({number for part in ranges for number in part})


def whole_range(text: str, option: str) -> tuple[int, int]:
    """Return the first and last number of `50-150`, or one number twice; CorpusError for what is neither."""
    from valens.errors import CorpusError

    part = _PART.fullmatch(text.strip())
    first, last = (int(part[1]), int(part[2] or part[1])) if part is not None else (1, 0)
    if first > last:
        raise CorpusError(f"{option} takes a range of whole numbers, as 50-150, or one number; got {text!r}.")
    return first, last
