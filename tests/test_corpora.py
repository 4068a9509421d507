"""A corpus by name or path: what it holds, what it leaves out, and what it says of itself."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import valens as vl
from valens.corpora import CORPORA, Corpus, corpus, lee, wikipedia
from valens.corpora.contract import gathered
from valens.errors import CorpusError, MissingPackageError
from valens.files import wheels


@pytest.mark.parametrize("read", [lee, wikipedia])
def test_a_missing_wheel_is_named_with_its_install_command(read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match="pip install --no-deps gensim"):
        read.__wrapped__()


def test_gensim_is_not_imported() -> None:
    assert lee()
    assert wikipedia()
    assert "gensim" not in sys.modules


def test_wikipedia_is_its_articles_by_title() -> None:
    articles = vl.corpus("wikipedia")
    assert articles.texts == tuple(article.text for article in wikipedia())
    assert articles.ids == tuple(article.title for article in wikipedia())


@pytest.mark.parametrize("n", [1, 3, 10_000])
def test_a_limit_while_reading_is_a_limit_afterwards(n: int) -> None:
    at_once, later = corpus("wikipedia", limit=n), corpus("wikipedia").limited(n)
    assert (at_once.texts, at_once.ids) == (later.texts, later.ids)
    assert at_once.notes == later.notes
    assert len(at_once.texts) == min(n, len(wikipedia()))


def test_a_name_is_a_path_where_a_path_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wikipedia").mkdir()
    (tmp_path / "wikipedia" / "a.txt").write_text("Mine.")
    monkeypatch.chdir(tmp_path)
    assert corpus("./wikipedia").texts == corpus(tmp_path / "wikipedia").texts == ("Mine.",)
    assert len(corpus("wikipedia").texts) > 90


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wikipeda", r"'wikipeda'.*Did you mean wikipedia\?.* or a path"),
        ("LongBench-v2", r"Did you mean longbench-v2\?"),
        ("texts.jsonl", r"no file or folder texts\.jsonl.*\.jsonl\.gz"),
        ("far/away", "no file or folder far/away"),
        ("", "no corpus ''"),
        ("x" * 300, r"x{119}… cannot be looked up \(File name too long\)"),
        ("~nobody-of-this-name/texts", "no home folder"),
    ],
)
def test_what_is_not_there_is_named_with_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=says) as error:
        corpus(name)
    assert all(known in str(error.value) for known in CORPORA) != name.startswith("~")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("limit", [0, -3])
@pytest.mark.parametrize("name", [*CORPORA, "."])
def test_no_text_at_all_cannot_be_asked_for(name: str, limit: int) -> None:
    with pytest.raises(CorpusError, match=rf"1 text or more; {limit} was asked for"):
        corpus(name, limit=limit)
    with pytest.raises(CorpusError, match=f"{limit} was asked for"):
        Corpus("c", ("a",), ("1",), "here").limited(limit)


def test_articles_have_no_fields() -> None:
    with pytest.raises(CorpusError, match="no field `text`"):
        corpus("wikipedia", field="text")


@pytest.mark.parametrize("name", ["wikipedia", "a.jsonl", "."])
def test_a_mirror_of_what_is_on_no_hub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"text": "a"}')
    with pytest.raises(CorpusError, match=rf"{re.escape(name)} is not read from the hub.*Leave --data-root out"):
        corpus(name, data_root="nowhere")
    with pytest.raises(CorpusError, match=r"Did you mean longbench-v2\?"):
        corpus("longbench_v2", data_root="nowhere")


def test_names_are_printable_whatever_they_were() -> None:
    half = "\udcff"
    made = gathered(half, [(f"a{half}", "Text."), ("größer 🙂", "Other.")], source=half, notes=(half,))
    assert made.ids == (r"a\udcff", "größer 🙂")
    assert {made.name, made.source, *made.notes} == {r"\udcff"}


def test_a_corpus_has_texts_and_an_id_for_each() -> None:
    with pytest.raises(CorpusError, match="0 texts"):
        Corpus("c", (), (), "here")
    with pytest.raises(CorpusError, match="2 texts and 1 ids"):
        Corpus("c", ("a", "b"), ("1",), "here")


def test_empty_and_repeated_texts_are_left_out_and_counted() -> None:
    found = [("a", "One two."), ("b", None), ("c", " \n"), ("d", "ONE, two!"), ("e", "Three."), ("f", "one two")]
    kept = gathered("c", found, source="here")
    assert (kept.texts, kept.ids) == (("One two.", "Three."), ("a", "e"))
    assert kept.notes == ("left out: 2 without text", "left out: 2 that repeat an earlier one")


def test_nothing_but_empty_texts_is_no_corpus() -> None:
    with pytest.raises(CorpusError, match="no text in here; 2 were empty"):
        gathered("c", [("a", ""), ("b", None)], source="here")


def test_reading_stops_at_the_limit() -> None:
    def endless():
        n = 0
        while True:
            yield str(n), f"Text {n // 2}."
            n += 1

    assert gathered("c", endless(), source="here", limit=3).ids == ("0", "2", "4")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_facts_tell_corpora_apart_by_their_texts(texts: list[str]) -> None:
    """Texts that are parted elsewhere are other texts, though they read alike end to end."""

    def sha256(*texts: str) -> str:
        return Corpus("c", texts, tuple(map(str, range(len(texts)))), "here").facts()["sha256"]

    joined = "".join(texts)
    assert (sha256(*texts) == sha256(joined)) == (len(texts) == 1)
    assert sha256(joined) == hashlib.sha256(hashlib.sha256(joined.encode()).digest()).hexdigest()


def test_facts_can_be_written_as_json() -> None:
    facts = corpus("wikipedia", limit=2).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["texts"] == 2
    assert facts["notes"] == ["the first 2 texts were taken, as asked"]
