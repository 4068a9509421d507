"""Figure 3 from a table alone: what is on it, where, and that all of it can be read."""

from __future__ import annotations

import re
from itertools import combinations, product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

import valens as vl
from probes.layer_sweep.figure import TASK_TYPE_COLOURS, layer_curves
from valens import tasks
from valens.errors import ResultError
from valens.layers.layer_set import LayerSet
from valens.plotting import save_figure
from valens.plotting.style import REPRESENTATION_COLOURS, THIN

TYPES = ("STS", "Retrieval", "Reranking", "Clustering", "Classification")


def scores(
    representation: str = "VA", model: str = "tiny", layers: range = range(1, 31), seed: int = 0
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {"layer": layer, "depth": layer / 30, "task": f"a {name}", "task_type": name, "score": rng.uniform(0.2, 0.9)}
        for name in TYPES
        for layer in layers
    ]
    table = pd.DataFrame(rows).assign(model=model, representation=representation)
    return table.assign(low=table.score - 0.1, high=table.score + 0.1)


def words(model: str = "tiny") -> pd.DataFrame:
    row = {
        "layer": None,
        "depth": None,
        "model": model,
        "representation": "TF-IDF",
        "score": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    return pd.DataFrame([row | {"task": f"a {name}", "task_type": name} for name in TYPES])


def joined(*parts: pd.DataFrame) -> pd.DataFrame:
    kinds = {"layer": "Int64", "depth": "Float64"}
    return pd.concat([part.astype(kinds) for part in parts], ignore_index=True)


TABLES = {
    "one representation": joined(words(), scores()),
    "without words": joined(scores()),
    "two representations": joined(words(), scores(), scores("HS", layers=range(31), seed=1)),
    "two models": joined(words(), words("other"), scores(), scores(model="other", seed=2)),
    "two models, two representations": joined(
        *(scores(name, model) for model in ("tiny", "other") for name in ("VA", "HS"))
    ),
    "all types": joined(words(), scores(), scores(seed=2).assign(task_type="PairClassification")),
    "several tasks of a type": joined(words(), scores(), scores(seed=3).assign(task="another")),
    "few layers": joined(words(), scores(layers=range(9, 12)), scores("HS", layers=range(9, 12))),
    "one layer": joined(words(), scores(layers=range(9, 10))),
    "long names": joined(
        *(scores(name, "HuggingFaceTB/SmolLM2-360M-Instruct") for name in ("hidden:norm/weighted", "attn_out/weighted"))
    ),
}
CHOSEN = {("tiny", "VA"): LayerSet.of([9, 10, 28]), ("tiny", "HS"): LayerSet.of([10])}


@pytest.fixture(scope="module", params=TABLES)
def drawn(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, Figure]:
    """Each table with its figure, laid out."""
    table = TABLES[request.param]
    figure = layer_curves(table, chosen=CHOSEN)
    figure.draw_without_rendering()
    return table, figure


def panels(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.axes if axis.get_xlabel() == "layer"]


def unwrapped(axis: Axes) -> str:
    """A panel's title as it was before it was wrapped: a line ends behind a space, which is dropped, or within a name."""
    return axis.get_title(loc="left").replace("\n", "").replace(" ·", "·").replace("·", " · ").replace("·  ", "· ")


def curve(axis: Axes, task_type: str) -> tuple[np.ndarray, np.ndarray]:
    """The line of a task type: the one that is not thin."""
    (line,) = [line for line in solid(axis, task_type) if line.get_linewidth() > THIN]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float)


def solid(axis: Axes, task_type: str) -> list[Line2D]:
    """The lines of a task type, told by its colour among those without marks, inside the axes."""
    return [
        line
        for line in axis.lines
        if line.get_color() == TASK_TYPE_COLOURS[task_type]
        and line.get_marker() == "None"
        and line.get_clip_on()  # the baseline stands beside the axes
    ]


