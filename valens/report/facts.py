"""Provenance as a page shows it: the line under a title, the command, and everything else as names and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NO_COMMAND = "Run from Python: no command was typed."


@dataclass(frozen=True)
class Fact:
    """A name with its value, or with further facts below it."""

    name: str
    value: str = ""
    parts: tuple[Fact, ...] = ()


def facts_of(provenance: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Everything that was recorded, in the order in which it was."""
    return tuple(_fact(str(name), value) for name, value in provenance.items())


def command_of(provenance: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the command that made a result, and whether there was one; otherwise what is said instead."""
    command = provenance.get("command")
    return (str(command), True) if command else (_NO_COMMAND, False)


def model_of(provenance: Mapping[str, Any]) -> str:
    """Return the model's name, empty where none is recorded."""
    return _named(provenance.get("model"), "model")


def texts_of(provenance: Mapping[str, Any]) -> str:
    """Return the name of the corpus or suite, empty where none is recorded."""
    return _named(provenance.get("corpus"), "name") or _named(provenance.get("suite"), "name")


def made_with(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """When and with which valens: what the line under a title says."""
    date, version, commit = (provenance.get(name) for name in ("date", "valens", "commit"))
    parts = [str(date).partition("T")[0] if date else "", f"valens {version}" if version else ""]
    parts.append(f"commit {str(commit)[:10]}" if commit else "")
    return tuple(part for part in parts if part)


def _named(value: Any, key: str) -> str:
    if isinstance(value, Mapping):
        value = value.get(key)
    return str(value) if isinstance(value, str) else ""


def _fact(name: str, value: Any) -> Fact:
    if isinstance(value, Mapping) and value:
        return Fact(name, parts=facts_of(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(one, Mapping) for one in value):
            return Fact(name, parts=tuple(_fact(str(place), one) for place, one in enumerate(value)))
        return Fact(name, ", ".join(map(_text, value)) or "none")
    return Fact(name, _text(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, {}, "") else str(value)
