"""`valens store …`: look into an activation store and look after it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.errors import StoreError
from valens.terminal import choices
from valens.terminal.console import say, say_labelled, write_json
from valens.terminal.help import Command, examples
from valens.terminal.options import CHOOSING, DEFAULT_STORE, INPUT, AsJson, Device, Seed, ShownStore

if TYPE_CHECKING:
    from valens.store.store import ActivationStore, Collection

app = typer.Typer(
    name="store",
    help="Look into an activation store, and look after it.",
    epilog=examples("valens store ls", "valens store verify --quarantine"),
)

Yes = Annotated[bool, typer.Option("--yes", help="Remove without asking.", rich_help_panel=CHOOSING)]
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="The collection's key, or as much of it as is unique.",
        autocompletion=choices.collections,
    ),
]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_CORRUPT = 1


@app.command("ls", cls=Command, epilog=examples("valens store ls --store activations"))
def ls(*, store: ShownStore = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """List the collections that it holds.

    Of each: model, readings, rows, size, and when it was last used.
    """
    from valens.store.maintenance import summary
    from valens.terminal.tables import plain_table

    summaries = [summary(collection) for collection in _existing(store).collections()]
    if as_json:
        write_json({"store": str(store), "collections": [asdict(one) for one in summaries]})
        return
    rows = [
        (one.key[:12], one.model, ", ".join(one.readings), f"{one.rows:,}", _bytes(one.bytes), one.used[:16])
        for one in summaries
    ]
    columns = ("key", "model", "readings", "rows", "size", "last used")
    say(Console(), plain_table(columns, rows, right=("rows", "size")))


@app.command("info", cls=Command, epilog=examples("valens store info 1f0c --store activations"))
def info(
    key: Key,
    *,
    store: ShownStore = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Say how one collection was read, and what is in it."""
    from valens.store.maintenance import flat, summary
    from valens.terminal.tables import pairs_table

    collection = _existing(store).find(key)
    facts = asdict(summary(collection)) | {"identity": collection.identity, "about": collection.about}
    if as_json:
        write_json(facts)
        return
    say(Console(), pairs_table({name: str(value) for name, value in flat(facts)}))


