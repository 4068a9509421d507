"""`valens logit-lens`: which vectors predict the tokens behind a prefix, at which layers, and how far?"""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.terminal.console import say, waiting, write_json
from valens.terminal.options import (
    CHOOSING,
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
    Out,
    Resamples,
    Revision,
    Seed,
)
from valens.terminal.texts import read_corpus

if TYPE_CHECKING:
    from valens.probes import LensEstimate, LogitLensResult

KEPT = "texts"
"""The folder inside --out in which each text's ranks are kept while a run is on its way."""

_PART = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?")


def logit_lens(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
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
        typer.Option(
            metavar="NUMBERS", help="Which tokens behind a prefix, as 1-5 or 1,2,8.", rich_help_panel=CHOOSING
        ),
    ] = "1-5",
    resamples: Resamples = 1000,
    seed: Seed = 0,
    out: Out = Path("results/logit-lens"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Rank the tokens behind prefixes by each layer's vectors.

    The score is MRR@100 by offset, with intervals. All prefixes and offsets of a text are read in one pass. Each text's
    ranks are kept in the folder texts under --out: the same command goes on where it was stopped.
    """
    from valens.files.atomic import writable_folder
    from valens.model.loading import load
    from valens.probes import lens_plan
    from valens.probes import logit_lens as look

    console = Console(stderr=as_json)
    wanted, within = whole_numbers(offsets, "--offsets"), whole_range(prefix_tokens, "--prefix-tokens")
    texts = read_corpus(console, corpus, data_root=data_root, field=field, limit=limit)
    if not dry_run:
        writable_folder(out)
    with waiting(console, f"Loading {model}"):
        loaded = load(model, device=device, dtype=dtype, revision=revision)
    if dry_run:
        job = lens_plan(
            loaded, texts, offsets=wanted, prefix_tokens=within, prefixes=prefixes, keep=out / KEPT, seed=seed
        )
        _show_estimate(console, job.estimate(), as_json=as_json)
        return
    found = look(
        loaded,
        texts,
        offsets=wanted,
        prefix_tokens=within,
        prefixes=prefixes,
        keep=out / KEPT,
        resamples=resamples,
        seed=seed,
    )
    found.save(out)
    if as_json:
        write_json(_as_json(found, out))
    else:
        _show(console, found, out)


def whole_numbers(text: str, option: str) -> list[int]:
    """The numbers of `1-5` or `1,2,8`; CorpusError for what is none."""
    from valens.errors import CorpusError

    parts = [_PART.fullmatch(part.strip()) for part in text.split(",")]
    found = [
        range(int(part[1]), int(part[2] or part[1]) + 1) if part is not None else range(0)  # an empty one is refused
        for part in parts
    ]
    if not all(found):
        raise CorpusError(f"{option} takes whole numbers, as 1-5 or 1,2,8; got {text!r}.")
    return sorted({number for part in found for number in part})


def whole_range(text: str, option: str) -> tuple[int, int]:
    """The first and last number of `50-150`, or one number twice; CorpusError for what is neither."""
    from valens.errors import CorpusError

    part = _PART.fullmatch(text.strip())
    first, last = (int(part[1]), int(part[2] or part[1])) if part is not None else (1, 0)
    if first > last:
        raise CorpusError(f"{option} takes a range of whole numbers, as 50-150, or one number; got {text!r}.")
    return first, last


def _show_estimate(console: Console, estimate: LensEstimate, *, as_json: bool) -> None:
    from valens.terminal.tables import pairs_table

    if as_json:
        write_json(asdict(estimate))
        return
    pairs = {
        "texts": f"{estimate.texts:,}; left out: {estimate.too_short:,} too short, {estimate.repeated:,} repeated",
        "prefixes": f"{estimate.instances:,}",
        "forward passes": f"{estimate.passes:,}; the ranks of {estimate.texts - estimate.passes:,} texts are kept already",
        "time": f"about {timedelta(seconds=round(estimate.seconds))}, measured on one text",
    }
    say(console, pairs_table(pairs))


def _as_json(found: LogitLensResult, out: Path) -> dict[str, Any]:
    from valens.results.tables import records

    return {
        "scores": records(found.table),
        "best": records(found.details["best"]),
        "differences": records(found.differences),
        "provenance": found.provenance,
        "out": str(out),
    }


def _show(console: Console, found: LogitLensResult, out: Path) -> None:
    from probes.logit_lens.summary import best_table, words

    facts = found.provenance
    counts = facts["documents"]
    say(
        console,
        f"{facts['instances']:,} prefixes of {counts['used']:,} texts of {facts['corpus']['name']}; left out: "
        f"{counts['too_short']:,} too short, {counts['repeated']:,} repeated.\n",
    )
    say(console, "MRR@100 of the true token; the layer is chosen on the texts that are not scored\n")
    say(console, best_table(found))
    say(console)
    for line in words(found):
        say(console, line)
    say(
        console,
        "Differences are paired by text, with the final norm; ahead and behind are p < 0.05 after Holm's correction over "
        "the offsets, and each 95 % interval stands by itself. Figures and tables have the paper's formula, without the "
        "norm, as well.",
        style="dim",
    )
    passes, seconds = facts["forward_passes"], timedelta(seconds=round(facts["seconds_reading"]))
    read = f"{passes:,} texts read in {seconds}" if passes else "No forward pass: the ranks of every text were kept"
    say(console, f"{read}. Scores, ranks and three figures are in {out}", soft_wrap=True)