def marks(axis: Axes) -> dict[str, tuple[float, float]]:
    found = {line.get_color(): line.get_xydata()[0] for line in axis.lines if line.get_marker() == "o"}
    return {name: tuple(found[colour]) for name, colour in TASK_TYPE_COLOURS.items() if colour in found}


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_every_line_is_the_table_s_with_its_band_and_its_best_layer(drawn: tuple[pd.DataFrame, Figure]) -> None:
    table, figure = drawn
    single = table[table.layer.notna()]
    shown = list(dict.fromkeys(zip(single.model, single.representation, strict=True)))
    by_title = {unwrapped(axis): axis for axis in panels(figure)}
    assert set(by_title) == {f"{representation} · {model}" for model, representation in shown}
    for model, representation in shown:
        axis = by_title[f"{representation} · {model}"]
        part = single[(single.model == model) & (single.representation == representation)]
        assert sum(isinstance(band, PolyCollection) for band in axis.collections) == part.task_type.nunique()
        for task_type, ours in part.groupby("task_type"):
            mean = ours.groupby("layer").score.mean()
            x, y = curve(axis, task_type)
            np.testing.assert_array_equal(x, mean.index)
            np.testing.assert_allclose(y, mean)
            assert marks(axis)[task_type] == pytest.approx((mean.idxmax(), mean.max()))


def test_every_line_has_its_name_beside_it_and_in_its_colour(drawn: tuple[pd.DataFrame, Figure]) -> None:
    _, figure = drawn
    for axis in panels(figure):
        ends = {name: curve(axis, name)[1][-1] for name in TASK_TYPE_COLOURS if solid(axis, name)}
        labels = {text.get_text().replace("\n", ""): text for text in axis.texts}
        assert set(labels) == set(ends)
        heights = [labels[name].get_window_extent().y0 for name in sorted(ends, key=ends.get)]
        assert heights == sorted(heights)
        assert all(to_rgb(label.get_color()) == to_rgb(TASK_TYPE_COLOURS[name]) for name, label in labels.items())


def test_two_models_stand_side_by_side_and_what_one_lacks_is_left_free() -> None:
    figure = layer_curves(joined(scores(), scores("HS"), scores("VA", "other")), chosen=CHOSEN)
    boxes = {axis.get_title(loc="left"): axis.get_position() for axis in panels(figure)}
    assert set(boxes) == {"VA · tiny", "HS · tiny", "VA · other"}
    assert boxes["VA · tiny"].y0 == pytest.approx(boxes["VA · other"].y0)
    assert boxes["VA · tiny"].x0 == pytest.approx(boxes["HS · tiny"].x0)
    assert boxes["VA · tiny"].x0 < boxes["VA · other"].x0
    assert boxes["VA · tiny"].y0 > boxes["HS · tiny"].y0


def test_tasks_of_one_type_are_thin_lines_and_their_mean() -> None:
    table = joined(scores(), scores(seed=1).assign(task="another"))
    (axis,) = panels(layer_curves(table))
    _, y = curve(axis, "STS")
    ours = table[table.task_type == "STS"]
    np.testing.assert_allclose(y, ours.groupby("layer").score.mean())
    thin = [line.get_ydata() for line in solid(axis, "STS") if line.get_linewidth() == THIN]
    np.testing.assert_array_equal(thin, [part.score for _, part in ours.groupby("task", sort=False)])


def bands(axis: Axes) -> dict[tuple[float, float, float], np.ndarray]:
    """The lowest and highest edge of each band, by its colour."""
    found = {}
    for band in axis.findobj(PolyCollection):
        corners = band.get_paths()[0].vertices
        edges = [corners[corners[:, 0] == x, 1] for x in sorted(set(corners[:, 0]))]
        found[to_rgb(band.get_facecolor()[0][:3])] = np.array([(y.min(), y.max()) for y in edges])
    return found


def test_the_band_of_several_tasks_is_that_of_their_mean() -> None:
    """Replicates of two tasks that go up and down against each other have a mean that does not move at all."""
    table = joined(scores(layers=range(1, 4)), scores(layers=range(1, 4), seed=1).assign(task="another"))
    turns = {"another": -1.0}
    replicates = pd.concat(
        [
            pd.DataFrame({"resample": range(41), "value": row.score + turns.get(row.task, 1.0) * np.linspace(-0.1, 0.1, 41)})
            .assign(model=row.model, representation=row.representation, task=row.task, layer=row.layer)
            for row in table[table.task_type == "STS"].itertuples()
        ]
    )  # fmt: skip
    only = table[table.task_type == "STS"]
    (wide,), (narrow,) = panels(layer_curves(only)), panels(layer_curves(only, replicates=replicates))
    colour = to_rgb(TASK_TYPE_COLOURS["STS"])
    means = only.groupby("layer").score.mean().to_numpy()
    np.testing.assert_allclose(bands(wide)[colour], np.stack([means - 0.1, means + 0.1], axis=1))
    np.testing.assert_allclose(bands(narrow)[colour], np.stack([means, means], axis=1))
    assert (wide.get_ylabel(), narrow.get_ylabel()) == ("score (mean of 95 % bounds)", "score (band: 95 % interval)")


