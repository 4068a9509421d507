"""Prefixes of documents: how long, of which documents, and what they do not depend on."""

from __future__ import annotations

import random

import pytest
import tiny

from probes.logit_lens.prefixes import Continuations, draw_prefixes
from probes.logit_lens.probe import LogitLens
from valens.corpora import Corpus
from valens.errors import CorpusError, ProbeError

TOKENIZER = tiny.tokenizer()


def corpus(*texts: str) -> Corpus:
    return Corpus("made", texts, tuple(map(str, range(len(texts)))), "here")


def documents(n: int, *, longest: int = 60) -> list[str]:
    chance = random.Random(0)
    return [" ".join(f"w{chance.randrange(5, 97)}" for _ in range(chance.randint(20, longest))) for _ in range(n)]


def drawn(
    texts: Corpus, *, low: int = 10, high: int = 30, farthest: int = 5, n: int = 4, seed: int = 0
) -> Continuations:
    return draw_prefixes(TOKENIZER, texts, tokens=(low, high), farthest=farthest, n=n, seed=seed)


def test_each_document_has_so_many_different_prefixes_within_the_range() -> None:
    texts = documents(40)
    found = drawn(corpus(*texts))
    lengths = [len(TOKENIZER(text)["input_ids"]) for text in texts]
    assert found.documents == tuple(place for place, length in enumerate(lengths) if length >= 35)
    assert found.short == sum(length < 35 for length in lengths)
    assert found.repeated == 0
    assert found.n_instances == 4 * len(found.documents)
    for place, text, prefixes in zip(found.documents, found.texts, found.prefixes, strict=True):
        assert list(text.ids) == TOKENIZER(texts[place])["input_ids"][:35]
        assert len(set(prefixes)) == 4
        assert list(prefixes) == sorted(prefixes)
        assert prefixes[0] >= 10
        assert prefixes[-1] <= 30


def test_every_length_is_drawn() -> None:
    found = drawn(corpus(*documents(200)), n=4)
    assert {length for prefixes in found.prefixes for length in prefixes} == set(range(10, 31))


def test_prefixes_depend_on_the_document_and_the_seed_alone() -> None:
    texts = documents(30)
    every, some = drawn(corpus(*texts)), drawn(corpus(*texts[10:]))
    assert every.prefixes[-len(some.prefixes) :] == some.prefixes
    assert drawn(corpus(*texts), seed=1).prefixes != every.prefixes


def test_a_document_that_begins_as_another_is_left_out() -> None:
    text = documents(1, longest=20)[0] + " w5" * 20
    found = drawn(corpus(text + " w6", text + " w7", *documents(5)))
    assert found.repeated == 1
    assert found.documents[0] == 0


def test_a_text_that_begins_with_many_blanks_is_read_to_where_it_speaks() -> None:
    texts = documents(3, longest=20)
    blank = [" " * 10_000 + text for text in texts]
    settings = {"low": 5, "high": 10, "farthest": 2}
    assert drawn(corpus(*blank), **settings).texts == drawn(corpus(*texts), **settings).texts


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64])
def test_what_is_no_seed(seed: int) -> None:
    with pytest.raises(ProbeError, match=f"A seed is a whole number from 0 to 9,223,372,036,854,775,807; {seed} was"):
        LogitLens(seed=seed)


def test_a_long_text_is_cut_before_it_is_tokenised_and_comes_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(documents(300))
    whole = drawn(corpus(long, *documents(2)))
    monkeypatch.setattr("probes.logit_lens.prefixes._LETTERS", 10**6)
    assert drawn(corpus(long, *documents(2))).texts == whole.texts
    monkeypatch.setattr("probes.logit_lens.prefixes._LETTERS", 2)  # too few: the whole is tokenised after all
    assert drawn(corpus(long, *documents(2))).texts == whole.texts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prefix_tokens": (0, 30)}, "Prefixes have 1 token or more"),
        ({"prefix_tokens": (31, 30)}, "31 to 30 tokens"),
        ({"prefix_tokens": (10, 30), "prefixes": 22}, "22 different prefixes of 10 to 30"),
        ({"prefix_tokens": (10, 30), "prefixes": 0}, "0 different prefixes"),
    ],
)
def test_settings_that_leave_no_prefix(settings: dict, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        LogitLens(**settings)


def test_texts_that_have_no_prefix() -> None:
    with pytest.raises(CorpusError, match=r"None of the 12 texts of made has 95 tokens, .* the longest has \d\d\."):
        drawn(corpus(*documents(12)), high=90)
