"""The rules of the house: who imports whom, how light `import valens` is, where layers are counted, what is checked."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from pathlib import Path
from typing import TypeGuard

import jaxtyping
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Read as a text: a module imports only from those before it. `probes` stands for everything in probes/ and its re-export.
ORDER = """
errors
sites layers poolings wheels progress printable strict_json lens_scores showing wording seeds nearest
catalog fingerprints kernels
models
prompts representations chosen shards
capture ranks restricted lens
store upkeep checkpoints
manifest passages
extract tokenwise
overlap corpora segments continuations tasks contamination
metrics draws recall statistics crossfit softmax_probes dimension lexical embedding
mteb
builtin evaluation selectors
provenance results
contracts
audit
plotting
probes
report
commands
cli
__init__ __main__
"""
PLACE = {module: place for place, module in enumerate(ORDER.split())}

HEAVY = {"torch", "transformers", "transformer_lens", "pandas", "matplotlib", "sklearn", "datasets", "mteb"}

SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in ("valens", "probes")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def module_of(dotted: str) -> str:
    """`capture` for valens.extraction.capture, `__init__` for valens itself, `probes` for all of probes."""
    package, _, rest = dotted.partition(".")
    return "probes" if package == "probes" else rest.split(".")[0] or "__init__"


def imported(tree: ast.AST) -> set[str]:
    """The modules of ours that a source imports anywhere in it, inside functions too (ruff bans relative imports)."""
    dotted = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "valens":
            dotted += [f"valens.{alias.name}" for alias in node.names if alias.name != "__version__"]
        elif isinstance(node, ast.ImportFrom):
            dotted.append(node.module or "")
    return {module_of(name) for name in dotted if name.split(".")[0] in {"valens", "probes"}}


def owner(source: str) -> str:
    """The module that a file belongs to: a folder inside valens is one module."""
    package, *rest = source.removesuffix(".py").split("/")
    return "probes" if package == "probes" else rest[0]


@pytest.mark.parametrize("source", SOURCES)
def test_each_module_imports_only_from_those_before_it(source: str) -> None:
    module = owner(source)
    assert module in PLACE, f"{source} has no place in ORDER (tests/test_house.py). Add {module!r} where it belongs."
    others = imported(SOURCES[source]) - {module}
    unknown = sorted(other for other in others if other not in PLACE)
    assert not unknown, f"{source} imports {unknown} from valens: name the module that defines it, or add it to ORDER."
    wrong = sorted(other for other in others if PLACE[other] >= PLACE[module])
    assert not wrong, f"{source} imports {wrong}, which do not come before {module!r} in ORDER (tests/test_house.py)."


def test_importing_valens_is_light() -> None:
    command = [sys.executable, "-c", "import sys, valens; print(*sys.modules)"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    assert "valens" in loaded
    assert not HEAVY.intersection(loaded)


@pytest.mark.parametrize("source", sorted(SOURCES.keys() - {"valens/sites.py"}))
def test_layers_are_counted_in_one_place(source: str) -> None:
    """Only sites.py turns a layer into a block, so no other file may write `layer + 1` or `layer - 1`."""
    counted = [node.lineno for node in ast.walk(SOURCES[source]) if is_layer_shifted_by_one(node)]
    assert not counted, f"{source} counts layers by itself in lines {counted}. Ask valens.layers.sites."


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
