"""The rules of the house: who imports whom, how light `import valens` is, where layers are counted, what is checked."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeGuard

import jaxtyping
import pytest

from probes import catalogue

ROOT = Path(__file__).resolve().parents[1]

# From the ground up: a room is a folder of valens/ or a file beside these, and `probes/` is all of probes. A room imports
# only from rooms on lower floors, so there is no circle of rooms and no import upwards.
FLOORS = (
    {"errors", "progress"},
    {"files", "layers", "statistics", "tasks", "metrics"},
    {"corpora", "linear_probes", "plotting", "selectors", "model", "representations"},
    {"results", "store"},
    {"report", "extraction"},
    {"mteb"},
    {"suites", "evaluation"},
    {"terminal"},
    {"probes/"},
    {"commands", "testing", "probes"},
    {"__init__", "cli", "figures"},
    {"__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

HEAVY = {
    "numpy",
    "scipy",
    "torch",
    "transformers",
    "transformer_lens",
    "pandas",
    "matplotlib",
    "sklearn",
    "datasets",
    "mteb",
}

SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in ("valens", "probes", "figures")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def room_of(dotted: str) -> str:
    """`model` for valens.model.loading, `__init__` for valens itself, `probes/` for all of probes."""
    package, _, rest = dotted.partition(".")
    return f"{package}/" if package == "probes" else rest.split(".")[0] or "__init__"


def owner(source: str) -> str:
    """The room that a file belongs to."""
    package, *rest = source.removesuffix(".py").split("/")
    return {"probes": "probes/", "figures": "figures"}.get(package, rest[0])


def imported(tree: ast.AST) -> set[str]:
    """The modules of ours that a source imports anywhere in it: inside functions, for types alone, and by string."""
    dotted = list(named_in_strings(tree)) if "import_module" in names_used(tree) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module in {"valens", "probes"}:
            dotted += [f"{node.module}.{alias.name}" for alias in node.names if alias.name != "__version__"]
        elif isinstance(node, ast.ImportFrom):
            dotted.append(node.module or "")
    return {name for name in dotted if name.split(".")[0] in {"valens", "probes"}}


def names_used(tree: ast.AST) -> set[str]:
    """Every bare name and every attribute."""
    return {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}


def named_in_strings(tree: ast.AST) -> Iterator[str]:
    """Modules of ours that a string names, also where only its beginning is known: `f"probes.{name}.probe"`."""
    for text in strings_in(tree):
        match = re.match(r"(?:valens|probes)\.[\w.]*", text)
        if match:
            yield match[0]


@pytest.mark.parametrize("source", SOURCES)
def test_a_room_imports_only_from_floors_below(source: str) -> None:
    room = owner(source)
    assert room in FLOOR, f"{source} has no place in FLOORS (tests/test_house.py). Add {room!r} where it belongs."
    others = {room_of(name) for name in imported(SOURCES[source])} - {room}
    unknown = sorted(other for other in others if other not in FLOOR)
    assert not unknown, f"{source} imports {unknown}, which are in no room: name the module that defines it."
    wrong = sorted(other for other in others if FLOOR[other] >= FLOOR[room])
    assert not wrong, f"{source} imports {wrong}, which are not on a lower floor than {room!r} (tests/test_house.py)."


def test_every_room_is_there() -> None:
    assert {owner(source) for source in SOURCES} == set(FLOOR)


@pytest.mark.parametrize(
    "program",
    [
        "import importlib\nimportlib.import_module('valens.probes')",
        "from importlib import import_module\nimport_module(f'probes.{name}.probe')",
    ],
)
def test_an_import_by_string_is_an_import(program: str) -> None:
    assert {room_of(name) for name in imported(ast.parse(program))} & {"probes", "probes/"}


def test_files_do_not_import_each_other_in_a_circle() -> None:
    modules = {module_of(source): source for source in SOURCES}
    arrows = {
        module: {name for name in full_names(SOURCES[source], modules) if name != module}
        for module, source in modules.items()
        if not source.endswith("__init__.py") and source != "probes/catalogue.py"  # it names every probe, lazily
    }
    TopologicalSorter(arrows).prepare()  # raises CycleError with the circle in it


def module_of(source: str) -> str:
    return source.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def full_names(tree: ast.AST, modules: Collection[str]) -> Iterator[str]:
    """The files that a source imports, whichever way it is written; what an `__init__` hands on is not followed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name if name in modules else node.module for name in inside if {name, node.module} & set(modules)
            )


