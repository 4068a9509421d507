"""Tables for a terminal of 80 columns: what stands in a cell is the user's, and no part of it is read as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from valens.files.escaped_surrogates import escape_surrogates

if TYPE_CHECKING:
    import pandas as pd


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """Return a table of strings; the columns named in `right` are set to the right."""
    out = Table(box=None, pad_edge=False)
    for column in columns:
        least = min(len(column), 7)
        out.add_column(
            as_said(column), justify="right" if column in right else "left", overflow="fold", min_width=least
        )
    for row in rows:
        out.add_row(*map(as_said, row))
    return out


def pairs_table(pairs: Mapping[str, str]) -> Table:
    """Names and values, one a line."""
    out = Table(box=None, show_header=False)
    for name, value in pairs.items():
        out.add_row(as_said(name), as_said(value))
    return out


def differences_table(differences: pd.DataFrame) -> Table:
    """Return how far apart equal readings are: the largest difference over texts and layers, and its layer."""
    columns = ("comparison", "reading", "layer", "relative", "cosine gap")
    rows = [
        (row.comparison, row.reading, str(row.layer), f"{row.relative:.1e}", f"{row.cosine_gap:.1e}")
        for row in differences.itertuples()
    ]
    return plain_table(columns, rows, right=columns[2:])


def as_said(text: str, style: str = "") -> Text:
    """Return a cell that shows the text as it is: neither brackets nor `:smile:` mean anything in it."""
    return Text(escape_surrogates(text), style=style)
