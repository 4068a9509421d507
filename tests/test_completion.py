"""Completion as shells ask for it: the words that there are, quickly, in the real protocol and in a real bash."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell, shell  # noqa: F401

from probes.next_token import command as next_token
from probes.next_token.examples import STARTS
from probes.segment_matching import command as segment_matching
from probes.segment_matching.probe import INTERVALS
from probes.segment_matching.recall import SIMILARITIES
from valens import selectors
from valens.corpora.named import CORPORA
from valens.errors import TaskError
from valens.layers.sites import Stream
from valens.linear_probes.recipe import SCHEDULES
from valens.model import loading
from valens.model.attention import ATTN_IMPLEMENTATIONS
from valens.model.catalog import CATALOG
from valens.representations import named
from valens.representations.poolings import Pooling
from valens.representations.prompts import BOS, POOL_OVER
from valens.statistics.seeds import LARGEST_SEED
from valens.suites import named as suites
from valens.terminal import choices

BIN = Path(sys.executable).parent
SECONDS = 0.7
"""Of processor time: what a tab may take on a quiet machine."""


def test_the_words_are_those_of_the_registries() -> None:
    assert list(choices.MODELS) == list(CATALOG)
    assert tuple(choices.CORPORA) == CORPORA
    assert list(choices.REPRESENTATIONS) == list(named.REPRESENTATIONS)
    assert set(choices.SELECTORS) == set(selectors.SELECTORS)
    assert (tuple(choices.BOS), tuple(choices.POOL_OVER)) == (BOS, POOL_OVER)
    assert choices.LARGEST_SEED == LARGEST_SEED
    with pytest.raises(TaskError, match=f"The tasks are {', '.join(choices.TASKS)};"):
        suites.suite("?")
    assert set(choices.STREAMS) == set(Stream) - {Stream.PATTERN}
    assert set(choices.POOLINGS) == {str(pooling) for pooling in Pooling}
    assert (segment_matching.SIMILARITIES, segment_matching.INTERVALS) == (SIMILARITIES, INTERVALS)
    assert (next_token.SCHEDULES, next_token.STARTS) == (SCHEDULES, STARTS)


@pytest.fixture
def completed(shell: Shell, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    """The words that bash is told for a line that ends where the cursor is."""

    def ask(line: str) -> list[str]:
        typed = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", "\n".join(["valens", *typed]))
        monkeypatch.setenv("COMP_CWORD", str(len(typed)))
        monkeypatch.setenv("_VALENS_COMPLETE", "complete_bash")
        return shell().out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sw", ["sweep-layers"]),
        ("store ver", ["verify"]),
        ("sweep-layers --repr", ["--representations"]),
        ("sweep-layers --model ", list(CATALOG)),
        ("encode --model qwen3-0", ["qwen3-0.6b"]),
        ("sweep-layers --suite ", [*choices.SUITES, *choices.TASKS]),
        ("sweep-layers --suite LeeSTS,WikiR", ["LeeSTS,WikiRetrieval", "LeeSTS,WikiReranking"]),
        ("sweep-layers --suite LeeSTS,pa", []),
        ("overlap paper WikiCl", ["WikiClustering", "WikiClassification"]),
        ("sweep-layers --representations W", ["WMP", "WVA"]),
        ("sweep-layers --representations VA,WMP,W", ["VA,WMP,WVA"]),
        ("next-token --representations VA,values/l", ["VA,values/last", "VA,values/last+mean"]),
        ("sweep-layers --select h", ["half"]),
        ("logit-lens --corpus ", list(CORPORA)),
        ("audit --device ", list(loading.DEVICES)),
        ("audit --dtype ", list(loading.DTYPES)),
        ("encode --attn-implementation ", list(ATTN_IMPLEMENTATIONS)),
        ("encode --on-long e", ["error"]),
        ("segment-matching --similarity c", ["cosine", "centered-cosine"]),
        ("next-token --schedule con", ["constant"]),
        ("extract texts.txt --read values/mean,heads/m", ["values/mean,heads/mean", "values/mean,heads/median"]),
        ("sweep-layers --model ./my", []),
    ],
)
def test_what_bash_is_told(completed, line: str, expected: list[str]) -> None:
    assert completed(line) == expected


def test_keys_come_from_the_store_that_the_line_names(completed, tmp_path: Path) -> None:
    for name in ("ab12", "cd34"):
        (tmp_path / "mine" / (name * 16)).mkdir(parents=True)
        (tmp_path / "mine" / (name * 16) / "manifest.json").touch()
    assert completed(f"store info --store {tmp_path / 'mine'} a") == ["ab12ab12ab12"]
    assert completed("store info a") == []


@pytest.mark.parametrize(("asks_as", "separator"), [("zsh", '":"'), ("fish", "\t")])
def test_zsh_and_fish_are_told_what_a_word_means(
    shell: Shell,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    asks_as: str,
    separator: str,
) -> None:
    monkeypatch.setenv("_VALENS_COMPLETE", f"complete_{asks_as}")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "valens sweep-layers --representations HS,WM")
    assert f"HS,WMP{separator}hidden states, weighted by position" in shell().out


def called(command: list[str], **env: str) -> str:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, env=os.environ | {"PATH": path} | env, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_tab_waits_for_no_large_library() -> None:
    line = {"_VALENS_COMPLETE": "complete_bash", "COMP_WORDS": "valens sweep-layers --select gr", "COMP_CWORD": "3"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert called(["valens"], **line) == "greedy\n"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    program = (
        "import sys\nfrom valens.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*{'torch', 'numpy', 'pandas', 'transformers'} & set(sys.modules))"
    )
    assert called([sys.executable, "-c", program], **line).split() == ["greedy"]


def test_bash_learns_it_and_completes(tmp_path: Path) -> None:
    """Installed into an empty home by a real bash, whose successor reads it and fills in a word."""
    called(["bash", "-c", "valens --install-completion; true"], HOME=str(tmp_path))
    program = (
        "source ~/.bashrc; complete -p valens; COMP_WORDS=(valens sweep-layers --representations VA,H); COMP_CWORD=3; "
        '_valens_completion valens; echo "${COMPREPLY[@]}"'
    )
    assert called(["bash", "-c", program], HOME=str(tmp_path)).split("\n")[:2] == [
        "complete -o default -F _valens_completion valens",
        "VA,HS VA,HS-but-first",
    ]
    assert "COMP_WORDS" in called(["bash", "-c", "valens --show-completion; true"])
    for other, mark in (("zsh", "#compdef valens"), ("fish", "complete --command valens")):
        named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        assert mark in called(["valens", "--show-completion", other], **named)
