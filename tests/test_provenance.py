"""Which commit a result was made at, judged by git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from valens.results.provenance import commit_of, provenance

ROOT = Path(__file__).resolve().parents[1]


def git(folder: Path, *words: str) -> str:
    names = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_the_commit_of_a_checkout_and_whether_files_were_changed(checkout: Path) -> None:
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")
    (checkout / "package" / "module.py").write_text("2")
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_the_repository_around_an_installed_package_is_not_its_own(checkout: Path) -> None:
    assert commit_of(checkout / "package") is None


def test_no_git_and_no_commit_yet_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) is None


def test_a_result_of_a_checkout_has_its_commit() -> None:
    """What `provenance` finds itself, not what it is told: the folder of this very checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    assert provenance()["commit"] == commit_of(ROOT) is not None
