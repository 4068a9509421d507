"""What a logit lens says: offset by offset, which vector ranks the true token highest, and who is ahead of whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from probes.logit_lens.names import METRIC, UNIGRAM
from valens.results.formatting import LEVEL, at_layers, disagreement, number, probability, with_interval
from valens.results.section import Figures, Section, near_duplicates_said, pictures_of
from valens.results.views import Cell, View, view

QUESTION = "What can be read of the tokens after the next one?"

_VERDICTS = _AHEAD, _BEHIND, _NOT_APART = ("ahead", "behind", "not told apart")
_NORMS = {True: "with the final norm", False: "without the final norm"}


if TYPE_CHECKING:

    class Lens(Protocol):
        """What is asked of a result of a logit lens."""

        @property
        def table(self) -> pd.DataFrame: ...  # noqa: D102
        @property
        def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102
        @property
        def differences(self) -> pd.DataFrame: ...  # noqa: D102
        def best(self) -> pd.DataFrame: ...  # noqa: D102
        def notes(self) -> tuple[str, ...]: ...  # noqa: D102
        def figures(self) -> Figures: ...  # noqa: D102


def section_of(result: Lens) -> Section:
    """Put a logit lens into words, figures and tables."""
    names = ", ".join(dict.fromkeys(result.table.representation))
    captions = {
        "figure8": f"{METRIC} of the true token by its offset from the prefix, for {names}, with 95 % bands. Lines: the "
        "layer was chosen on documents that are not scored; circles: the maximum over layers, which flatters.",
        "figure8-layers": f"{METRIC} by layer, one panel an offset and setting of the final norm.",
        "figure8-map": f"{METRIC} as a map of layer and offset, brighter is higher; the bar has the scale.",
    }
    return Section(
        "Logit lens",
        QUESTION,
        about=tuple(_about(result.provenance)),
        notes=result.notes(),
        findings=(*_highest(result), *_compared(result.differences)),
        pictures=pictures_of(result.figures(), captions),
        tables=(
            _by_offset(result),
            view(result.differences, "Differences, paired by document", folded=True, filtered=True),
            view(result.table, "All scores by layer", folded=True, filtered=True),
        ),
    )


def score_lines(result: Lens) -> dict[str, str]:
    """Return what each line scores at the first and the last offset, with the final norm where it was measured."""
    best = result.best().sort_values(["norm", "offset"], kind="stable")
    lines = {"scores": f"{METRIC} with the final norm, layers chosen on the documents that are not scored"}
    for name, rows in best.groupby("representation", sort=False, observed=True):
        line = rows[rows.norm == rows.norm.max()]
        ends = line.iloc[[0, -1]].drop_duplicates("offset")[["offset", "score", "low", "high"]]
        lines[str(name)] = "; ".join(
            f"offset {offset}: {with_interval(*score)}" for offset, *score in ends.itertuples(index=False)
        )
    return lines


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    counts = facts["documents"]
    shortest, longest = facts["prefix_tokens"]
    yield (
        f"{facts['instances']:,} prefixes of {shortest} to {longest} tokens of {counts['used']:,} texts of "
        f"{facts['corpus']['name']}, {facts['model']['model']}, seed {facts['seed']}. Left out: {counts['too_short']:,} too "
        f"short, {counts['repeated']:,} repeated."
    )
    yield from near_duplicates_said(facts["corpus"])


def _highest(result: Lens) -> Iterator[str]:
    """Say for each offset which line is highest, and what frequencies alone reach."""
    for offset, here in result.best().groupby("offset"):
        lines = here[here.representation != UNIGRAM]
        top, frequent = lines.loc[lines.score.idxmax()], here[here.representation == UNIGRAM]
        alone = f"; token frequencies alone reach {number(frequent.score.iloc[0])}" if len(frequent) else ""
        score = with_interval(top.score, top.low, top.high)
        yield (
            f"Offset {offset}: of all vectors {top.representation} is highest, {score} "
            f"({at_layers(str(top.layers))}, {_NORMS[bool(top.norm)]}){alone}."
        )


def _compared(differences: pd.DataFrame) -> Iterator[str]:
    """Say of each pair, with the final norm, who is ahead at which offset."""
    normed = differences[differences.norm]
    for (first, second), rows in normed.groupby(["first", "second"], sort=False, observed=True):
        yield f"{first} against {second}: {'; '.join(_verdicts(list(rows.itertuples())))}."
    yield (
        "Differences are paired by document, with the final norm; ahead and behind are p < "
        f"{LEVEL} after Holm’s correction over the offsets, and each 95 % interval stands by itself. Both count the choice "
        "of layers, which is made anew in every resample of the documents."
    )


def _verdicts(rows: Sequence[Any]) -> Iterator[str]:
    """Say where the corrected test decides, where it and the interval by itself disagree, and where neither decides."""
    by_verdict: dict[str, list[Any]] = {verdict: [] for verdict in _VERDICTS}
    for row in rows:
        by_verdict.setdefault(_verdict(row, tests=len(rows)), []).append(row)
    for verdict, group in by_verdict.items():
        if group:
            disagree = verdict not in _VERDICTS
            gaps = ", ".join(_gap(row, tested=disagree) for row in group)
            yield f"{verdict}{',' if disagree else ''} at {'offsets' if len(group) > 1 else 'offset'} {gaps}"


def _verdict(row: Any, *, tests: int) -> str:
    """Return what a difference is called."""
    disagree = disagreement(row.low, row.high, row.p_holm, tests=tests)
    if disagree or not row.p_holm < LEVEL:
        return disagree or _NOT_APART
    return _AHEAD if row.difference > 0 else _BEHIND


def _gap(row: Any, *, tested: bool) -> str:
    """Return `3 (−0.086 [−0.170, −0.005])`, with the corrected p if `tested`."""
    p = f", {probability(row.p_holm)}" if tested else ""
    return f"{row.offset} ({with_interval(row.difference, row.low, row.high, signed=True)}{p})"


def _by_offset(result: Lens) -> View:
    """Show one row a line and setting of the norm, one column an offset; the best of each offset is marked."""
    best = result.best()
    columns: dict[str, pd.Series] = {}
    for offset, part in best.groupby("offset"):
        keyed, name = part.set_index(["representation", "norm"]), f"offset {offset}"
        columns |= {name: keyed.score, f"{name}_low": keyed.low, f"{name}_high": keyed.high}
    order = list(dict.fromkeys(zip(best.representation, best.norm, strict=True)))
    table = pd.DataFrame(columns).loc[order].reset_index()
    table["norm"] = [
        None if name == UNIGRAM else bool(norm) for name, norm in zip(table.representation, table.norm, strict=True)
    ]
    title = f"{METRIC} of the true token by offset (* best)"
    note = (
        f"Means over {number(int(best.n.max()))} documents, with 95 % intervals where there is room. A line’s layer was "
        f"chosen on one half of the documents and scored on the other{_splits(result.provenance)}. The paper’s formula has "
        "no final norm."
    )
    plain = view(table.rename(columns={"representation": "of", "norm": "final norm"}), title, note=note, filtered=True)
    return replace(plain, rows=_best_marked(plain))


def _splits(facts: Mapping[str, Any]) -> str:
    """Say over how many splits; an older result has one, and does not say so."""
    return f", both ways, in {facts['resplits']} random splits" if "resplits" in facts else ", both ways"


def _best_marked(plain: View) -> tuple[tuple[Cell, ...], ...]:
    """Return the rows of a table with the highest number of each column of numbers marked."""
    numeric = [index for index, column in enumerate(plain.columns) if column.numeric]
    top = {index: max(row[index].key or 0.0 for row in plain.rows) for index in numeric}
    return tuple(
        tuple(replace(cell, best=cell.key is not None and cell.key == top.get(index)) for index, cell in enumerate(row))
        for row in plain.rows
    )
