"""Write the table of README.md anew from what the stored results say of themselves: python figures/contents.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE / "README.md"
BEGIN, END = "<!-- from the results: begin -->\n", "<!-- from the results: end -->\n"

FIGURES = {"segment-matching": "2", "layer-sweep": "3", "next-token": "6", "logit-lens": "8"}
"""Which figure of the paper a kind of result draws."""

EARLIER_COMMITS = {
    "layer-sweep-smollm2-135m": "c435a56",
    "logit-lens-longbench-v2-heads": "c7e7a04",
    "next-token-peps": "98830b5",
    "segment-matching-longbench-v2-heads": "98830b5",
    "segment-matching-peps": "98830b5",
}
"""Of results that were made before provenance had the commit: the last one before their date."""


def table() -> str:
    """A row a stored result, as Markdown, and below it the commands."""
    rows, commands = [], []
    for folder in sorted((HERE / "results").glob("*/"), key=lambda path: (_number(path), path.name)):
        facts = _facts(folder)
        number = _number(folder)
        link = f"[{folder.name}](results/{folder.name})"
        rows.append(
            f"| {number} | [figure{number}.py](figure{number}.py) | {link} | {facts['model']['model']} | {_data(facts)} "
            f"| {facts['date'][:10]} | {_commit(folder, facts)} |"
        )
        commands.append(f"# {folder.name}\n{facts['command']}")
    head = "| figure | script | result | model | data | date | commit |\n|---|---|---|---|---|---|---|"
    shell = "\n".join(commands)
    return f"{head}\n{chr(10).join(rows)}\n\nThe commands that made them:\n\n```text\n{shell}\n```\n"


def rewritten(text: str) -> str:
    """A README with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    return found


def _number(folder: Path) -> str:
    return FIGURES[_facts(folder)["kind"]]


def _data(facts: dict[str, Any]) -> str:
    return "; ".join(_described(facts))


def _described(facts: dict[str, Any]) -> Iterator[str]:
    if "suite" in facts:
        yield ", ".join(facts["suite"]["tasks"])
    else:
        documents = facts["documents"]
        used = documents.get("used") or sum(documents[part] for part in ("train", "validation", "test"))
        yield f"{facts['corpus']['name']}, {used:,} documents"


def _commit(folder: Path, facts: dict[str, Any]) -> str:
    return facts["commit"][:12] if facts.get("commit") else f"{EARLIER_COMMITS[folder.name]} or earlier"


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(README)