def test_every_panel_can_be_read_where_the_first_of_its_row_is_left_free() -> None:
    figure = layer_curves(joined(scores(), scores("VA", "other"), scores("HS", "other")))
    figure.draw_without_rendering()
    (lone,) = [axis for axis in panels(figure) if axis.get_title(loc="left") == "HS · other"]
    assert lone.get_ylabel()
    assert [tick for tick in lone.get_yticklabels() if tick.get_visible() and tick.get_text()]


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = TABLES["one representation"]
    (straight,), (mixed,) = panels(layer_curves(table)), panels(layer_curves(table.sample(frac=1, random_state=0)))
    for task_type in TYPES:
        np.testing.assert_array_equal(curve(straight, task_type), curve(mixed, task_type))


def test_the_chosen_layers_are_shaded_each_panel_its_own() -> None:
    figure = layer_curves(TABLES["two representations"], chosen=CHOSEN)
    for axis, name in zip(panels(figure), ("VA", "HS"), strict=True):
        shades = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
        assert {shade.get_x() + shade.get_width() / 2 for shade in shades} == set(CHOSEN["tiny", name])


def test_a_task_type_is_recognised_by_its_colour() -> None:
    known = [task.task_type for task in vars(tasks).values() if hasattr(task, "task_type")]
    assert known
    assert set(known) <= set(TASK_TYPE_COLOURS)
    # 0.2 of the colour cube's side: a difference that is seen at a glance.
    assert all(
        np.linalg.norm(np.subtract(to_rgb(a), to_rgb(b))) > 0.2 for a, b in combinations(TASK_TYPE_COLOURS.values(), 2)
    )


def test_undefined_scores_are_gaps_and_a_line_without_any_has_no_best() -> None:
    table = TABLES["one representation"].copy()
    table.loc[(table.task_type == "STS") & (table.layer == 3), ["score", "low", "high"]] = np.nan
    table.loc[table.task_type == "Retrieval", ["score", "low", "high"]] = np.nan
    (axis,) = panels(layer_curves(table))
    assert np.isnan(curve(axis, "STS")[1][2])
    assert set(marks(axis)) == set(TYPES) - {"Retrieval"}


def test_a_table_without_layers_is_refused() -> None:
    with pytest.raises(ResultError, match="no single-layer scores to draw"):
        layer_curves(words())


@pytest.mark.parametrize("lost", ["model", "depth", "task_type"])
def test_a_table_that_is_no_sweep_s_is_refused_with_what_it_lacks(lost: str) -> None:
    with pytest.raises(ResultError, match=rf"^The table has no column '{lost}'\. .*valens\.plotting\.by_layer.*\.$"):
        layer_curves(scores().drop(columns=lost))


# --- any scores by layer ----------------------------------------------------------------------------------------------


def bare(representations: tuple[str, ...] = ("VA",), **others: tuple[object, ...]) -> pd.DataFrame:
    keys = {"layer": (1, 2, 3), "representation": representations, **others}
    table = pd.DataFrame(list(product(*keys.values())), columns=list(keys))
    return table.assign(score=np.linspace(0.2, 0.8, len(table)))


def test_a_line_a_representation_with_its_band() -> None:
    table = bare(("VA", "HS"))
    table = table.assign(depth=table.layer / 4, low=table.score - 0.1, high=table.score + 0.1)
    (axis,) = panels(vl.plotting.by_layer(table.sample(frac=1, random_state=0), ylabel="score", heading="Mine"))
    for name in ("VA", "HS"):
        ours, colour = table[table.representation == name], REPRESENTATION_COLOURS[name]
        (line,) = [line for line in axis.lines if line.get_color() == colour]
        np.testing.assert_array_equal(line.get_xdata(), ours.layer)
        np.testing.assert_array_equal(line.get_ydata(), ours.score)
        np.testing.assert_allclose(bands(axis)[to_rgb(colour)], ours[["low", "high"]])
    assert {text.get_text() for text in axis.texts} == {"VA", "HS"}
    assert axis.child_axes[0].get_xlabel() == "depth (share of layers)"
    assert plt.get_fignums() == []


