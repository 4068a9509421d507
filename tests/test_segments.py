"""Cutting documents: where the cuts lie, what they depend on, what is left out, and how little has to be read."""

from __future__ import annotations

import random

import pytest
import tiny
from tokenizers.processors import TemplateProcessing

from probes.segment_matching.segments import SHORTEST, Pair, Segments, cut
from valens.errors import CorpusError
from valens.representations.prompts import Prompt

TOKENIZER = tiny.tokenizer()
BOS = (TOKENIZER.bos_token_id,)


def documents(n: int, *, seed: int = 0, longest: int = 90) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(f"w{chance.randrange(5, 97)}" for _ in range(chance.randint(SHORTEST, longest))) for _ in range(n)]


def body(text: str) -> tuple[int, ...]:
    """A text's own tokens, without what the tokenizer adds."""
    return tuple(TOKENIZER(text, add_special_tokens=False)["input_ids"])


TEXTS = documents(40)
COUNTED = " ".join(f"w{5 + n}" for n in range(40))
"""Forty different tokens, so that a token says where it stands."""


def sides(pair: Pair) -> tuple[tuple[int, ...], tuple[int, ...]]:
    assert pair.prefix.ids[:1] == pair.suffix.ids[:1] == BOS, "each segment begins as any text does"
    return pair.prefix.ids[1:], pair.suffix.ids[1:]


def test_the_two_segments_are_the_document() -> None:
    segments = cut(TOKENIZER, TEXTS, max_tokens=200)
    assert segments.documents == tuple(range(40))
    for text, pair in zip(TEXTS, segments.resplits[0], strict=True):
        prefix, suffix = sides(pair)
        assert prefix + suffix == body(text)


def test_the_cut_is_uniform_between_a_quarter_and_three_quarters() -> None:
    """Of 40 tokens, every cut from 10 to 30 occurs in 1,000 resplits (each is missed with probability 1e-21), no other does,
    and the counts of the 21 places pass a chi-squared bound that one seed in a million would miss."""
    segments = cut(TOKENIZER, [COUNTED], max_tokens=200, resplits=1000)
    places = [len(sides(pairs[0])[0]) for pairs in segments.resplits]
    assert set(places) == set(range(10, 31))
    expected = 1000 / 21
    assert sum((places.count(place) - expected) ** 2 / expected for place in range(10, 31)) < 66


@pytest.mark.parametrize("width", [1, 8, 15])
def test_so_many_tokens_on_each_side_of_the_cut(width: int) -> None:
    own = body(COUNTED)
    segments = cut(TOKENIZER, [COUNTED], max_tokens=200, resplits=200, segment_tokens=width)
    starts = set()
    for pairs in segments.resplits:
        prefix, suffix = sides(pairs[0])
        start = own.index(suffix[0])
        starts.add(start)
        assert prefix == own[start - width : start]
        assert suffix == own[start : start + width]
    assert starts == set(range(max(10, width), min(30, 40 - width) + 1))


def test_a_documents_cut_does_not_depend_on_the_others() -> None:
    every, few = cut(TOKENIZER, TEXTS, max_tokens=200), cut(TOKENIZER, TEXTS[7:12][::-1], max_tokens=200)
    assert few.resplits[0][::-1] == every.resplits[0][7:12]


def test_seed_and_resplit_decide_the_cuts() -> None:
    first, again, other = (cut(TOKENIZER, TEXTS, max_tokens=200, seed=seed, resplits=2) for seed in (0, 0, 1))
    assert first == again
    assert first.resplits[0] != first.resplits[1]
    assert first.resplits[0] != other.resplits[0]


def test_only_what_is_used_is_compared_and_counted() -> None:
    """Two documents that differ beyond the limit, or by case and signs, are one; the first of them stays."""
    twin = COUNTED + " w50 w51"
    segments = cut(TOKENIZER, ["w9 w8", TEXTS[0], COUNTED, twin, TEXTS[1]], max_tokens=41)
    assert segments.documents == (1, 2, 4)
    assert (segments.short, segments.repeated) == (1, 1)
    assert segments.truncated == sum(len(body(text)) > 40 for text in (TEXTS[0], COUNTED, TEXTS[1]))
    assert all(len(pair.prefix) + len(pair.suffix) <= 42 for pair in segments.resplits[0])


