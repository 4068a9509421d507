"""The kinds of results that shipped probes have, known before any of their classes is loaded."""

from __future__ import annotations

_MODULES: dict[str, str] = {}


def reserve(kind: str, module: str) -> None:
    """Let nobody but a class of this module name a kind."""
    _MODULES[kind] = module


def module_of(kind: str) -> str | None:
    """Return the module whose class has a kind; None where the kind is nobody's."""
    return _MODULES.get(kind)
