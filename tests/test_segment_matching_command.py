"""`valens segment-matching` as its user meets it: what it writes and says, and how it refuses."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from shell import Ended, Shell, shell, tiny_folder  # noqa: F401
from tiny import one_thread  # noqa: F401

FILES = {"scores.parquet", "ranks.parquet", "provenance.json", "figure2.pdf", "figure2.png"}


def rows(n: int) -> list[dict]:
    chance = random.Random(0)
    return [{"_id": f"d{n}", "context": " ".join(f"w{chance.randrange(5, 97)}" for _ in range(40))} for n in range(n)]


def write(path: str, found: list[dict]) -> str:
    Path(path).write_text("\n".join(map(json.dumps, found)), encoding="utf-8")
    return path


@pytest.fixture
def match(shell: Shell, tiny_folder: Path) -> Shell:  # noqa: F811
    write("texts.jsonl", rows(14))
    return lambda *words: shell("segment-matching", "--model", tiny_folder, "--k", "1,10", *words)


def test_it_writes_its_files_and_says_what_they_show(match: Shell) -> None:
    said = match("--corpus", "texts.jsonl", "--out", "out")
    assert (said.code, said.err) == (0, "")
    assert {path.name for path in Path("out").iterdir()} == FILES
    told = " ".join(said.out.split())
    for line in ("took the field `context`", "14 documents of texts", "Does a text’s beginning find its own end?"):
        assert line in told
    for line in (
        "recall@10 by layer, prefix to suffix",
        "VA − HS",
        "p (Holm)",
        "recall@1: VA is ahead of HS at",
        "MRR:",
    ):
        assert line in told
    for line in ("words alone (TF-IDF) reach", "chance", "Scores, ranks, figure2 are in out"):
        assert line in told
    assert max(map(len, said.out.splitlines()[:-1])) <= 80
    again = match("--corpus", "texts.jsonl", "--out", "out")
    assert "No forward pass: all of it had been read before" in again.out


def test_json_is_all_that_it_prints(match: Shell) -> None:
    said = match("--corpus", "texts.jsonl", "--json", "--resplits", "2", "--representations", "VA,HS,values/weighted")
    assert said.code == 0
    assert {row["representation"] for row in said.json["scores"]} >= {"VA", "HS", "values/weighted", "TF-IDF", "chance"}
    assert {row["second"] for row in said.json["compared"]} == {"HS", "values/weighted"}
    assert said.json["provenance"]["resplits"] == 2


def test_the_spread_of_the_resplits_is_shown(match: Shell) -> None:
    assert "Over 2 draws of the cuts" in match("--corpus", "texts.jsonl", "--resplits", "2").out


def test_texts_that_nearly_repeat_are_left_out_if_that_is_asked_for(match: Shell) -> None:
    found = rows(14)
    twin = {"_id": "twin", "context": f"{found[3]['context'].rpartition(' ')[0]} w5"}  # another last word
    write("twins.jsonl", [*found, twin])
    assert "15 documents of twins" in match("--corpus", "twins.jsonl").out
    told = " ".join(match("--corpus", "twins.jsonl", "--near-duplicates", ".9", "--out", "out").out.split())
    assert "14 documents of twins" in told
    assert told.count("eft out: 1 that nearly repeat an earlier one (0.9 or more") == 2, "a note, and in the section"
    provenance = json.loads(Path("out/provenance.json").read_text())
    assert provenance["corpus"]["near_duplicates"] == {"threshold": 0.9, "left_out": 1}


@pytest.mark.parametrize("command", ["segment-matching", "anisotropy", "next-token", "logit-lens"])
def test_a_threshold_that_is_none_is_refused_before_anything_is_read(shell: Shell, command: str) -> None:  # noqa: F811
    refused(shell(command, "--corpus", "not-there.jsonl", "--near-duplicates", "9"), "from 0.5 to 1; 9 was asked for")


def test_a_dry_run_writes_nothing(match: Shell) -> None:
    said = match("--corpus", "texts.jsonl", "--dry-run", "--out", "out")
    assert said.code == 0
    assert "time to read" in said.out
    assert not Path("out").exists()
    assert not list(Path().glob("activations/*/*.safetensors"))


def test_a_dry_run_refuses_what_a_run_refuses(match: Shell) -> None:
    refused(match("--corpus", "texts.jsonl", "--dry-run", "--k", "99"), "recall@99 among 14 documents")


def test_layer_0_alone_has_a_figure(match: Shell) -> None:
    said = match("--corpus", "texts.jsonl", "--representations", "HS", "--layers", "0", "--out", "out")
    assert said.code == 0
    assert {path.name for path in Path("out").iterdir()} == FILES


def test_names_are_printed_as_they_are(match: Shell) -> None:
    Path("texts.jsonl").rename("[red]texts[x].jsonl")
    said = match("--corpus", "[red]texts[x].jsonl", "--out", "out[/y]")
    assert said.code == 0
    assert "14 documents of [red]texts[x].jsonl" in said.out
    assert said.out.rstrip().endswith("out[/y]")


REFUSED = {
    "few": (["--corpus", "few.jsonl"], "few.*has 9 usable documents.*10 or more are needed"),
    "short": (["--corpus", "texts.jsonl", "--segment-tokens", "30"], "0 usable documents .0 repeated and 14 too short"),
    "k": (["--corpus", "texts.jsonl", "--k", "1,15"], "recall@15 among 14 documents"),
    "k all": (["--corpus", "texts.jsonl", "--k", "14"], "recall@14 among 14 documents is always 1"),
    "layer 0": (["--corpus", "texts.jsonl", "--layers", "0"], "VA has no layer 0; it has 1..3"),
    "k no number": (["--corpus", "texts.jsonl", "--k", "ten"], "--k takes whole numbers"),
    "no text": (["--corpus", "numbers.jsonl"], "no.*text"),
    "field": (["--corpus", "texts.jsonl", "--field", "body"], "body.*context"),
    "latin": (["--corpus", "latin.jsonl"], "UTF-8"),
    "nowhere": (["--corpus", "nowhere.jsonl"], "nowhere"),
    "name": (["--corpus", "wikipdia"], "wikipedia"),
    "layers": (["--corpus", "texts.jsonl", "--layers", "2-9"], "1..3"),
    "similarity": (["--corpus", "texts.jsonl", "--similarity", "euclid"], "cosine, dot"),
    "interval": (["--corpus", "texts.jsonl", "--interval", "wald"], "wilson, percentile, bca"),
    "representation": (["--corpus", "texts.jsonl", "--representations", "VX"], "VX"),
    "resplits": (["--corpus", "texts.jsonl", "--resplits", "0"], "--resplits 0"),
    "tokens": (["--corpus", "texts.jsonl", "--max-tokens", "9000"], "--max-tokens 9,000"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_nothing_is_left(match: Shell, case: str) -> None:
    write("few.jsonl", rows(9))
    write("numbers.jsonl", [{"n": n} for n in range(20)])
    Path("latin.jsonl").write_bytes(b'{"context": "caf\xe9"}\n')
    words, pattern = REFUSED[case]
    refused(match(*words, "--out", "out"), pattern)
    assert not list(Path().glob("out/*"))


def refused(said: Ended, pattern: str) -> None:
    import re

    assert said.code == 2, said
    assert said.out == "" or "took the field" in " ".join(said.out.split())
    assert said.err.startswith("Error: ")
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(pattern, said.err), said.err
