"""The documents as a site: the command reference is what the commands say today, and the pages build without a warning."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_the_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location("command_reference", DOCS / "command_reference.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    kept = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert kept == made.reference(), (
        "docs/commands.md is not what the commands say. Run: python docs/command_reference.py"
    )


def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert all((tmp_path / page / "index.html").is_file() for page in pages)
    assert not list(tmp_path.rglob("*.py"))
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"(?:https?:)?//", html)
        for picture in re.findall(r"<img[^>]*src=\"([^\"]+)\"", html):
            assert (page.parent / picture).is_file()
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8"))