def test_a_table_may_leave_out_representation_band_and_depth_and_have_rows_without_a_layer() -> None:
    table = bare().drop(columns="representation")
    whole = pd.concat([table, pd.DataFrame({"score": [0.5]})]).astype({"layer": "Int64"})
    (axis,) = panels(vl.plotting.by_layer(whole))
    (line,) = axis.lines
    np.testing.assert_array_equal(line.get_ydata(), table.score)
    assert axis.child_axes == []


@pytest.mark.parametrize(
    ("others", "panel", "titles"),
    [
        ({"metric": ("recall@1", "MRR")}, None, ["recall@1", "MRR"]),
        ({"metric": ("accuracy",), "task": ("A", "B")}, None, ["A", "B"]),
        ({"offset": (1, 2)}, "offset", ["1", "2"]),
    ],
    ids=str,
)
def test_a_panel_each_metric_task_or_what_was_named(others: dict, panel: str | None, titles: list[str]) -> None:
    figure = vl.plotting.by_layer(bare(**others), panel=panel)
    assert [axis.get_title(loc="left") for axis in panels(figure)] == titles


@pytest.mark.parametrize(
    ("table", "panel", "said"),
    [
        (pd.DataFrame(), None, "no column 'layer'; it has none"),
        (bare().drop(columns="layer"), None, "no column 'layer'; it has representation, score"),
        (bare().drop(columns="score"), None, "no column 'score'"),
        (bare(), "metric", "no column 'metric'"),
        (bare().head(0), None, "no row with a layer"),
        (words(), None, "no row with a layer"),
        (bare(direction=("to", "fro")), None, "several scores for layer 1 of 'VA'. They differ in direction: keep one"),
        (pd.concat([bare(), bare()]), None, "several scores for layer 1 of 'VA'. Keep one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_that_has_no_scores_by_layer_is_refused_in_a_line(
    table: pd.DataFrame, panel: str | None, said: str
) -> None:
    with pytest.raises(ResultError, match=re.escape(said)) as refused:
        vl.plotting.by_layer(table, panel=panel)
    assert "\n" not in str(refused.value)


# --- that it can be read ----------------------------------------------------------------------------------------------


def test_axes_are_labelled_in_whole_layers_and_in_depth(drawn: tuple[pd.DataFrame, Figure]) -> None:
    _, figure = drawn
    for axis in panels(figure):
        assert len(axis.get_xticks())
        assert set(axis.get_xticks()) <= set(curve(axis, "STS")[0])
        (above,) = axis.child_axes
        assert above.get_xlabel() == "depth (share of layers)"
        left, right = axis.get_xlim()
        assert above.get_xlim() == pytest.approx((left / 30, right / 30))
    assert panels(figure)[0].get_ylabel()


def test_no_text_is_cut_or_lies_on_another(drawn: tuple[pd.DataFrame, Figure]) -> None:
    _, figure = drawn
    texts = [text.get_window_extent() for text in figure.legends[0].get_texts()]
    for axis in panels(figure):
        texts += [axis._left_title.get_window_extent(), axis.xaxis.label.get_window_extent()]
        texts += [axis.child_axes[0].xaxis.label.get_window_extent()]
        texts += [text.get_window_extent() for text in axis.texts]
    for box in [*texts, *(axis.get_tightbbox() for axis in figure.axes)]:
        assert figure.bbox.padded(1).contains(box.x0, box.y0), box  # a pixel for the roundness of letters
        assert figure.bbox.padded(1).contains(box.x1, box.y1), box
    assert not [pair for pair in combinations(texts, 2) if pair[0].overlaps(pair[1])]


def test_the_legend_says_what_no_label_does(drawn: tuple[pd.DataFrame, Figure]) -> None:
    table, figure = drawn
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    several = table.dropna().groupby(["model", "representation", "task_type"]).task.nunique().max() > 1
    extra = ["TF-IDF"] if "TF-IDF" in set(table.representation) else []
    assert names == ["best layer", *(["mean of a type", "task"] if several else []), *extra, "chosen set"]


def test_the_reader_s_matplotlib_is_as_it_was(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_figure(layer_curves(TABLES["two models"]), tmp_path, "figure3")
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_the_files_are_what_a_paper_takes(tmp_path: Path) -> None:
    figure = layer_curves(TABLES["two representations"])
    pdf, png = save_figure(figure, tmp_path / "new", "figure3")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"figure3.pdf", "figure3.png"}
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Type3" not in content  # publishers refuse bitmap-like fonts
    assert png.read_bytes().startswith(b"\x89PNG")
    assert plt.imread(png).shape[1] >= 190 * figure.get_figwidth()  # 200 dots an inch, less what is trimmed
