"""Equal texts are found whatever their case, spacing, punctuation and Unicode form; and nothing else is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valens.corpora.duplicates import distinct, identity, normalised, repeats, shared

UNITS = st.lists(st.sampled_from(["Ab", "a-b", "c", "C!", "?", "!", "", "ß", "SS", "d"]))


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("A man, a plan; a canal_Panama!", "amanaplanacanalpanama"),
        ("Straße No. 7", "strasseno7"),
        ("ﬁne ①②", "fine12"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "fullwidth"),
        ("Ελλάς", "ελλάσ"),
        ("東京、日本。", "東京日本"),
        ("… — !?", ""),
    ],
)
def test_letters_and_digits_remain(text: str, letters: str) -> None:
    assert normalised(text) == letters


@given(st.text())
def test_nothing_but_letters_and_digits_remains(text: str) -> None:
    assert all(character.isalnum() for character in normalised(text))


@given(st.text())
def test_the_form_of_unicode_does_not_matter(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert {normalised(form) for form in forms} == {normalised(text)}


@given(
    st.lists(st.from_regex(r"[a-z0-9]+", fullmatch=True), min_size=1), st.sampled_from([" ", "\n\n", ", ", "_", "—"])
)
def test_case_and_signs_between_words_do_not_matter(words: list[str], sign: str) -> None:
    assert identity(sign.join(words)) == identity(" ".join(words).upper())


def test_texts_without_letters_are_equal_only_to_their_copies() -> None:
    assert repeats(["?", "!", "?", "", ""]) == [None, None, 0, None, 3]


def test_pairs_are_equal_in_either_order() -> None:
    pairs = [("A man sings.", "He sings."), ("he sings", "a man sings!"), ("A man sings.", "A man sings.")]
    assert repeats(pairs) == [None, 0, None]


def test_words_of_a_pair_belong_to_their_text() -> None:
    assert repeats([("ab", "c"), ("a", "bc")]) == [None, None]


@given(UNITS)
def test_each_unit_is_new_or_repeats_one_that_is(units: list[str]) -> None:
    origins, firsts = repeats(units), distinct(units)
    assert firsts == [place for place, origin in enumerate(origins) if origin is None]
    assert len(firsts) == len(set(map(identity, units)))
    for place, origin in enumerate(origins):
        if origin is not None:
            assert origin in firsts
            assert origin < place
            assert identity(units[origin]) == identity(units[place])


@given(UNITS, UNITS)
def test_what_is_shared_is_where_it_is_first_found(units: list[str], others: list[str]) -> None:
    same = [[place for place, other in enumerate(others) if identity(other) == identity(unit)] for unit in units]
    assert shared(units, others) == [places[0] if places else None for places in same]


def test_two_similarity_tasks_share_pairs_though_written_otherwise() -> None:
    here = [("A cat sits.", "A dog runs."), ("Rain falls.", "It is wet."), ("A cat sits.", "It is wet.")]
    there = [("It's wet?", "No."), ("It is wet", "rain falls"), ("a dog runs", "a cat sits")]
    assert shared(here, there) == [2, 1, None]
    assert shared([text for pair in here for text in pair], [text for pair in there for text in pair]) == [
        5,
        4,
        3,
        2,
        5,
        2,
    ]
