"""What was probably meant: the nearest known name as it is spelt, in any case, and silence where none is near."""

from __future__ import annotations

from valens.errors import did_you_mean

KNOWN = ("LeeSTS", "WikiRetrieval", "WikiReranking")


def test_the_name_is_given_as_it_is_spelt() -> None:
    assert did_you_mean("leests", KNOWN) == did_you_mean("LeeSTT", KNOWN) == "Did you mean LeeSTS? "


def test_several_stand_with_the_nearest_first() -> None:
    assert did_you_mean("wikireranking", KNOWN, n=2) == "Did you mean WikiReranking or WikiRetrieval? "


def test_what_is_like_nothing_has_no_hint() -> None:
    assert did_you_mean("zzz", KNOWN) == did_you_mean("", KNOWN) == ""
