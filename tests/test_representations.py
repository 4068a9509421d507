"""Readings and the paper's representations: named once, read back as written."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from valens.errors import PromptError, RepresentationError, SiteError
from valens.layers.sites import Stream
from valens.representations.named import REPRESENTATIONS, Representation, representation
from valens.representations.poolings import Pooling
from valens.representations.prompts import PLAIN, Prompt
from valens.representations.readings import Reading

readings = st.builds(lambda *parts: parts, st.sampled_from(Stream), st.sampled_from(Pooling), st.booleans())


@given(readings)
def test_a_reading_is_read_back_as_it_was_written(parts):
    stream, pooling, norm = parts
    assume(stream is Stream.HIDDEN or not norm)
    assume(stream is not Stream.PATTERN or not pooling.sees_vectors)
    reading = Reading(stream, pooling, norm)
    assert Reading.parse(str(reading)) == reading


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("VA", "values/mean"),
        ("HS", "hidden/mean"),
        ("HS-but-first", "hidden/but-first"),
        ("LT", "hidden/last"),
        ("WMP", "hidden/weighted"),
        ("WVA", "heads/last"),
        ("AlignedWVA", "attn_out/last"),
    ],
)
def test_the_papers_names(name, reading):
    found = representation(name)
    assert (found.name, str(found.reading), found.prompt) == (name, reading, PLAIN)
    assert representation(f" {name.lower()} ") is found


def test_every_representation_is_found_under_its_own_name():
    assert all(representation(str(known)) is known for known in REPRESENTATIONS.values())


def test_a_reading_makes_a_representation():
    made = representation("hidden:norm/weighted")
    assert made.reading == Reading(Stream.HIDDEN, Pooling.WEIGHTED, norm=True)
    assert str(made) == "hidden:norm/weighted"


def test_layers_are_the_streams():
    assert Reading.parse("hidden/mean").layers(30) == range(31)
    assert Reading.parse("values/mean").layers(30) == range(1, 31)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("VAA", "no representation 'VAA'. Did you mean VA"),
        ("zzz", "Choose of VA, HS, HS-but-first, LT, WMP, WVA, AlignedWVA"),
        ("value/mean", "no stream 'value'"),
        ("values/max", "no pooling 'max'"),
        ("values:norm/mean", "final norm reads the residual stream only"),
        ("values/mean/mean", "not a valid reading. Write stream/pooling"),
        ("hidden/my-pooling", r"vl.Reading\(\"hidden\", vl.CustomPooling\(\"my-pooling\", function\)\), not by name"),
        ("values/first-half~c6b623", r"vl.CustomPooling\(\"first-half\", function\)"),
        ("pattern/mean", "they make no embedding"),
    ],
)
def test_what_does_not_exist_is_told_what_does(name, what):
    with pytest.raises(RepresentationError, match=what):
        representation(name)


def test_a_reading_and_a_prompt_may_be_given_as_they_are_written():
    topic = Representation("Topic", "hidden/last", prompt="Topic: {text}")
    assert topic == Representation("Topic", Reading(Stream.HIDDEN, Pooling.LAST), Prompt("Topic: {text}"))


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        (("hidden/max",), RepresentationError, "no pooling 'max'"),
        (("stream/last",), SiteError, "no stream 'stream'"),
        (("hidden/last", "Topic:"), PromptError, r"has \{text\} in it exactly once; got 'Topic:'"),
    ],
)
def test_what_makes_no_representation_is_refused_where_it_is_given(parts, error, says):
    with pytest.raises(error, match=says):
        Representation("Topic", *parts)


def test_the_norm_is_the_residual_streams():
    with pytest.raises(SiteError, match="residual stream only"):
        Reading(Stream.HEADS, Pooling.LAST, norm=True)
