"""What every probe's command does with its settings: load, say the cost or run, save, and show what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from valens.terminal.console import say, say_labelled, show_estimate, waiting, write_json

if TYPE_CHECKING:
    from probes.contract import Probe
    from valens.model.model import Model
    from valens.representations.named import Representation
    from valens.results.result import Result
    from valens.store.store import ActivationStore


@dataclass(frozen=True)
class ModelOptions:
    """The options of a command that say which model is read, and how."""

    model: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    attn_implementation: str = "auto"
    check: bool = False
    """Whether the model's files are hashed even where they seem unchanged."""

    def load(self, console: Console) -> Model:
        """Load the model, with a turning wheel where somebody looks; ModelError if it cannot be."""
        from valens.model.loading import load

        settings = asdict(self)
        name = settings.pop("model")
        with waiting(console, f"Loading {name}"):
            return load(name, **settings)


def run_probe(
    probe: Probe[Any],
    options: ModelOptions,
    data: Any,
    representations: Sequence[Representation],
    *,
    store: ActivationStore | Path,
    out: Path,
    dry_run: bool,
    as_json: bool,
    notes: Sequence[str] = (),
) -> None:
    """Run a probe as its command was asked to.

    `notes` are what a reader must know of the data; they are said before anything is loaded. `dry_run` says the cost and
    writes nothing, `as_json` prints one JSON object on standard output and nothing else there.
    """
    from valens.files.atomic import writable_folder_for
    from valens.terminal.sections import show_section

    console = Console(stderr=as_json)
    for note in notes:
        say_labelled(Console(stderr=True), "Note:", note, style="yellow")
    if dry_run:
        job = probe.plan(options.load(console), data, representations, store=store)
        show_estimate(console, job.estimate(), as_json=as_json)
        return
    with writable_folder_for(out):  # before anything costly is done for it
        result = probe.plan(options.load(console), data, representations, store=store).run()
        written = result.save(out)
    if as_json:
        doubts = result.notes()  # a section's comparisons are made for who reads it
        for note in doubts:
            say_labelled(console, "Note:", note, style="yellow")
        write_json(result.to_json() | {"notes": [*notes, *doubts], "out": str(out)})
        return
    show_section(console, result.section())
    say(console, f"{what_was_read(result)} {_files(result, written)} are in {out}", soft_wrap=True)


def what_was_read(result: Result) -> str:
    """Say how many texts the model read for a result, and in what time."""
    passes, seconds = result.provenance["forward_passes"], result.provenance["seconds_reading"]
    if not passes:
        return "No forward pass: all of it had been read before."
    return f"{passes:,} texts read in {timedelta(seconds=round(seconds))}."


def _files(result: Result, out: Path) -> str:
    """Name what was written: tables, figures and documents, without the endings of files."""
    written = [Path(name) for name in result.extra_files() if (out / name).exists()]
    names = dict.fromkeys(path.stem if path.suffix in {".pdf", ".png"} else path.name for path in written)
    return ", ".join(["Scores", *result.details, *names])
