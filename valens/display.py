"""Tables for a terminal, from results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from valens.selectors import Choice

if TYPE_CHECKING:
    from rich.table import Table

_SETS = {"chosen": "chosen set", "best": "best single", "half": "deep half", "all": "all layers"}


def sweep_table(table: pd.DataFrame, sets: pd.DataFrame, representation: str, choice: Choice, baseline: str) -> Table:
    """One representation's scores: layers down, task types across; the best of each column is marked `*`.

    Below the layers stand the averaged embeddings over the layer sets, and the lexical baseline.
    """
    from rich.table import Table

    layers = _wide(table[table.representation == representation], "layer")
    out = Table(title=f"{representation}: score by layer (* best; > in the chosen set)", title_justify="left", box=None)
    out.add_column("layer", justify="right", no_wrap=True)
    for task_type in layers.columns:
        out.add_column(str(task_type), justify="right")
    best = layers.idxmax()
    for layer, row in layers.iterrows():
        chosen = layer in choice.layers
        cells = [_marked(row[name], best=best[name] == layer) for name in layers.columns]
        out.add_row(f"{'> ' if chosen else ''}{layer}", *cells, style="bold" if chosen else None)
    out.add_section()
    averaged = _wide(sets[sets.representation == representation], "set")
    names = sets[sets.representation == representation].drop_duplicates("set").set_index("set").layers
    for name, label in _SETS.items():
        out.add_row(f"{label} ({names[name]})", *[f"{averaged.loc[name, column]:.3f} " for column in layers.columns])
    words = table[table.representation == baseline].groupby("task_type").score.mean()
    out.add_row(f"{baseline} (words)", *[f"{words[column]:.3f} " for column in layers.columns], style="dim")
    return out


def reasons(choice: Choice) -> list[str]:
    """A line for every chosen layer that says why it is in, and one for how many are out."""
    inside = [f"  {layer}: {choice.reasons[layer]}" for layer in choice.layers if layer in choice.reasons]
    n_outside = len(set(choice.reasons) - set(choice.layers))
    return [*inside, f"  {n_outside} other layers are out; layers.json says why for each."] if n_outside else inside


def comparison(gaps: pd.DataFrame, representation: str) -> list[str]:
    """How the chosen set compares with each other set on average, with the paired interval."""
    rows = gaps[(gaps.representation == representation) & (gaps.task_type == "average")]
    return [
        f"  chosen − {_SETS[row.against]}: {row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}], mean over task types"
        for row in rows.itertuples()
        if not row.difference == row.low == row.high
    ]


def pairs_table(pairs: Mapping[str, str]) -> Table:
    """Names and values, one a line."""
    from rich.table import Table

    out = Table(box=None, show_header=False)
    for name, value in pairs.items():
        out.add_row(name, value)
    return out


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """A table of strings; the columns named in `right` are set to the right."""
    from rich.table import Table

    out = Table(box=None)
    for column in columns:
        out.add_column(
            column, justify="right" if column in right else "left", overflow="fold", min_width=min(len(column), 7)
        )
    for row in rows:
        out.add_row(*row)
    return out


def _wide(table: pd.DataFrame, index: str) -> pd.DataFrame:
    """Mean score with task types across, in the order in which they first appear."""
    types = list(dict.fromkeys(table.task_type))
    return table.pivot_table(index=index, columns="task_type", values="score", aggfunc="mean", dropna=False)[types]


def _marked(score: float, *, best: bool) -> str:
    return f"[bold]{score:.3f}*[/bold]" if best else f"{score:.3f} "
