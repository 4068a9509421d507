"""How every command shows its help: the same panels in the same order, flags without a type, examples that can be copied."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from valens.errors import UsageError
from valens.terminal.options import HELP, PANELS
from valens.terminal.usage_errors import did_you_mean, reading_for

HELP_NAMES = {"help_option_names": ["--help", "-h"]}
"""The settings of a Typer whose commands all answer to both."""


def examples(*lines: str) -> str:
    """Return the lines as an epilog, indented; `examples_of` reads them again."""
    return "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"[bold]  {line}[/bold]" for line in lines)])


def examples_of(command: Any) -> list[str]:
    """Return the example lines at the end of a command's help, each as a shell takes it."""
    return [Text.from_markup(line).plain.strip() for line in (command.epilog or "").splitlines()[1:]]


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a help text, each on one line, whatever the width of the source."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


class Command(TyperCommand):
    """A command of `valens`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the arguments, then the options by panel."""
        return sorted(map(_shown, super().get_params(ctx)), key=_place)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command line."""
        with reading_for(ctx):
            return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; the terminal breaks its lines, not the source."""
        self.help = "\n\n".join(paragraphs(self.help or ""))
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    """`valens`, and what in it has commands of its own; alone it shows its help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, `--help` among the others."""
        params = list(map(_shown, super().get_params(ctx)))
        for param in params:
            param.rich_help_panel = None
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command line; no word at all asks for help."""
        with reading_for(ctx):
            return super().parse_args(ctx, args or ([] if ctx.resilient_parsing else ["--help"]))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first word names; UsageError, with the nearest names, if there is none."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise UsageError(
                f"{ctx.command_path} has no command {args[0]!r}. {did_you_mean(args[0], self.commands)}"
                f"`{ctx.command_path} --help` lists them."
            )
        return super().resolve_command(ctx, args)


def _shown(param: Any) -> Any:
    """Return the option or argument, without what typer would add: `<bool>` to a flag, `<path>` to a name that says it."""
    if getattr(param, "is_flag", False) and param.metavar is None:
        param.metavar = ""
    if param.param_type_name == "argument":
        param.display_type_rich = _no_type
    if "--help" in param.opts:
        param.help, param.rich_help_panel = "Show this, and exit.", HELP
    return param


def _no_type(ctx: Any) -> str:  # noqa: ARG001 - typer gives it
    return ""


def _place(param: Any) -> int:
    panel = getattr(param, "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else -1
