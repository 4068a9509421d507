"""Where a vector is read: one notation, one way of counting, and errors that say how to count."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from valens.errors import SiteError
from valens.layers.sites import HOOKS, Site, Stream, first_layer, layers_of

addresses = st.tuples(st.sampled_from(Stream), st.integers(0, 200), st.booleans())


@given(addresses)
def test_an_address_is_read_back_as_it_was_written(address):
    stream, layer, norm = address
    assume(layer >= first_layer(stream) and (stream is Stream.HIDDEN or not norm))
    site = Site(stream, layer, norm)
    assert Site.parse(str(site)) == site
    assert Site.parse(f"  {site} ") == site


def test_addresses_look_as_in_the_paper():
    assert str(Site(Stream.VALUES, 26)) == "values@26"
    assert str(Site(Stream.HIDDEN, 28, norm=True)) == "hidden@28:norm"


@pytest.mark.parametrize(
    ("address", "hook"),
    [
        ("hidden@0", "blocks.0.hook_in"),
        ("hidden@1", "blocks.0.hook_out"),
        ("hidden@30:norm", "blocks.29.hook_out"),
        ("values@1", "blocks.0.attn.hook_v"),
        ("heads@2", "blocks.1.attn.hook_z"),
        ("attn_out@3", "blocks.2.hook_attn_out"),
        ("pattern@4", "blocks.3.attn.hook_pattern"),
    ],
)
def test_layer_l_is_block_l_counted_from_one(address, hook):
    assert Site.parse(address).hook == hook


def test_only_the_residual_stream_has_a_layer_0():
    assert {stream: layers_of(stream, 30)[0] for stream in Stream} == {
        stream: 0 if stream is Stream.HIDDEN else 1 for stream in Stream
    }
    assert all(layers_of(stream, 30)[-1] == 30 for stream in HOOKS)


@pytest.mark.parametrize("text", ["values", "values@", "values@-1", "values@1:raw", "26", "", "hidden@1.5", "Values@2"])
def test_what_is_no_address_is_shown_how_to_write_one(text):
    with pytest.raises(SiteError, match="Write stream@layer, as `values@26`"):
        Site.parse(text)


def test_an_unknown_stream_is_told_the_streams_there_are():
    with pytest.raises(SiteError, match=r"no stream 'value'. The streams are hidden, values, heads, attn_out, pattern"):
        Site.parse("value@3")


@pytest.mark.parametrize("stream", [stream for stream in Stream if stream is not Stream.HIDDEN])
def test_what_is_computed_inside_a_block_has_neither_layer_0_nor_a_final_norm(stream):
    with pytest.raises(SiteError, match="layers from 1; 0 was asked for"):
        Site(stream, 0)
    with pytest.raises(SiteError, match="`hidden@3:norm`, not"):
        Site(stream, 3, norm=True)


def test_a_layer_above_the_last_is_told_how_to_count():
    site = Site(Stream.HIDDEN, 31)
    site.check(31, "deep")
    with pytest.raises(SiteError) as error:
        site.check(30, "SmolLM2-135M")
    assert str(error.value) == (
        "SmolLM2-135M has layers 0..30 for hidden; 31 was asked for. Count from 1; 0 is the input of the first block."
    )
