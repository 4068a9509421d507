"""What the command line says of itself: every command in one order and one voice, examples that work, misuse in one line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from shell import Shell, shell  # noqa: F401
from typer.main import get_command

from valens import __version__
from valens.cli import app
from valens.terminal.help import Group, examples_of, paragraphs
from valens.terminal.options import PANELS

WIDTH = 80
ROOT: Any = get_command(app)


def every_command(group: Any, ctx: Any) -> Iterator[tuple[Any, Any]]:
    yield group, ctx
    for name, command in group.commands.items():
        inner = command.context_class(command, info_name=name, parent=ctx, **command.context_settings)
        if hasattr(command, "commands"):
            yield from every_command(command, inner)
        else:
            yield command, inner


COMMANDS = list(every_command(ROOT, ROOT.context_class(ROOT, info_name="valens", **ROOT.context_settings)))
each_command = pytest.mark.parametrize(("command", "ctx"), COMMANDS, ids=[ctx.command_path for _, ctx in COMMANDS])
EXAMPLES = [example for command, _ in COMMANDS for example in examples_of(command)]


@each_command
def test_help_fits_a_narrow_terminal_and_leaves_no_line_of_the_list_broken(
    shell: Shell,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    command: Any,
    ctx: Any,
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    said = shell(*ctx.command_path.split()[1:], "--help")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    for example in examples_of(command):
        assert f"   {example}" in [line.rstrip() for line in lines]
    if isinstance(command, Group):
        shown = {line.split()[1] for line in lines if line.startswith("│ ")}
        assert set(command.commands) <= shown
        purposes = [paragraphs(inner.help)[0] for inner in command.commands.values()]
        assert all(any(purpose in line for line in lines) for purpose in purposes)


@each_command
def test_every_command_says_what_it_is_for_and_gives_an_example(command: Any, ctx: Any) -> None:
    first = paragraphs(command.help)[0]
    assert re.fullmatch(r"[A-Z][^.]*[.?]", first)
    assert examples_of(command)
    assert all(example.startswith(ctx.command_path) for example in examples_of(command))


@each_command
def test_options_come_by_panel_in_one_order_with_a_help_and_a_word_for_what_they_take(command: Any, ctx: Any) -> None:
    params = command.get_params(ctx)
    if not isinstance(command, Group):
        panels = [param.rich_help_panel for param in params if param.param_type_name == "option"]
        assert set(panels) <= set(PANELS)
        assert panels == sorted(panels, key=PANELS.index)
    for param in params:
        assert re.search(r"[.]$", param.help), param.name
        if param.param_type_name == "argument":
            assert param.metavar == param.metavar.upper()
        elif not param.is_flag:
            assert re.fullmatch("[A-Z]+", param.metavar), param.name
            assert param.get_default(ctx) is not None or isinstance(param.show_default, str) or param.required


def test_an_option_has_one_meaning_everywhere() -> None:
    """Only these may differ: a store is read or filled, --out may be a file, a task is no corpus, layers may be one set."""
    may_differ = {"--store", "--out", "--layers", "--limit", "--max-tokens", "--prefixes", "--seeds"}
    meanings: dict[str, set] = {}
    for command, ctx in COMMANDS:
        for param in command.get_params(ctx):
            if param.param_type_name == "option" and not isinstance(command, Group):
                meanings.setdefault(param.opts[0], set()).add((param.help, param.metavar, param.rich_help_panel))
    assert {name for name, meaning in meanings.items() if len(meaning) > 1} <= may_differ


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_parser_takes_every_example(example: str) -> None:
    """What each command then does with such words is tested where the command is."""
    words = shlex.split(re.split(" [<>] ", example)[0])
    assert words[0] == "valens"
    ctx, command, rest = COMMANDS[0][1], ROOT, words[1:]
    while hasattr(command, "commands"):
        name, *rest = rest
        command = command.commands[name]
        ctx = command.make_context(name, list(rest), parent=ctx)
    assert ctx.params


def test_an_example_that_needs_no_model_runs(shell: Shell) -> None:  # noqa: F811
    (example,) = [example for example in EXAMPLES if "transfer-layers" in example]
    assert shell(*example.split()[1:]).out.startswith("20,21,23,24\n")


def test_no_word_asks_for_help(shell: Shell) -> None:  # noqa: F811
    asked = shell("--help")
    assert shell() == shell("-h") == asked
    assert shell("store") == shell("store", "-h")
    for panel in ("Probe a model", "Use the layers", "Read and keep vectors", "Look at models, texts and results"):
        assert panel in asked.out
    assert shell("--version").out == f"valens {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("swep", "valens has no command 'swep'. Did you mean sweep-layers? `valens --help` lists them."),
        ("xyzzy", "valens has no command 'xyzzy'. `valens --help` lists them."),
        ("store veri", "valens store has no command 'veri'. Did you mean verify? `valens store --help` lists them."),
        ("--foo", "valens has no option --foo. `valens --help` lists them."),
        (
            "audit --modle x",
            "valens audit has no option --modle. Did you mean --model? `valens audit --help` lists them.",
        ),
        (
            "audit --model",
            "valens audit: Option '--model' requires an argument. `valens audit --help` says what it takes.",
        ),
        ("models --json=3", "valens models: Option '--json' does not take a value."),
        ("models foo", "valens models: Got unexpected extra argument"),
        ("extract", "valens extract needs TEXTS. A file of UTF-8 text, one text a line."),
        ("encode", "valens encode needs --layers. As 26,27,29-31, the layers.json of a sweep"),
        ("audit --max-tokens x", "--max-tokens cannot be 'x': it should be a valid integer. `valens audit --help`"),
        ("store drift k --sample 0", "--sample cannot be '0': it should be greater than or equal to 1."),
    ],
)
def test_a_wrong_command_line_is_one_line_that_says_what_to_do(shell: Shell, words: str, message: str) -> None:  # noqa: F811
    said = shell(*words.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"Error: {message}")
    assert "--help` " in said.err
