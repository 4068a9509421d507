"""Which field of a record is its text, and which one names it."""

from __future__ import annotations

import pytest

from valens.corpora.contract import Corpus
from valens.corpora.fields import ID_FIELDS, SAMPLE, TEXT_FIELDS, Row, corpus_of_rows
from valens.errors import CorpusError


def read(*fields: dict[str, object], field: str | None = None, limit: int | None = None) -> Corpus:
    rows = [Row(number, row) for number, row in enumerate(fields, start=1)]
    return corpus_of_rows("c", rows, source="here", field=field, limit=limit)


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_a_usual_name_goes_before_a_longer_text(name: str) -> None:
    found = read({"other": "A much longer text than that.", name: "A text."})
    assert found.texts == ("A text.",)
    assert found.notes == (f"took the field `{name}`; --field names another",)


def test_usual_names_go_in_their_order() -> None:
    assert read(dict.fromkeys(reversed(TEXT_FIELDS), "x") | {"text": "The text."}).texts == ("The text.",)


def test_without_a_usual_name_the_longest_texts_are_taken() -> None:
    rows = [
        {"question": "Why is that so?", "answer": "Because."},
        {"question": "Where?", "answer": "Over there, or here."},
    ]
    assert read(*rows).texts == ("Because.", "Over there, or here.")


def test_a_usual_name_that_holds_no_text_is_passed_over() -> None:
    assert read({"text": ["a", "b"], "context": None, "body": 3, "tale": "A tale."}).texts == ("A tale.",)


@pytest.mark.parametrize("bad", [float("nan"), 7, ["a"]])
@pytest.mark.parametrize("place", [0, 2])
def test_one_row_that_is_wrong_does_not_change_the_guess(bad: object, place: int) -> None:
    """The field is guessed by most rows, and the one that is not like them is named."""
    rows: list[dict[str, object]] = [{"_id": f"number {n}", "context": f"Text {n}."} for n in range(4)]
    rows[place]["context"] = bad
    with pytest.raises(CorpusError, match=rf"row {place + 1}: `context` must hold text; it holds {type(bad).__name__}"):
        read(*rows)


@pytest.mark.parametrize("name", [*ID_FIELDS, "ID", "doc_id"])
def test_a_field_that_names_rows_is_not_guessed_to_be_the_text(name: str) -> None:
    rows = [{name: f"a-very-long-name-{n}", "x": f"{n}"} for n in range(3)]
    assert read(*rows).texts == ("0", "1", "2")
    with pytest.raises(CorpusError, match="no field with text"):
        read(*({name: row[name], "x": 1} for row in rows))
    assert read(*rows, field=name).texts == tuple(row[name] for row in rows)


def test_the_field_asked_for_is_taken_and_nothing_guessed() -> None:
    found = read({"text": "A text.", "summary": "Short."}, field="summary")
    assert (found.texts, found.notes) == (("Short.",), ())
    assert found.source == "here, field `summary`"


def test_the_choice_does_not_depend_on_the_limit() -> None:
    rows = [{"a": "x" * (n == 0) * 9 + f"{n}", "b": f"longer {n}"} for n in range(9)]
    assert read(*rows, limit=1).texts == read(*rows).texts[:1] == ("longer 0",)


def test_rows_beyond_the_sample_are_read_alike() -> None:
    rows = [{"text": f"Text {n}.", "id": n} for n in range(SAMPLE + 50)]
    found = read(*rows, {"text": None, "id": 0}, {"id": 1})
    assert found.texts == tuple(f"Text {n}." for n in range(SAMPLE + 50))
    assert found.ids == tuple(str(n) for n in range(SAMPLE + 50))
    assert "left out: 2 without text" in found.notes


@pytest.mark.parametrize(
    ("ids", "named"),
    [
        ({"_id": ["a", "b"], "title": ["T", "U"]}, ("a", "b")),
        ({"title": ["T", "U"], "name": ["n", "m"]}, ("T", "U")),
        ({"id": ["same", "same"], "name": ["n", "m"]}, ("n", "m")),
        ({"id": [None, "b"]}, ("1", "2")),
        ({"id": [["a"], ["b"]]}, ("1", "2")),
        ({"url": ["x", "y"]}, ("1", "2")),
    ],
)
def test_a_text_is_named_by_the_field_that_tells_rows_apart(ids: dict[str, list[object]], named: tuple) -> None:
    rows = [{"text": text} | {name: values[n] for name, values in ids.items()} for n, text in enumerate("xy")]
    assert read(*rows).ids == named


def test_a_text_is_not_its_own_name() -> None:
    assert read({"title": "One."}, {"title": "Two."}, field="title").ids == ("1", "2")


def test_a_missing_field_is_refused_with_those_there() -> None:
    with pytest.raises(CorpusError, match=r"no field `txt`\. Its fields are `text`, `words`"):
        read({"text": "a"}, {"words": 1}, field="txt")


@pytest.mark.parametrize("row", [{"words": 1, "tags": ["a"]}, {"text": None}, {"text": ""}, {}])
def test_rows_without_text_are_no_corpus(row: dict[str, object]) -> None:
    with pytest.raises(CorpusError, match=r"no field with text\. Its fields are .*--field"):
        read(row)


@pytest.mark.parametrize(("value", "says"), [(7, r"int \(7\)"), (["a"], "list"), ({"a": 1}, "dict")])
def test_what_is_no_text_is_refused_with_its_row(value: object, says: str) -> None:
    with pytest.raises(CorpusError, match=rf"row 2: `text` must hold text; it holds {says}"):
        read({"text": "a"}, {"text": value}, field="text")


def test_half_a_character_is_refused() -> None:
    with pytest.raises(CorpusError, match="row 1: `text` has half of a surrogate pair"):
        read({"text": "a \ud83d b"})
