"""Which kinds of result have a page of their own making; all others have their tables."""

from __future__ import annotations

import importlib

from valens.errors import ResultError
from valens.report.section import Picture, Section
from valens.report.views import view
from valens.results.result import Result

KINDS = {
    "layer-sweep": "probes.layer_sweep.page",
    "segment-matching": "probes.segment_matching.page",
    "next-token": "probes.next_token.page",
    "logit-lens": "probes.logit_lens.page",
}
"""The module whose `section` makes a section of a result of this kind."""

_OPEN, _MOST = 100, 2000
"""Tables with more rows are folded, and left to their files, where nothing is known of them."""


def section_of(found: Result) -> Section:
    """What a page says of a result; of a kind that is not in KINDS, its tables, and its figure if it can draw one.

    ResultError for a table that lacks what its kind has.
    """
    if found.kind not in KINDS:
        return _plainly(found)
    module = importlib.import_module(KINDS[found.kind])
    try:
        return module.section(found)
    except (KeyError, AttributeError, IndexError) as error:
        raise ResultError(
            f"This result of {found.kind} lacks what such a result has ({error!r}). Run the probe again."
        ) from error


def _plainly(found: Result) -> Section:
    tables = tuple(
        view(table, name.capitalize(), folded=len(table) > _OPEN, filtered=True)
        for name, table in {"scores": found.table, **found.details}.items()
        if len(table) <= _MOST
    )
    return Section(found.kind.replace("-", " ").capitalize(), pictures=_drawn(found), tables=tables)


def _drawn(found: Result) -> tuple[Picture, ...]:
    """The figure that a user-defined result kind draws, if it does."""
    try:
        figure = found.plot()
    except ResultError:
        return ()
    return (Picture(lambda: figure, f"The figure of this {found.kind}."),)
