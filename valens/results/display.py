"""How a result shows itself: a few lines in a terminal, a small table in a notebook, and the facts that both have."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from valens.files.escaped_surrogates import escape_surrogates
from valens.layers.layer_set import LayerSet

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 96
"""How many letters a line of plain text has at the most."""

_NAME_LENGTH = 30

Facts = Mapping[str, str]
"""What there is to say, by name, in the order in which it is said."""

_TABLE = "border-collapse: collapse; text-align: left; margin: 0.3em 0"
_NAME = (
    "text-align: left; vertical-align: top; padding: 0.15em 1.2em 0.15em 0; white-space: nowrap; font-weight: normal"
)
_VALUE = "text-align: left; vertical-align: top; padding: 0.15em 0; overflow-wrap: anywhere"
_TITLE = "text-align: left; font-weight: bold; padding: 0.15em 0"


def plain(title: str, facts: Facts) -> str:
    """Return a title and a line a fact, longer ones folded; no line is longer than WIDTH."""
    names = [_one_line(name)[:_NAME_LENGTH] for name in facts]
    margin = 4 + max(map(len, names), default=0)
    lines = [_one_line(title)[:WIDTH]]
    for name, value in zip(names, facts.values(), strict=True):
        head = f"  {name}".ljust(margin)
        lines += textwrap.wrap(
            _one_line(value), WIDTH, initial_indent=head, subsequent_indent=" " * margin, break_on_hyphens=False
        ) or [head.rstrip()]
    return "\n".join(lines)


def html(title: str, facts: Facts) -> str:
    """Return the same as a table of HTML. It takes its colours and letters from the page, and has no script and no id."""
    rows = "".join(
        f'<tr style="background: none"><th scope="row" style="{_NAME}">{_safe(name)}</th>'
        f'<td style="{_VALUE}">{_safe(value)}</td></tr>'
        for name, value in facts.items()
    )
    caption = f'<caption style="{_TITLE}; caption-side: top; color: inherit">{_safe(title)}</caption>'
    return f'<table style="{_TABLE}">{caption}<tbody>{rows}</tbody></table>'


def basics(table: pd.DataFrame, provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return what any result can say of its origin, as far as its table and provenance have it: model, texts, layers."""
    told = {
        "model": _model(table, provenance),
        **_texts(table, provenance),
        "representations": _different(table, "representation"),
        "layers": _layers(table),
    }
    return {name: value for name, value in told.items() if value}


def origin(provenance: Mapping[str, Any]) -> dict[str, str]:
    """When it was made and by which valens, as far as that is known."""
    parts = [str(provenance[name]) for name in ("date",) if name in provenance]
    parts += [f"valens {provenance['valens']}"] if "valens" in provenance else []
    return {"made": ", ".join(parts)} if parts else {}


def _model(table: pd.DataFrame, provenance: Mapping[str, Any]) -> str:
    about = provenance.get("model")
    facts = about if isinstance(about, Mapping) else {"model": about}
    name = _different(table, "model") or str(facts.get("model") or facts.get("name") or "")
    return f"{name}, {facts['n_layers']} layers" if name and "n_layers" in facts else name


def _texts(table: pd.DataFrame, provenance: Mapping[str, Any]) -> dict[str, str]:
    suite, corpus = provenance.get("suite"), provenance.get("corpus")
    if isinstance(suite, Mapping) and "name" in suite:
        untold = [task for task in suite.get("tasks", ()) if task not in suite["name"]]
        return {"suite": f"{suite['name']}: {', '.join(untold)}" if untold else str(suite["name"])}
    if corpus is None and "corpus" not in table and "task" in table:
        return {"tasks": _different(table, "task")}
    name = corpus.get("name") if isinstance(corpus, Mapping) else corpus
    return {"corpus": _different(table, "corpus") or str(name or "")}


def _different(table: pd.DataFrame, column: str) -> str:
    return ", ".join(map(str, table[column].dropna().unique())) if column in table else ""


def _layers(table: pd.DataFrame) -> str:
    """Return which layers were measured, by representation where they differ."""
    layer_sets = dict(_layer_sets(table))
    if len(set(layer_sets.values())) > 1:
        return ", ".join(f"{name} {layers}" for name, layers in layer_sets.items())
    return "".join(set(layer_sets.values()))


def _layer_sets(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    if "layer" not in table:
        return
    single = table[table.layer.notna()]
    names = single.representation if "representation" in single else single.layer.map(lambda _: "")
    for name, layers in single.layer.groupby(names, sort=False, observed=True):
        yield str(name), str(LayerSet.of(layers.tolist()))


def _one_line(text: str) -> str:
    """Without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else " " for letter in escape_surrogates(text))


def _safe(text: str) -> str:
    return escape(_one_line(text))
