"""Texts that nearly repeat an earlier one are left out: those that share their shingles, as sets of strings; no others."""

from __future__ import annotations

import random
import sys
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import valens as vl
from valens.corpora.duplicates import normalised
from valens.corpora.near_duplicates import SHINGLE, jaccard, shingles, without_near_duplicates
from valens.errors import CorpusError, MissingPackageError
from valens.results.section import near_duplicates_said

WORDS = ["Größe", "κόσμος", "rain", "a", "layer", "世界", "42", "stream", "text,", "of", "The"]


def prose(seed: int, n_words: int = 600) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) + str(chance.randrange(1000)) for _ in range(n_words))


def edited(text: str, n_edits: int, seed: int = 0) -> str:
    """The text with so many of its words replaced."""
    chance, words = random.Random(seed), text.split()
    for place in chance.sample(range(len(words)), n_edits):
        words[place] = f"new{chance.randrange(10**6)}"
    return " ".join(words)


def strings(text: str) -> set[str]:
    letters = normalised(text)
    return {letters[start : start + SHINGLE] for start in range(max(1, len(letters) - SHINGLE + 1))}


def judged(one: str, other: str) -> float:
    """Jaccard similarity by its definition, of sets of strings."""
    return len(strings(one) & strings(other)) / len(strings(one) | strings(other))


def corpus_of(*texts: str) -> vl.Corpus:
    return vl.Corpus("mine", texts, tuple(f"id{index}" for index in range(len(texts))), "here")


TWINS = [edited(prose(0), n_edits, seed=1) for n_edits in (0, 1, 4, 20)]
APART = [prose(seed) for seed in range(5)]


@pytest.mark.parametrize(
    "pair",
    list(combinations([*TWINS, *APART[1:3], "one", "One!", "other"], 2)),
    ids=lambda pair: f"{len(pair[0])}-{len(pair[1])}",
)
def test_the_similarity_is_that_of_sets_of_strings(pair: tuple[str, str]) -> None:
    found = jaccard(*map(shingles, pair))
    assert found == pytest.approx(judged(*pair), abs=1e-12)


@given(st.text(st.sampled_from("ab é世"), max_size=120), st.text(st.sampled_from("ab é世"), max_size=120))
def test_repeated_and_short_shingles_are_counted_once(one: str, other: str) -> None:
    if normalised(one) and normalised(other):
        assert jaccard(shingles(one), shingles(other)) == pytest.approx(judged(one, other), abs=1e-12)


def test_twins_are_as_alike_as_the_cases_below_take_them_to_be() -> None:
    alike = [judged(TWINS[0], twin) for twin in TWINS]
    assert alike[0] == 1 > alike[1] > 0.95 > alike[2] > 0.9 > alike[3] > 0.5
    assert max(judged(*pair) for pair in combinations(APART, 2)) < 0.01


@pytest.mark.parametrize(("threshold", "kept"), [(0.97, [0, 2, 3]), (0.9, [0, 3]), (0.5, [0])])
def test_a_twin_is_left_out_from_its_similarity_on(threshold: float, kept: list[int]) -> None:
    corpus = corpus_of(*TWINS, *APART[1:])
    fewer = vl.corpora.without_near_duplicates(corpus, threshold=threshold)
    assert fewer.ids == (*(f"id{index}" for index in kept), "id4", "id5", "id6", "id7")
    assert fewer.texts == tuple(corpus.texts[int(text_id[2:])] for text_id in fewer.ids)


def test_no_two_that_are_kept_are_twins_and_what_is_left_out_has_a_twin_that_is_kept() -> None:
    """Also along a chain of texts each of which is a twin of the next alone."""
    chain = [prose(7)]
    for seed in range(8):
        chain.append(edited(chain[-1], 3, seed=seed))
    kept = without_near_duplicates(corpus_of(*chain)).texts
    assert 1 < len(kept) < len(chain)
    assert max(judged(*pair) for pair in combinations(kept, 2)) < 0.9
    for place, text in enumerate(chain):
        earlier = [other for other in kept if other in chain[:place]]
        assert (text in kept) == (max((judged(text, other) for other in earlier), default=0) < 0.9)


def test_long_texts_are_proposed_by_some_of_their_shingles_and_judged_by_all() -> None:
    """A text that another one continues shares fewer of the smallest hashes than of all: 82 % at a similarity of .9."""
    long = prose(9, 20_000)
    longer = f"{long} {prose(10, 2_000)}"
    assert 0.9 < judged(long, longer) < 0.92
    assert without_near_duplicates(corpus_of(long, longer), threshold=0.9).texts == (long,)
    assert without_near_duplicates(corpus_of(longer, long), threshold=0.93).texts == (longer, long)


def test_the_number_is_in_the_notes_the_provenance_and_the_sections_sentence() -> None:
    corpus = without_near_duplicates(corpus_of(*TWINS[:2], *APART[1:]))
    (note,) = corpus.notes
    assert note.startswith("left out: 1 that nearly repeat an earlier one (0.9 or more")
    assert corpus.facts()["near_duplicates"] == {"threshold": 0.9, "left_out": 1}
    (said,) = near_duplicates_said(corpus.facts())
    assert said == f"L{note[1:]}."


@pytest.mark.parametrize("facts", [corpus_of("a").facts(), {"name": "of an older result"}])
def test_nothing_is_said_where_nobody_looked(facts: dict) -> None:
    assert list(near_duplicates_said(facts)) == []


@pytest.mark.parametrize("threshold", [0, 0.49, 1.01, 90, float("nan")])
def test_a_threshold_is_a_similarity(threshold: float) -> None:
    with pytest.raises(CorpusError, match=r"from 0\.5 to 1; .* was asked for"):
        without_near_duplicates(corpus_of("a"), threshold=threshold)


def test_a_missing_package_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(MissingPackageError, match=r'pip install "valens-lm\[near-duplicates\]"'):
        without_near_duplicates(corpus_of("a"))
