"""Writes `commands.md` from the command line itself: `python docs/command_reference.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from valens.cli import app
from valens.terminal.help import examples_of, paragraphs

PAGE = Path(__file__).with_name("commands.md")

_OPENING = """\
# Commands

Each command says this of itself with `--help`. `valens --install-completion` teaches your shell (bash, zsh or fish) their
names, options and the words that options take; `valens --version` says which valens this is. What goes wrong in a way that
you can fix is one line on standard error, with exit code 2. `--json` prints one JSON object on standard output, and nothing
else there.
"""


def reference() -> str:
    """The page."""
    root = get_command(app)
    ctx = root.context_class(root, info_name="valens", **root.context_settings)
    parts = [_OPENING, *_contents(root)]
    for command, inner in _all_of(root, ctx):
        parts += list(_section(command, inner))
    return "\n".join(parts).rstrip() + "\n"


def _all_of(group: Any, ctx: Any) -> Iterator[tuple[Any, Any]]:
    """Every command with its context, a group before those in it, in the order of the help."""
    for command in _by_panel(group):
        inner = command.context_class(command, info_name=command.name, parent=ctx, **command.context_settings)
        yield command, inner
        if hasattr(command, "commands"):
            yield from _all_of(command, inner)


def _by_panel(group: Any) -> list[Any]:
    panels = list(dict.fromkeys(command.rich_help_panel for command in group.commands.values()))
    return sorted(group.commands.values(), key=lambda command: panels.index(command.rich_help_panel))


def _contents(root: Any) -> Iterator[str]:
    """What there is, by what one wants."""
    yield from ("| to … | command | what it does |", "|---|---|---|")
    told = None
    for command in _by_panel(root):
        panel = command.rich_help_panel
        wanted, told = ("" if panel == told else panel[:1].lower() + panel[1:]), panel
        yield f"| {wanted} | [`{command.name}`](#valens-{command.name}) | {paragraphs(command.help)[0]} |"
    yield ""


def _section(command: Any, ctx: Any) -> Iterator[str]:
    yield f"{'##' if ctx.parent.parent is None else '###'} valens {ctx.command_path.split(maxsplit=1)[1]}\n"
    for paragraph in paragraphs(command.help):
        yield f"{paragraph}\n"
    yield f"```text\n{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    params = [param for param in command.get_params(ctx) if "--help" not in param.opts]
    if params:
        yield from ("| option | what it means | default |", "|---|---|---|")
        yield from (_row(param, ctx) for param in params)
        yield ""
    lines = examples_of(command)
    if lines:
        yield "\n".join(["For example:\n", "```bash", *lines, "```\n"])


def _row(param: Any, ctx: Any) -> str:
    about = _cell(f"{param.help} Required." if param.required else param.help)
    return f"| {_spelt(param)} | {about} | {_default(param, ctx)} |"


def _spelt(param: Any) -> str:
    """An argument's name; an option's names, and what follows them."""
    if param.param_type_name == "argument":
        return f"`{param.metavar}`"
    value = f" {param.metavar}" if param.metavar else ""
    return " or ".join(f"`{name}{value}`" for name in (*param.opts, *param.secondary_opts))


def _default(param: Any, ctx: Any) -> str:
    """What is taken where the option is not given: a word, or in brackets-free prose where there is no such word."""
    value = param.get_default(ctx)
    if isinstance(param.show_default, str):
        return _cell(param.show_default)
    if param.secondary_opts:
        return f"`{(param.opts if value else param.secondary_opts)[0]}`"
    return "" if value is None or isinstance(value, bool) else f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is as the commands are.\n")
