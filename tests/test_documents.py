"""What README and docs say is true: code runs, commands are called as they stand, links lead somewhere.

Blocks of a document run in order, in one folder and one namespace, with stand-ins for the models that they name. What a
`text` block shows right after a `python` block must be what that block printed. Marked `text` is all that is no code.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import standins
from tiny import one_thread  # noqa: F401
from typer.main import get_command

from valens import cli
from valens.files.atomic import write_json
from valens.selectors import SELECTORS

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {"commands.md"}  # made from the command line itself, and tested by tests/test_command_reference.py
DOCUMENTS = [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in GENERATED)]
MOST_LINES = {"README.md": 120, "extending.md": 190}
WIDEST = 130

NOT_HERE = {
    "paper": "the ten data sets of the paper come from a hub",
    "mteb": "data sets of mteb's come from a hub",
    "longbench-v2": "it comes from a hub",
    "audit": "it loads the model four times",
}
"""Commands with these in them are only parsed, with every option and value that the parser can check; and why."""

PLANNED = {"sweep-layers", "segment-matching", "next-token", "logit-lens"}
"""Commands that are minutes of work: they run with --dry-run on twenty texts, which loads the model and plans, and stops."""

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    """The line of its fence, from 1."""
    follows: str
    """What stands between it and the block before."""


def blocks_of(path: Path) -> list[Block]:
    text, found, end = path.read_text(encoding="utf-8"), [], 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], match[2], line, text[end : match.start()].strip()))
        end = match.end()
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a reader has: the checkout's figures, what the demo and a sweep on a GPU leave, and texts of one's own."""
    (tmp_path / "figures").symlink_to(ROOT / "figures")
    shutil.copytree(ROOT / "figures/results/layer-sweep-smollm2-135m", tmp_path / "results/demo")
    elsewhere = {
        "model": {"name": "Qwen/Qwen3-8B", "n_layers": 36, "weights_hash": ""},
        "representations": {"VA": {"list": [30]}},
    }
    (tmp_path / "results/qwen3-8b").mkdir()
    write_json(tmp_path / "results/qwen3-8b/layers.json", elsewhere)
    (tmp_path / "texts.txt").write_text("A text a line.\nAnother text, and a longer one.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("valens.model.loading.load", standins.load)
    ours = dict(SELECTORS)
    yield tmp_path
    for name in SELECTORS.keys() - ours:
        del SELECTORS[name]


@each_document
def test_its_code_runs_and_prints_what_it_shows(path: Path, folder: Path) -> None:
    space: dict[str, Any] = {"__name__": "document"}
    printed = None
    for block in blocks_of(path):
        where = f"{path.name}:{block.line}"
        assert block.language in {"python", "bash", "text"}, f"{where}: mark what is no code `text`."
        if block.language == "python":
            printed = run_python(block, str(path), space)
        elif block.language == "bash":
            run_bash(block, where)
        elif printed is not None and not block.follows:
            assert shown_in(block.code, printed), f"{where} does not show what the code above it printed:\n{printed}"
        printed = printed if block.language == "python" else None


def run_python(block: Block, path: str, space: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile("\n" * block.line + block.code, path, "exec", dont_inherit=True), space)
    return out.getvalue()


def shown_in(expected: str, printed: str) -> bool:
    """Whether every part between lines of `⋮` stands in what was printed, in this order."""
    lines = [line.rstrip() for line in printed.splitlines()]
    at = 0
    for part in re.split(r"^ *⋮ *$", expected, flags=re.MULTILINE):
        wanted = [line.rstrip() for line in part.strip("\n").splitlines()]
        places = (start for start in range(at, len(lines) - len(wanted) + 1) if lines[start:][: len(wanted)] == wanted)
        found = next(places, None)
        if found is None:
            return False
        at = found + len(wanted)
    return "⋮" in expected or at == len(lines)


def run_bash(block: Block, where: str) -> None:
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), f"{where}: there is no `{line}`."
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), f"{where}: there is no {words[1]}."
        else:
            assert words[0] in {"valens", "pip"}, f"{where}: nobody here knows how to check `{line}`."
        if words[0] == "valens":
            call(words[1:], f"{where}: {line}")


def call(words: list[str], what: str) -> None:
    """Call a line of the shell's as far as it can be called here."""
    words, source = without_redirect(words, "<")
    words, target = without_redirect(words, ">")
    parse(words)
    if NOT_HERE.keys() & set(re.split(r"[ :,@]", " ".join(words))):
        return
    words = [*words, "--dry-run", "--limit", "20"] if words[0] in PLANNED else words
    code, said = called(words, source, target)
    assert code == 0, f"{what}\n{said}"


def without_redirect(words: list[str], sign: str) -> tuple[list[str], str | None]:
    if sign not in words:
        return words, None
    place = words.index(sign)
    return words[:place] + words[place + 2 :], words[place + 1]


def parse(words: list[str]) -> None:
    """Raise what the command line's own parser raises for a command or an option that there is not."""
    command, rest = get_command(cli.app), list(words)
    while hasattr(command, "commands"):
        name = rest.pop(0)
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    command.make_context(command.name, rest)


def called(words: list[str], source: str | None, target: str | None) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as files:
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        out = files.enter_context(Path(target).open("wb")) if target else None
        patch.setattr(sys, "argv", ["valens", *words])
        patch.setattr(sys, "stdin", files.enter_context(Path(source or "texts.txt").open(encoding="utf-8")))
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8") if out else said)
        patch.setattr(sys, "stderr", said)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said.flush()
        return int(ended.value.code or 0), said.buffer.getvalue().decode()


# --- what surrounds the code ------------------------------------------------------------------------------------------


@each_document
def test_its_links_lead_somewhere(path: Path) -> None:
    """To a file in the repository, and to a heading in it where one is named."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name} links to {target}, which is not there."
        assert file.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(file), (
            f"{path.name} links to {target}#{anchor}; there is no such heading."
        )


def anchors(path: Path) -> Iterator[str]:
    """The headings of a document, as a code-hosting page names them."""
    for heading in re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@each_document
def test_it_is_short_and_narrow(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES.get(path.name, 155)
    wide = [number for number, line in enumerate(lines, 1) if len(line) > WIDEST and not line.startswith("|")]
    assert not wide, f"{path.name} has lines of more than {WIDEST} characters: {wide}"


def test_the_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in DOCUMENTS:
        for target in set(re.findall(r"`make ([\w-]+)`", path.read_text(encoding="utf-8"))):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"{path.name}: make {target}"


@pytest.mark.parametrize(
    ("code", "shown", "right"),
    [
        ("print(1)\nprint(2)", "1\n2\n", True),
        ("print(1)\nprint(2)", "1\n", False),
        ("print(1)\nprint(2)\nprint(3)", "1\n ⋮\n3\n", True),
        ("print(1)\nprint(2)", "2\n⋮\n1\n", False),
    ],
)
def test_what_is_shown_is_compared_with_what_is_printed(code: str, shown: str, right: bool) -> None:
    assert shown_in(shown, run_python(Block("python", code, 1, ""), "x.md", {})) is right


@pytest.mark.parametrize("line", ["sweep-layer", "sweep-layers --suit builtin", "store lst", "encode"])
def test_a_command_that_there_is_not_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"no command|[Nn]o such option|Missing parameter"):
        parse(line.split())
