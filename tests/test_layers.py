"""Layer sets: the notation is read back as it was written, and mistakes are answered with what to write."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valens.errors import LayerSetError
from valens.layers.layer_set import LayerSet

DEPTH = 80
some_layers = st.sets(st.integers(0, DEPTH), min_size=1)


@given(some_layers)
def test_a_set_is_read_back_as_it_was_written(layers):
    chosen = LayerSet.of(layers)
    assert LayerSet.parse(str(chosen), DEPTH) == chosen
    assert list(chosen) == sorted(layers)
    assert len(chosen) == len(layers)
    assert all(layer in chosen for layer in layers)


@given(st.lists(st.integers(0, DEPTH), min_size=1))
def test_order_and_repeats_do_not_matter(layers):
    assert LayerSet.of(layers) == LayerSet.of(reversed(layers)) == LayerSet.parse(",".join(map(str, layers)), DEPTH)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("26,27,29-31", [26, 27, 29, 30, 31]),
        ("20-27", range(20, 28)),
        (" 3 , 1-2 ", [1, 2, 3]),
        ("0", [0]),
        ("7-7", [7]),
        ("ALL", range(1, 33)),
        ("half", range(16, 33)),
        ("layers 12–14, 22", [12, 13, 14, 22]),
        ("Layer 7", [7]),
        ("layers half", range(16, 33)),
        ("1 - 3", [1, 2, 3]),
    ],
)
def test_notation(text, layers):
    assert LayerSet.parse(text, 32).layers == tuple(layers)


def test_the_papers_two_sets_are_written_as_it_writes_them():
    assert str(LayerSet.of(range(20, 28))) == "20-27"
    assert str(LayerSet.of([26, 27, 29, 30, 31])) == "26,27,29-31"


@given(st.integers(1, 200))
def test_half_is_the_deep_half_of_all(n_layers):
    every, half = LayerSet.all(n_layers), LayerSet.half(n_layers)
    assert every.layers == tuple(range(1, n_layers + 1))
    assert set(half) <= set(every)
    assert half.layers[0] == max(n_layers // 2, 1)
    assert half.layers[-1] == n_layers


@given(some_layers)
def test_depth_is_a_fraction_of_the_model(layers):
    assert LayerSet.of(layers).depths(DEPTH) == tuple(layer / DEPTH for layer in sorted(layers))


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "-3", "1--2", "1,,2", "1;2", "1.5", "most", "layers", "players 3", "1—2"]
)
def test_what_is_no_set_is_shown_how_to_write_one(text):
    with pytest.raises(LayerSetError, match="Write a layer set as `20-27`, `26,27,29-31`, `all` or `half`"):
        LayerSet.parse(text, DEPTH)


def test_a_span_that_runs_backwards_is_turned_round():
    with pytest.raises(LayerSetError, match="smaller layer first: 20-27"):
        LayerSet.parse("27-20", DEPTH)


@pytest.mark.parametrize(("text", "wrong"), [("31", 31), ("1,29-40", 40), ("1-99999999999", 99999999999)])
def test_a_layer_that_the_model_does_not_have_is_refused_at_once(text, wrong):
    start = time.monotonic()
    with pytest.raises(LayerSetError, match=rf"layers 1\.\.30; {wrong} was asked for .* Count from 1"):
        LayerSet.parse(text, 30)
    assert time.monotonic() - start < 1  # counting to 10^11 would take hours and all memory


@pytest.mark.parametrize("layers", [(), (2, 1), (1, 1), (-1, 2)])
def test_a_set_is_increasing_and_not_empty(layers):
    with pytest.raises(LayerSetError, match=r"Use LayerSet.of"):
        LayerSet(layers)


# --- another depth ----------------------------------------------------------------------------------------------------

depths = st.integers(1, DEPTH)


@given(st.data(), depths, depths)
def test_layers_stay_at_their_depth_within_the_other_model(data, n_layers, to):
    layers = LayerSet.of(data.draw(st.sets(st.integers(1, n_layers), min_size=1)))
    moved = layers.transferred(n_layers, to)
    assert 1 <= moved.layers[0] <= moved.layers[-1] <= to
    assert len(moved) <= len(layers)
    nearest = [min(abs(layer / n_layers - other / to) for other in moved) for layer in layers]
    assert max(nearest) <= max(0.5 / to, 1 / to - 1 / n_layers) + 1e-9  # the first layer may be asked to be shallower


@given(some_layers, depths)
def test_to_the_same_depth_nothing_moves_and_to_a_multiple_nothing_is_lost(layers, times):
    chosen = LayerSet.of(layers)
    assert chosen.transferred(DEPTH, DEPTH) == chosen
    assert list(chosen.transferred(DEPTH, times * DEPTH)) == [times * layer for layer in chosen]
    assert chosen.transferred(DEPTH, times * DEPTH).transferred(times * DEPTH, DEPTH) == chosen


def test_the_paper_s_set_for_qwen3_by_hand():
    """26, 27, 29, 30 and 31 of 36 are at 20.2, 21, 22.6, 23.3 and 24.1 of 28: two fall on 23."""
    assert str(LayerSet.parse("26,27,29-31", 36).transferred(36, 28)) == "20,21,23,24"


@pytest.mark.parametrize(("n_layers", "to"), [(30, 28), (36, 0), (0, 28)])
def test_a_set_goes_from_a_model_that_has_it_to_one_with_layers(n_layers, to):
    with pytest.raises(LayerSetError, match=f"from a model of {n_layers} layers to one of {to}"):
        LayerSet.parse("26,27,29-31", 36).transferred(n_layers, to)