@app.command("verify", cls=Command, epilog=examples("valens store verify --store activations --quarantine"))
def verify(
    *,
    store: ShownStore = DEFAULT_STORE,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Set broken shards aside.", rich_help_panel=CHOOSING)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hash every shard, and name the broken ones.

    A shard is broken if a byte of it is changed, missing or too many. The exit code is 1 if there are any.
    """
    from valens.store.maintenance import verify as verify_store

    n_shards, broken = verify_store(_existing(store), quarantine=quarantine)
    if as_json:
        write_json(
            {"store": str(store), "shards": n_shards, "broken": [str(path) for path in broken], "set_aside": quarantine}
        )
    else:
        for path in broken:
            say(Console(), f"broken{', set aside' if quarantine else ''}: {path}", soft_wrap=True)
        say(Console(), f"{n_shards:,} shards, {len(broken):,} broken.")
    if broken:
        raise typer.Exit(_CORRUPT)


@app.command("merge", cls=Command, epilog=examples("valens store merge activations-node2 activations"))
def merge(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The store that is copied from; it stays as it is.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The store that gets what it lacks.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Copy into one store the shards of another that it lacks."""
    from valens.store.maintenance import merge as merge_stores
    from valens.store.store import ActivationStore

    copied = merge_stores(_existing(source), ActivationStore(target))
    if as_json:
        write_json({"source": str(source), "target": str(target), "copied": copied})
        return
    say(Console(), f"{copied:,} shards copied into {target}.")


@app.command("prune", cls=Command, epilog=examples("valens store prune --keep-bytes 20GB"))
def prune(
    *,
    keep_bytes: Annotated[
        str,
        typer.Option(metavar="SIZE", help="How large the store may stay, as 500MB or 20GB.", rich_help_panel=CHOOSING),
    ],
    store: ShownStore = DEFAULT_STORE,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove what was not used longest, until a size is met.

    Whole collections are removed, the least recently used first. It asks before it removes anything.
    """
    from valens.store.maintenance import prunable

    _remove(prunable(_existing(store), _parse_bytes(keep_bytes)), yes=yes, as_json=as_json)


@app.command("rm", cls=Command, epilog=examples("valens store rm 1f0c --yes"))
def rm(
    keys: Annotated[
        list[str],
        typer.Argument(
            metavar="KEYS", help="Keys, or as much of each as is unique.", autocompletion=choices.collections
        ),
    ],
    *,
    store: ShownStore = DEFAULT_STORE,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove collections.

    It asks before it removes anything.
    """
    activations = _existing(store)
    _remove([activations.find(key) for key in keys], yes=yes, as_json=as_json)


@app.command("diff", cls=Command, epilog=examples("valens store diff 1f0c 77ab"))
def diff(
    one: Key,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="Another's key.", autocompletion=choices.collections)],
    *,
    store: ShownStore = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Show what differs in how two collections were read.

    Line by line: model, weights, tokenizer, prompt, truncation, dtype, attention implementation and versions, as far as
    they differ.
    """
    from valens.store.maintenance import difference
    from valens.terminal.tables import plain_table

    activations = _existing(store)
    differs = difference(activations.find(one), activations.find(other))
    if as_json:
        write_json({name: list(values) for name, values in differs.items()})
        return
    rows = [(name, str(left), str(right)) for name, (left, right) in differs.items()]
    say(Console(), plain_table(("ingredient", one, other), rows) if rows else "They were read in the same way.")


@app.command("drift", cls=Command, epilog=examples("valens store drift 1f0c --sample 50"))
def drift(
    key: Key,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="An alias, hub name, local folder or GGUF file.",
            show_default="the collection's",
            autocompletion=choices.models,
            rich_help_panel=INPUT,
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many rows are read again.", rich_help_panel=CHOOSING)
    ] = 20,
    seed: Seed = 0,
    device: Device = "auto",
    store: ShownStore = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Read a sample again, and say how far it is from what is stored.

    The rows are drawn at random. The largest distances are shown by stream and layer, as `valens audit` shows them. Single
    tokens, and user-defined poolings, are passed over.
    """
    from valens.extraction.audit import drift as measure
    from valens.extraction.audit import not_read_again, summary
    from valens.model.loading import load
    from valens.results.tables import records
    from valens.terminal.tables import differences_table

    collection = _existing(store).find(key)
    loaded = load(
        model or str(collection.about.get("model")),
        device=device,
        dtype=str(collection.identity["dtype"]),
        attn_implementation=str(collection.identity["attn_implementation"]),
    )
    table = measure(collection, loaded, sample=sample, seed=seed)
    if as_json:
        facts = {"collection": collection.key, "rows": sample, "seed": seed}
        write_json(facts | {"differences": records(table), "not_read_again": not_read_again(collection)})
        return
    say(Console(), differences_table(summary(table)))
    for name in not_read_again(collection):
        say_labelled(Console(), "Note:", f"{name} was not read again.", style="yellow")


def _existing(path: Path) -> ActivationStore:
    from valens.store.store import ActivationStore

    if not path.exists():
        raise StoreError(f"There is no store at {path}. Give its folder with --store.")
    return ActivationStore(path)


def _remove(collections: list[Collection], *, yes: bool, as_json: bool) -> None:
    from valens.store.maintenance import remove, size

    freed = sum(map(size, collections))
    names = [f"{collection.key[:12]} ({collection.about.get('model')})" for collection in collections]
    if collections and not yes:
        typer.confirm(f"Remove {', '.join(names)}, {_bytes(freed)}?", abort=True, err=True)
    remove(collections)
    removed: dict[str, Any] = {"removed": [collection.key for collection in collections], "bytes": freed}
    if as_json:
        write_json(removed)
        return
    say(Console(), f"{len(names)} collections removed, {_bytes(freed)} freed.")


def _bytes(number: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:,.1f} {unit}"
    return f"{number} B"


def _parse_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if match is None:
        raise StoreError(f"{text!r} is not a valid size. Write it as 500MB, 20GB or a number of bytes.")
    return int(float(match[1]) * _UNITS[match[2]])