def test_documents_too_short_for_the_asked_segments_are_left_out() -> None:
    segments = cut(TOKENIZER, TEXTS, max_tokens=200, segment_tokens=20)
    assert segments.documents == tuple(place for place, text in enumerate(TEXTS) if len(body(text)) >= 40)
    assert segments.short == len(TEXTS) - len(segments.documents) > 0


def read(segments: Segments) -> set[tuple[int, ...]]:
    return {tokens.ids[:end] for tokens, ends in segments.passages() for end in ends}


def wanted(segments: Segments) -> set[tuple[int, ...]]:
    return {side.ids for pairs in segments.resplits for pair in pairs for side in (pair.prefix, pair.suffix)}


@pytest.mark.parametrize("settings", [{}, {"resplits": 5}, {"resplits": 5, "segment_tokens": 6}], ids=str)
def test_every_segment_is_read_and_nothing_else(settings: dict) -> None:
    segments = cut(TOKENIZER, TEXTS, max_tokens=200, **settings)
    assert read(segments) == wanted(segments)


def test_the_prefixes_of_a_document_are_read_in_one_pass() -> None:
    segments = cut(TOKENIZER, [COUNTED], max_tokens=200, resplits=50)
    (prefix, ends), *suffixes = segments.passages()
    assert len(prefix) == max(ends)
    assert len(ends) == len(suffixes) == len({pairs[0] for pairs in segments.resplits})


def test_what_a_tokenizer_puts_at_the_end_is_at_the_end_of_every_segment() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A w1", special_tokens=[("w1", 1)])
    segments = cut(tokenizer, TEXTS, max_tokens=200, resplits=3)
    assert all(segment[-1] == 1 for segment in wanted(segments))
    assert read(segments) == wanted(segments)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"segment_tokens": 0}, "--segment-tokens 0"), ({"resplits": 0}, "--resplits 0")],
)
def test_settings_that_leave_nothing_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        cut(TOKENIZER, TEXTS, max_tokens=200, **settings)


def test_a_word_that_is_unknown_belongs_to_its_document_alone() -> None:
    """The token for it is a special one, and the first of the text, but nothing that is put before any text."""
    (pair,) = cut(TOKENIZER, [f"unheard {COUNTED}"], max_tokens=200).resplits[0]
    prefix, suffix = sides(pair)
    assert prefix + suffix == (0, *body(COUNTED))


@pytest.mark.parametrize(("bos", "head"), [("auto", BOS), ("always", BOS), ("never", ())])
@pytest.mark.parametrize("pool_over", ["all", "text"])
def test_each_segment_begins_as_the_policy_has_it(bos: str, head: tuple[int, ...], pool_over: str) -> None:
    """And pools what the policy has it pool; where it is cut hangs on the tokens alone."""
    segments = cut(TOKENIZER, [COUNTED], max_tokens=200, resplits=3, prompt=Prompt(bos=bos, pool_over=pool_over))
    for (pair,) in segments.resplits:
        for side in (pair.prefix, pair.suffix):
            assert side.ids[: len(head)] == head
            own = len(side) - len(head)
            assert side.pooling_mask == (pool_over == "all",) * len(head) + (True,) * own
        assert pair.prefix.ids[len(head) :] + pair.suffix.ids[len(head) :] == body(COUNTED)
    pooled_otherwise = cut(TOKENIZER, [COUNTED], max_tokens=200, resplits=3, prompt=Prompt(bos=bos))
    assert wanted(segments) == wanted(pooled_otherwise)
    assert read(segments) == wanted(segments)


def test_a_token_that_the_tokenizer_does_not_put_first_may_always_be_put_first() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A w1", special_tokens=[("w1", 1)])
    (pair,) = cut(tokenizer, [COUNTED], max_tokens=200, prompt=Prompt(bos="always")).resplits[0]
    assert [(side.ids[0], side.ids[-1]) for side in (pair.prefix, pair.suffix)] == [(2, 1)] * 2
