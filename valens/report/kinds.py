"""Which kinds of result have a page of their own making; all others have their tables."""

from __future__ import annotations

import importlib
from typing import Any

from valens.errors import ResultError
from valens.report.told import Picture, Told
from valens.report.views import view

KINDS = {
    "layer-sweep": "valens.report.sweep",
    "segment-matching": "valens.report.matching",
    "next-token": "valens.report.next_token",
    "logit-lens": "valens.report.lens",
}
"""The module whose `tell` makes a section of a result of this kind."""


def tell(found: Any) -> Told:
    """What a page says of a result; of a kind that is not in KINDS, its tables, and its figure if it can draw one.

    ResultError for a table that lacks what its kind has.
    """
    if found.kind not in KINDS:
        return _plainly(found)
    module = importlib.import_module(KINDS[found.kind])
    try:
        return module.tell(found)
    except (KeyError, AttributeError, IndexError) as error:
        raise ResultError(
            f"This result of {found.kind} lacks what such a result has ({error!r}). Run the probe again."
        ) from error


def _plainly(found: Any) -> Told:
    tables = [view(found.table, "Scores", filtered=True)]
    return Told(found.kind.replace("-", " ").capitalize(), pictures=_drawn(found), tables=tuple(tables))


def _drawn(found: Any) -> tuple[Picture, ...]:
    """The figure that a result of one's own kind draws, if it does."""
    try:
        return (Picture(found.plot(), f"The figure of this {found.kind}."),)
    except ResultError:
        return ()
