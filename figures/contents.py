"""Write the table of README.md anew from what the stored results say of themselves: python figures/contents.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.catalogue import PROBES

HERE = Path(__file__).parent
README = HERE / "README.md"
BEGIN, END = "<!-- from the results: begin -->\n", "<!-- from the results: end -->\n"

SCRIPTS = {shipped.kind: shipped.figure for shipped in PROBES}
"""The script that draws each kind of result, by the name of its main figure."""


def table() -> str:
    """A row a stored result, as Markdown, and below it the commands."""
    rows, commands = [], []
    for folder in sorted((HERE / "results").glob("*/"), key=lambda path: (_script(path), path.name)):
        facts = _facts(folder)
        script = _script(folder)
        link = f"[{folder.name}](results/{folder.name})"
        rows.append(
            f"| [{script}.py]({script}.py) | {link} | {facts['model']['model']} | {_data(facts)} | {facts['date'][:10]} "
            f"| {str(facts['commit'])[:12]} |"
        )
        commands.append(f"# {folder.name}\n{facts['command']}")
    head = "| script | result | model | data | date | commit |\n|---|---|---|---|---|---|"
    shell = "\n".join(commands)
    return f"{head}\n{chr(10).join(rows)}\n\nThe commands that made them:\n\n```text\n{shell}\n```\n"


def rewritten(text: str) -> str:
    """A README with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    return facts


def _script(folder: Path) -> str:
    return SCRIPTS[_facts(folder)["kind"]]


def _data(facts: dict[str, Any]) -> str:
    return "; ".join(_described(facts))


def _described(facts: dict[str, Any]) -> Iterator[str]:
    if "suite" in facts:
        yield ", ".join(facts["suite"]["tasks"])
    else:
        documents = facts["documents"]
        used = documents.get("used") or sum(documents[part] for part in ("train", "validation", "test"))
        yield f"{facts['corpus']['name']}, {used:,} documents"


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(README)
