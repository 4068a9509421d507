"""What a page says of a logit lens."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from valens.report.section import Section, at_layers, pictured
from valens.report.views import View, number, probability, view, with_interval

from valens.probes import LogitLensResult

_NORMS = {True: "with the final norm", False: "without the final norm"}


def section(found: LogitLensResult) -> Section:
    """A logit lens: which vector ranks the tokens behind a prefix highest, offset by offset."""
    names = ", ".join(dict.fromkeys(found.table.representation))
    captions = {
        "figure8": f"MRR@100 of the true token by its offset from the prefix, for {names}, with 95 % bands. Lines: the "
        "layer was chosen on documents that are not scored; circles: the maximum over layers, which flatters.",
        "figure8-layers": "MRR@100 by layer, one panel an offset and setting of the final norm.",
        "figure8-map": "MRR@100 as a map of layer and offset, brighter is higher; the bar has the scale.",
    }
    pictures = pictured(found.figures(), captions)
    tables = (
        _by_offset(found),
        view(found.differences, "Differences, paired by document", folded=True, filtered=True),
        view(found.table, "All scores by layer", folded=True, filtered=True),
    )
    question = "What can be read of the tokens behind the next one?"
    return Section("Logit lens", question, tuple(_findings(found)), pictures, (), tables)


def _findings(found: LogitLensResult) -> Iterator[str]:
    best = found.best()
    for offset in sorted(set(best.offset)):
        here = best[best.offset == offset]
        top = here.loc[here.score.idxmax()]
        score = with_interval(top.score, top.low, top.high)
        yield (
            f"Offset {offset}: {top.representation} is highest, MRR@100 is {score} "
            f"({at_layers(str(top.layers))}, {_NORMS[bool(top.norm)]}). {_first_pair(found.differences, offset)}"
        )
    yield "A line’s layer was chosen on one half of the documents and scored on the other, both ways."


def _first_pair(differences: pd.DataFrame, offset: int) -> str:
    """How far the first two representations are apart, paired, with the final norm where it was measured."""
    rows = differences[differences.offset == offset].sort_values("norm", ascending=False, kind="stable")
    if rows.empty:
        return ""
    row = rows.iloc[0]
    gap = with_interval(row.difference, row.low, row.high, signed=True)
    return f"{row['first']} − {row['second']} is {gap}, {probability(row.p_holm)} (Holm, over the offsets)."


def _by_offset(found: LogitLensResult) -> View:
    """One row a representation and norm, one column an offset."""
    best = found.best()
    columns: dict[str, pd.Series] = {}
    for offset in sorted(set(best.offset)):
        part = best[best.offset == offset].set_index(["representation", "norm"])
        name = f"offset {offset}"
        columns |= {name: part.score, f"{name}_low": part.low, f"{name}_high": part.high}
    order = list(dict.fromkeys(zip(best.representation, best.norm, strict=True)))
    table = pd.DataFrame(columns).loc[order].reset_index().rename(columns={"norm": "final norm"})
    n = number(int(best.n.max()))
    return view(table, "MRR@100 by offset", note=f"Mean over {n} documents, with 95 % intervals.", filtered=True)
