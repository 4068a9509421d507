"""What `valens logit-lens` says of a result: a table by offset, and who wins at which offset in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from valens.probes import UNIGRAM, LogitLensResult
from valens.results.formatting import LEVEL, at_layers, with_interval
from valens.terminal.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

_TOLD = (("VA", "LHS"), ("VA", "WHS"), ("VA-uniform", "LHS"), ("VA-sum", "LHS"), ("VA", UNIGRAM), ("VA-sum", UNIGRAM))
"""The pairs that are put into words, with the final norm."""


def best_table(found: LogitLensResult) -> Table:
    """Each representation's best layer by offset; the highest of each offset has a `*`."""
    best = found.best()
    offsets = sorted(set(best.offset))
    top = best.groupby("offset").score.max()
    columns = ["", "final norm", *[f"offset {offset}" for offset in offsets]]
    rows = []
    for (name, norm), part in best.groupby(["representation", "norm"], sort=False):
        scores = part.set_index("offset").score
        cells = [f"{scores[offset]:.3f}{'*' if scores[offset] == top[offset] else ' '}" for offset in offsets]
        rows.append([str(name), "–" if name == UNIGRAM else "yes" if norm else "no", *cells])
    return plain_table(columns, rows, right=columns[2:])


def words(found: LogitLensResult) -> Iterator[str]:
    """For each offset who is highest, what token frequencies alone reach, and how far the paper's lines are apart."""
    best, differences = found.best(), found.differences
    for offset in sorted(set(best.offset)):
        here = best[best.offset == offset]
        lines = here[here.representation != UNIGRAM]
        leader, frequent = lines.loc[lines.score.idxmax()], here[here.representation == UNIGRAM].iloc[0]
        setting = "with" if leader.norm else "without"
        yield (
            f"offset {offset}: {leader.representation} is highest, {with_interval(leader.score, leader.low, leader.high)} "
            f"({at_layers(leader.layers)}, {setting} the final norm); token frequencies alone reach {frequent.score:.3f}"
        )
        pairs = differences[(differences.offset == offset) & differences.norm]
        for first, second in _TOLD:
            row = pairs[(pairs["first"] == first) & (pairs["second"] == second)].iloc[0]
            yield f"  {_verdict(row)}"


def _verdict(row: Any) -> str:
    gap = with_interval(row.difference, row.low, row.high, signed=True)
    if not row.p_holm < LEVEL:
        return f"{row['first']} and {row['second']} cannot be told apart: {gap}"
    return f"{row['first']} is {'ahead of' if row.difference > 0 else 'behind'} {row['second']}: {gap}"
