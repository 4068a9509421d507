"""`valens store …`: look into an activation store and look after it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from valens.commands.options import DEFAULT_STORE, AsJson, Device, StorePath
from valens.errors import StoreError
from valens.terminal import say, write_json

if TYPE_CHECKING:
    from valens.store import ActivationStore, Collection

app = typer.Typer(name="store", help="Look into an activation store, and look after it.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Remove without asking.")]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_CORRUPT = 1


@app.command("ls", epilog="Example: valens store ls --store activations")
def ls(store: StorePath = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """List the collections: model, readings, rows, size, and when each was last used."""
    from valens.display import plain_table
    from valens.upkeep import summary

    found = [summary(collection) for collection in _existing(store).collections()]
    if as_json:
        write_json({"store": str(store), "collections": [asdict(one) for one in found]})
        return
    rows = [
        (one.key[:12], one.model, ", ".join(one.readings), f"{one.rows:,}", _bytes(one.bytes), one.used[:16])
        for one in found
    ]
    columns = ("key", "model", "readings", "rows", "size", "last used")
    say(Console(), plain_table(columns, rows, right=("rows", "size")))


@app.command("info", epilog="Example: valens store info 1f0c --store activations")
def info(
    key: Annotated[str, typer.Argument(help="The collection's key, or as much of it as is unique.")],
    store: StorePath = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Say all about one collection: how it was read, and what is in it."""
    from valens.display import pairs_table
    from valens.upkeep import flat, summary

    collection = _existing(store).find(key)
    found = asdict(summary(collection)) | {"identity": collection.identity, "about": collection.about}
    if as_json:
        write_json(found)
        return
    say(Console(), pairs_table({name: str(value) for name, value in flat(found)}))


@app.command("verify", epilog="Example: valens store verify --store activations --quarantine")
def verify(
    store: StorePath = DEFAULT_STORE,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Set broken shards aside.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hash every shard, and name those with a changed, missing or extra byte; exit code 1 if there are any."""
    from valens.upkeep import verify as verify_store

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


@app.command("merge", epilog="Example: valens store merge activations-node2 activations")
def merge(
    source: Annotated[Path, typer.Argument(help="The store that is copied from; it stays as it is.")],
    target: Annotated[Path, typer.Argument(help="The store that gets what it lacks.")],
    as_json: AsJson = False,
) -> None:
    """Copy into TARGET every shard of SOURCE that it lacks."""
    from valens.store import ActivationStore
    from valens.upkeep import merge as merge_stores

    copied = merge_stores(_existing(source), ActivationStore(target))
    if as_json:
        write_json({"source": str(source), "target": str(target), "copied": copied})
        return
    say(Console(), f"{copied:,} shards copied into {target}.")


@app.command("prune", epilog="Example: valens store prune --keep-bytes 20GB")
def prune(
    keep_bytes: Annotated[str, typer.Option(help="How large the store may stay, as 500MB or 20GB.")],
    store: StorePath = DEFAULT_STORE,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Drop the least recently used collections until the store is small enough."""
    from valens.upkeep import prunable

    _remove(prunable(_existing(store), _parse_bytes(keep_bytes)), yes=yes, as_json=as_json)


@app.command("rm", epilog="Example: valens store rm 1f0c --yes")
def rm(
    keys: Annotated[list[str], typer.Argument(help="Keys, or as much of each as is unique.")],
    store: StorePath = DEFAULT_STORE,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove collections."""
    found = _existing(store)
    _remove([found.find(key) for key in keys], yes=yes, as_json=as_json)


@app.command("diff", epilog="Example: valens store diff 1f0c 77ab")
def diff(
    one: Annotated[str, typer.Argument(help="A collection's key, or as much of it as is unique.")],
    other: Annotated[str, typer.Argument(help="Another's.")],
    store: StorePath = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Show what differs in how two collections were read."""
    from valens.display import plain_table
    from valens.upkeep import difference

    found = _existing(store)
    differs = difference(found.find(one), found.find(other))
    if as_json:
        write_json({name: list(values) for name, values in differs.items()})
        return
    rows = [(name, str(left), str(right)) for name, (left, right) in differs.items()]
    say(Console(), plain_table(("ingredient", one, other), rows) if rows else "They were read in the same way.")


@app.command("drift", epilog="Example: valens store drift 1f0c --sample 50")
def drift(
    key: Annotated[str, typer.Argument(help="The collection's key, or as much of it as is unique.")],
    model: Annotated[str | None, typer.Option(help="The model (default: the name that the collection notes).")] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many rows are read again.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 0,
    device: Device = "auto",
    store: StorePath = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Read a random sample of stored rows again, and say how far they are from what is stored."""
    from valens.audit import drift as measure
    from valens.audit import summary
    from valens.display import gaps_table
    from valens.models import load
    from valens.results import records

    collection = _existing(store).find(key)
    loaded = load(
        model or str(collection.about.get("model")),
        device=device,
        dtype=str(collection.identity["dtype"]),
        kernel=str(collection.identity["kernel"]),
    )
    table = measure(collection, loaded, sample=sample, seed=seed)
    if as_json:
        write_json({"collection": collection.key, "rows": sample, "seed": seed, "gaps": records(table)})
        return
    say(Console(), gaps_table(summary(table)))


def _existing(path: Path) -> ActivationStore:
    from valens.store import ActivationStore

    if not path.exists():
        raise StoreError(f"There is no store at {path}. Give its folder with --store.")
    return ActivationStore(path)


def _remove(collections: list[Collection], *, yes: bool, as_json: bool) -> None:
    from valens.upkeep import remove, size

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
        raise StoreError(f"{text!r} is no size. Write it as 500MB, 20GB or a number of bytes.")
    return int(float(match[1]) * _UNITS[match[2]])
