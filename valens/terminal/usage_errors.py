"""What is wrong with a command line, said as all our errors are: what is wrong, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from valens.errors import nearest

Misuse: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of all that typer raises for a command line it cannot read; typer exports this one kind alone."""


@contextmanager
def reading_for(ctx: Any) -> Iterator[None]:
    """Note in a `Misuse` whose words were read; typer leaves that out of some."""
    try:
        yield
    except Misuse as error:
        if getattr(error, "ctx", None) is None:
            error.ctx = ctx  # type: ignore[attr-defined]
        raise


def usage_message(error: Any) -> str:
    """Return a `Misuse` in one line."""
    ctx, param = error.ctx, getattr(error, "param", None)
    path = ctx.command_path
    ask = f"`{path} --help` says what it takes."
    if hasattr(error, "possibilities"):
        known = [name for one in ctx.command.get_params(ctx) for name in (*one.opts, *one.secondary_opts)]
        near = did_you_mean(error.option_name, [name for name in known if name.startswith("--")])
        return f"{path} has no option {error.option_name}. {near}`{path} --help` lists them."
    if param is None:
        return f"{path}: {_sentence(error.format_message())} {ask}"
    if hasattr(error, "param_type"):
        return f"{path} needs {_name(param)}. {param.help} {ask}"
    return f"{_name(param)} cannot be {_found(error)}: {_sentence(_plainer(error.message))} {ask}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence with the names nearest to a word, and the space after it; empty if none is near."""
    names = {name.lstrip("-"): name for name in known}
    bare = word.lstrip("-")
    near = [name for name in names if bare and name.startswith(bare)] or nearest(bare, names, n=2, cutoff=0.5)
    return f"Did you mean {' or '.join(names[name] for name in near)}? " if near else ""


def _name(param: Any) -> str:
    return param.opts[0] if param.param_type_name == "option" else param.metavar or param.name.upper()


def _found(error: Any) -> str:
    """Return the value that was refused, if the library that checked it tells."""
    tell = getattr(error.__cause__, "errors", None)
    return repr(tell()[0]["input"]) if tell is not None else "that"


def _plainer(message: str) -> str:
    return message.replace("Input should", "it should").partition(", unable to parse")[0]


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."