@pytest.mark.parametrize("source", SOURCES)
def test_fields_are_named_after_what_they_hold(source: str) -> None:
    classes = [node for node in ast.walk(SOURCES[source]) if isinstance(node, ast.ClassDef)]
    fields = {ast.unparse(line.target) for node in classes for line in node.body if isinstance(line, ast.AnnAssign)}
    assert not fields & {"found", "kept", "there", "made", "said", "drawn"}


PROBES = sorted(path.parent.name for path in (ROOT / "probes").glob("*/probe.py"))


def test_the_catalogue_has_every_probe() -> None:
    assert sorted(shipped.name for shipped in catalogue.PROBES) == PROBES


@pytest.mark.parametrize("probe", PROBES)
def test_no_probe_imports_another(probe: str) -> None:
    own = [source for source in SOURCES if source.startswith(f"probes/{probe}/")]
    others = {name.split(".")[1] for source in own for name in imported(SOURCES[source]) if name.startswith("probes.")}
    assert not others & (set(PROBES) - {probe})


@pytest.mark.parametrize("source", [source for source in SOURCES if source.startswith("valens/")])
def test_valens_knows_no_probe(source: str) -> None:
    """Outside probes/ no identifier is named after a probe; advice may name a command, in a string."""
    tree = SOURCES[source]
    words = names_used(tree) | {getattr(node, "name", "") or "" for node in ast.walk(tree)}
    words |= {name for dotted in imported(tree) for name in dotted.split(".")}
    camel = {"".join(part.capitalize() for part in probe.split("_")) for probe in PROBES}
    assert not {word for word in words for name in {*PROBES, *camel} if name in str(word)}


@pytest.mark.parametrize("module", ["valens", "valens.cli"])
def test_importing_it_is_light(module: str) -> None:
    """The command line too: its help and its completion wait for no library."""
    command = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    assert module in loaded
    assert not HEAVY.intersection(loaded)


@pytest.mark.parametrize("source", sorted(SOURCES.keys() - {"valens/layers/sites.py"}))
def test_layers_are_counted_in_one_place(source: str) -> None:
    """Only layers/sites.py turns a layer into a block, so no other file may write `layer + 1` or `layer - 1`."""
    counted = [node.lineno for node in ast.walk(SOURCES[source]) if is_layer_shifted_by_one(node)]
    assert not counted, f"{source} counts layers by itself in lines {counted}. Ask valens.layers.sites."


def test_how_layers_are_counted_is_said_in_one_place() -> None:
    said = [source for source, tree in SOURCES.items() if any("Count from 1" in text for text in strings_in(tree))]
    assert said == ["valens/layers/sites.py"]


def strings_in(tree: ast.AST) -> Iterator[str]:
    """Every text that a source writes out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_layer_shifted_by_one(node: ast.AST) -> TypeGuard[ast.BinOp]:
    """Whether a node is `layer + 1`, `1 + layer`, `site.layer - 1` or the like; `n_layers + 1` ends a range and may."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add | ast.Sub):
        return False
    one = any(isinstance(side, ast.Constant) and side.value == 1 for side in (node.left, node.right))
    names = {getattr(side, "id", getattr(side, "attr", "")) for side in (node.left, node.right)}
    return one and bool(names & {"layer", "l"})


@pytest.mark.parametrize("source", SOURCES)
def test_named_axes_are_checked(source: str) -> None:
    """An annotation whose names exist only for the type checker is skipped in silence, axes and all."""
    tree = SOURCES[source]
    kinds = {kind for kind in vars(jaxtyping) if kind[0].isupper()}
    shaped = [node for node in ast.walk(tree) if isinstance(node, ast.Subscript) and names_in(node.value) & kinds]
    unchecked = {name for node in shaped for name in names_in(node)} & imported_for_types_alone(tree)
    assert not unchecked, f"{source} imports {sorted(unchecked)} under TYPE_CHECKING and names axes with them."


def names_in(tree: ast.AST) -> set[str]:
    """Every bare name in an expression."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def imported_for_types_alone(tree: ast.AST) -> set[str]:
    """What a source imports under `if TYPE_CHECKING`."""
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    imports = [node for guard in guards for node in ast.walk(guard) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}


@pytest.mark.parametrize("reach", [("example.org", 80), ("192.0.2.1", 80)], ids=["name", "address"])
def test_the_guard_stops_what_would_leave_this_machine(reach: tuple[str, int]) -> None:
    with pytest.raises(pytest.fail.Exception, match="Tests need no network"):
        socket.create_connection(reach, timeout=1)
