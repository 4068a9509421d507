"""The README says what is true: its code runs, its commands exist, its figure is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from valens.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_notebook_example_runs_on_the_real_model(tmp_path: Path) -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    layers, reason, *table = run.stdout.splitlines()
    assert re.fullmatch(r"[\d,-]+", layers)
    assert "average" in reason
    assert "LeeSTS" in " ".join(table)
    assert list((tmp_path / "activations").glob("*/*.safetensors"))


def test_its_commands_and_options_exist() -> None:
    commands = get_command(app).commands
    lines = [line.split("#")[0].split() for block in blocks("bash") for line in block.splitlines()]
    used = [words for words in lines if words and words[0] == "valens"]
    assert used
    for _, name, *rest in used:
        command = commands[name]
        if hasattr(command, "commands"):
            command = command.commands[rest[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_what_it_links_to_is_there(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_make_targets_it_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
