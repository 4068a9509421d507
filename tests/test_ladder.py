"""The ladder: its rungs are what a bare forward and numpy give, its verdicts are those of cases worked by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from scipy import stats
from shell import Shell, shell, tiny_folder  # noqa: F401
from small_suite import CLASSIFICATION, RETRIEVAL, STS, SUITE, TEXTS
from tiny import one_thread  # noqa: F401

from probes.catalogue import read_result
from probes.ladder.names import HS, NORMED, STEPS, UNIT, VA
from probes.ladder.probe import Ladder, ladder
from probes.ladder.result import LadderResult
from probes.ladder.rungs import Rung, rungs
from probes.ladder.scores import OWN_LAYER, OWN_SET, RungScores
from probes.ladder.verdicts import judged, verdict_table, way_table
from valens.corpora import Corpus
from valens.errors import LayerSetError, PostprocessingError, ProbeError, ResultError, SelectionError
from valens.evaluation.suite_scores import FIRST, SECOND
from valens.extraction.capture import Batch, capturing
from valens.layers.layer_set import LayerSet
from valens.layers.sites import Stream
from valens.metrics import classifiers
from valens.model import loading
from valens.model.model import Model
from valens.representations import prompts
from valens.representations.poolings import Pooling
from valens.representations.readings import Reading
from valens.selectors import AVERAGE, TaskCurve
from valens.tasks import Suite
from valens.testing import check_probe, check_result

TWO = Suite("two", (STS, RETRIEVAL))
FIT = Corpus(
    "fit",
    tuple(f"w{20 + n} w{90 - n} w{n + 5} w{40 + n % 7}" for n in range(40)),
    tuple(map(str, range(40))),
    "made up",
)
EVALUATED = Corpus("same", (*FIT.texts, TEXTS[0].upper()), (*FIT.ids, "x"), "made up")
SETTINGS = {"fit": FIT, "resamples": 40, "draws": 2, "select": "best"}


@pytest.fixture(scope="module")
def model() -> Model:
    return loading.wrap(tiny.network("llama"), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def result(model: Model, tmp_path_factory: pytest.TempPathFactory) -> LadderResult:
    return ladder(model, TWO, store=tmp_path_factory.mktemp("store"), layers="2-3", **SETTINGS)


# --- the identity on which it stands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", tiny.CONFIGS)
def test_the_mean_of_values_is_the_mean_of_normed_states_under_one_matrix(architecture) -> None:
    """R3 = R2 · W_V + b_V; where nothing is normed before attention, R2 = R0 (OLMo 2)."""
    network = tiny.network(architecture)
    fused = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    model = loading.wrap(network, tiny.tokenizer(), name=architecture)
    readings = [Reading(stream, Pooling.MEAN) for stream in (Stream.HIDDEN, Stream.NORMED, Stream.VALUES)]
    texts = prompts.tokenize(tiny.tokenizer(), list(TEXTS[:3]), max_tokens=64)
    with capturing(model, readings) as read:
        hidden, normed, values = (read(Batch.of(texts))[reading] for reading in readings)
    for block in range(model.n_layers):
        matrix, bias = value_matrix(architecture, model, fused, block)
        wanted = normed[block].double() @ matrix.double() + bias.double()
        distance = (values[block] - wanted).norm(dim=1) / wanted.norm(dim=1)
        assert distance.max() < 1e-5, block
        if architecture == "olmo2":
            torch.testing.assert_close(normed[block], hidden[block])


def value_matrix(architecture, model, weights, block):
    """W_V [d, values] and b_V of one block, from the network's own parameters."""
    names = {"gpt2": "attn.c_attn", "gpt-neox": "attention.query_key_value", "phi3": "self_attn.qkv_proj"}
    part = names.get(architecture, "self_attn.v_proj")
    weight = next(value for name, value in weights.items() if f".{block}.{part}.weight" in name)
    bias = next((value for name, value in weights.items() if f".{block}.{part}.bias" in name), torch.zeros(()))
    if architecture == "gpt2":  # its weights are [in, out]
        return weight.chunk(3, dim=1)[2], bias.chunk(3)[2]
    if architecture == "gpt-neox":
        heads = weight.T.unflatten(1, (model.sizes.n_heads, 3, -1)), bias.unflatten(0, (model.sizes.n_heads, 3, -1))
        return heads[0][:, :, 2].flatten(1), heads[1][:, 2].flatten()
    width = model.sizes.n_kv_heads * model.sizes.d_head
    return weight.T[:, -width:], bias


# --- the numbers, by a bare forward and numpy ---------------------------------------------------------------------------


@cache
def bare_tokens(text: str) -> dict:
    bare = tiny.network("llama")
    bare.set_attn_implementation("eager")
    ids = torch.tensor([tiny.tokenizer()(text)["input_ids"]])
    return {site: tensor[0].double().numpy() for site, tensor in tiny.token_vectors("llama", bare, ids).items()}


def pooled(stream: str, layer: int, pool, texts=TEXTS) -> np.ndarray:
    return np.stack([pool(bare_tokens(text)[stream, layer]) for text in texts])


def unit(tokens):
    return (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).mean(axis=0)


def mean(tokens):
    return tokens.mean(axis=0)


def but_first(tokens):
    return tokens[1:].mean(axis=0)


def without_direction(stream, layer):
    fit = pooled(stream, layer, mean, FIT.texts)
    top = np.linalg.svd(fit - fit.mean(axis=0))[2][0]
    vectors = pooled(stream, layer, mean) - fit.mean(axis=0)
    return vectors - np.outer(vectors @ top, top)


def standardised(stream, layer):
    fit = pooled(stream, layer, mean, FIT.texts)
    return (pooled(stream, layer, mean) - fit.mean(axis=0)) / fit.std(axis=0)


BY_HAND = {
    HS: lambda block: pooled("hidden", block - 1, mean),
    UNIT: lambda block: pooled("hidden", block - 1, unit),
    NORMED: lambda block: pooled("normed", block, mean),
    VA: lambda block: pooled("values", block, mean),
    "HS but-first": lambda block: pooled("hidden", block - 1, but_first),
    "VA but-first": lambda block: pooled("values", block, but_first),
    "HS abtt-1": lambda block: without_direction("hidden", block - 1),
    "VA abtt-1": lambda block: without_direction("values", block),
    "HS standardised": lambda block: standardised("hidden", block - 1),
}


def spearman(vectors: np.ndarray) -> float:
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = [directions[one] @ directions[other] for one, other in zip(STS.first, STS.second, strict=True)]
    return float(stats.spearmanr(cosines, STS.gold).statistic)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("block", [1, 3])
def test_every_rung_scores_what_a_bare_forward_and_numpy_give(result, name, block) -> None:
    rows = result.table[(result.table.representation == name) & (result.table.task == STS.name)]
    found = rows.set_index("layer").score[block]
    assert found == pytest.approx(spearman(BY_HAND[name](block)), abs=2e-4)  # two cosines may change their order


def test_sets_average_the_vectors_of_their_layers_before_anything_is_fitted(result) -> None:
    rows = result.ways[(result.ways.way == "set") & (result.ways.task_type == "STS")].set_index("representation")
    assert rows.layers[[HS, VA]].tolist() == ["HS@1,2", "VA@2,3"]
    for name, stream, layers in ((HS, "hidden", (1, 2)), (VA, "values", (2, 3))):
        vectors = np.mean([pooled(stream, layer, mean) for layer in layers], axis=0)
        assert rows.score[name] == pytest.approx(spearman(vectors), abs=2e-4)
    fit = np.mean([pooled("values", layer, mean, FIT.texts) for layer in (2, 3)], axis=0)
    vectors = np.mean([pooled("values", layer, mean) for layer in (2, 3)], axis=0)
    scaled = (vectors - fit.mean(axis=0)) / fit.std(axis=0)
    assert rows.score["VA standardised"] == pytest.approx(spearman(scaled), abs=2e-4)


def test_the_average_is_over_task_types_and_words_have_no_block(result) -> None:
    table = result.table[(result.table.representation == VA) & (result.table.layer == 2)].set_index("task")
    assert table.score[AVERAGE] == pytest.approx((table.score[STS.name] + table.score[RETRIEVAL.name]) / 2)
    words = result.table[result.table.representation == "TF-IDF"]
    assert words.layer.isna().all()
    assert len(words) == 3


def test_the_rungs_and_their_order() -> None:
    names = [rung.name for rung in rungs(192, 576, 5)]
    assert tuple(names[:4]) == STEPS
    assert {
        f"{side} {fix}" for side in (HS, VA) for fix in ("but-first", "unsunk", "standardised", "abtt-1", "abtt-3")
    } < set(names)
    assert names[-2:] == ["normed random", "normed PCA"]
    assert len(rungs(192, 576, 5)[-2].postprocessing) == 5
    assert len(rungs(64, 64, 5)) == len(names) - 2  # a matrix that narrows nothing is no control


# --- verdicts, by hand ----------------------------------------------------------------------------------------------------

BLOCKS = (1, 2, 3)


def made(name: str, scores: dict[int, list[float]], *, noise: float = 0.01) -> RungScores:
    """A rung whose one task scores so at blocks 1, 2, 3, over all, and over its own sets, by view."""
    reading = "values/mean" if name.startswith(VA) else "hidden/mean"
    chance = np.random.default_rng(0)
    moved = chance.normal(0, noise, size=(1, 200))  # the same resamples move all rungs alike
    views = tuple(
        (TaskCurve("Task", "STS", np.array(scores[view]), np.array(scores[view])[:, None] + moved),)
        for view in (0, 1, 2)
    )
    sets = (("all", LayerSet.of(BLOCKS)), (OWN_SET, LayerSet.of([1])), (OWN_SET, LayerSet.of([2])))
    return RungScores(Rung(name, Reading.parse(reading), ""), BLOCKS, sets, views)


def same(*scores: float) -> dict[int, list[float]]:
    return {view: list(scores) for view in (0, 1, 2)}


def test_the_share_of_the_gap_is_what_a_fix_gains_over_what_values_gain() -> None:
    rungs_made = [
        made(HS, same(0.1, 0.1, 0.1, 0.2, 0.1, 0.1)),
        made(UNIT, same(0.1, 0.1, 0.1, 0.5, 0.1, 0.1)),
        made(VA, same(0.1, 0.1, 0.1, 0.6, 0.1, 0.1)),
    ]
    rows = way_table(rungs_made)
    share = rows[(rows.way == "all") & (rows.task_type == AVERAGE)].set_index("representation").share
    assert share.to_dict() == pytest.approx({HS: 0, UNIT: 0.75, VA: 1})


def test_without_a_gap_there_is_no_share() -> None:
    rungs_made = [made(HS, same(*[0.6] * 6)), made(UNIT, same(*[0.7] * 6)), made(VA, same(*[0.6] * 6))]
    assert way_table(rungs_made).share.isna().all()


def test_layers_and_fixes_are_chosen_on_one_split_and_scored_on_the_other() -> None:
    """On the first split HS is best at block 1 (.9), where the second gives it .3; the other way round at block 3."""
    hidden = made(HS, {0: [0.5] * 6, 1: [0.9, 0.2, 0.4, 0, 0, 0], 2: [0.3, 0.2, 0.8, 0, 0, 0]})
    fixed = made(UNIT, {0: [0.5] * 6, 1: [0.95, 0.2, 0.1, 0, 0, 0], 2: [0.1, 0.2, 0.7, 0, 0, 0]})
    own = judged([hidden, fixed], [HS], OWN_LAYER, held_out=True)
    assert own.curves[-1].score == pytest.approx((0.3 + 0.4) / 2)
    assert own.chosen == ("HS@0", "HS@2")  # the hidden state that enters blocks 1 and 3
    best = judged([hidden, fixed], [HS, UNIT], OWN_LAYER, held_out=True)
    assert best.chosen == ("HS unit@0", "HS@2")
    assert best.curves[-1].score == pytest.approx((0.1 + 0.4) / 2)


def test_a_set_of_ones_own_is_judged_on_the_split_that_did_not_choose_it() -> None:
    only = made(VA, {0: [0.5] * 6, 1: [0, 0, 0, 0, 0.8, 0.3], 2: [0, 0, 0, 0, 0.4, 0.7]})
    found = judged([only], [VA], OWN_SET, held_out=True)
    assert found.curves[-1].score == pytest.approx((0.4 + 0.3) / 2)
    assert (only.rows(OWN_SET, FIRST), only.rows(OWN_SET, SECOND)) == ([4], [5])


def test_the_best_of_many_equal_rungs_is_not_flattered() -> None:
    """Three layers of pure noise: their maximum is above 0, what one split chooses and the other judges is not."""
    chance = np.random.default_rng(3)
    scores = []
    for _ in range(300):
        noise = chance.normal(size=(2, 3))
        views = {0: [0.0] * 6, 1: [*noise[0], 0, 0, 0], 2: [*noise[1], 0, 0, 0]}
        scores.append(judged([made(HS, views)], [HS], OWN_LAYER, held_out=True).curves[-1].score[0])
    assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(300)
    assert np.mean(np.max(chance.normal(size=(300, 3)), axis=1)) > 0.7


def test_differences_are_paired_and_corrected_over_task_types() -> None:
    chance = np.random.default_rng(1)
    noise = chance.normal(0, 0.1, size=(6, 500))

    def two_types(name: str, first: float, second: float, own: float) -> RungScores:
        curves = tuple(
            TaskCurve(task, task, np.full(6, score), score + noise + chance.normal(0, own, size=(6, 500)))
            for task, score in (("STS", first), ("Retrieval", second))
        )
        return replace(made(name, same(*[0.0] * 6)), views=(curves,) * 3)

    table = verdict_table([two_types(HS, 0.5, 0.5, 0.0), two_types(VA, 0.54, 0.5, 0.01)])
    rows = table[(table.way == "all") & (table["first"] == VA) & (table.second == HS)].set_index("task_type")
    assert rows.difference.to_dict() == pytest.approx({"STS": 0.04, "Retrieval": 0, AVERAGE: 0.02})
    assert rows.high["STS"] - rows.low["STS"] < 0.06  # the noise that both share has cancelled
    assert rows.p_holm["STS"] == pytest.approx(2 * rows.p["STS"])
    assert rows.p_holm[AVERAGE] == pytest.approx(rows.p[AVERAGE])


# --- promises, refusals, the command ------------------------------------------------------------------------------------


def test_it_keeps_the_promises_of_a_probe_and_of_a_result(model: Model) -> None:
    check_result(check_probe(Ladder(**SETTINGS), model, TWO, ()))


def test_one_pass_a_text_gives_all(model: Model, tmp_path: Path) -> None:
    done = ladder(model, TWO, store=tmp_path, **SETTINGS)
    assert done.provenance["forward_passes"] == len({*TEXTS, *FIT.texts})


def test_all_types_of_task_are_scored_and_the_section_says_what_was_found(model: Model, tmp_path: Path) -> None:
    done = ladder(model, SUITE, store=tmp_path, **SETTINGS | {"select": "paper"})
    section = done.section()
    assert len(section.findings) == 2 * len(set(done.ways.way))
    assert section.findings[0].startswith("Over the deep half of the layers: HS ")
    assert "By task type (Holm)" in section.findings[1]
    assert {"half", "all", "own layer", "own set"} == set(done.headlines())
    with pytest.raises(ResultError, match=r"VA − LT was not compared by 'half'\. The ways are half, all"):
        done.verdict("half", "VA", "LT")


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"select": "greedy"}, SelectionError, "chooses by scores alone, and greedy looks at vectors"),
        ({"select": "paper"}, SelectionError, "Retrieval|paper"),
        ({"layers": "2-9"}, LayerSetError, "9"),
        ({"layers": "0-1"}, LayerSetError, "looks at the blocks of tiny, 1 to 3; layers 0,1 were asked for"),
        (
            {"fit": FIT.limited(10)},
            PostprocessingError,
            "is fitted on 17 texts or more; there are 10",
        ),
        (
            {"fit": EVALUATED},
            PostprocessingError,
            "1 of the 41 texts of same to fit on are evaluated too",
        ),
        ({"draws": 0}, ProbeError, "--draws is 1 or more"),
    ],
    ids=["greedy", "paper", "layers", "no block", "few", "evaluated", "draws"],
)
def test_what_cannot_be_done_is_refused_before_anything_is_read(model, tmp_path, settings, error, says) -> None:
    suite = Suite("one", (STS,)) if settings == {"select": "paper"} else TWO
    with pytest.raises(error, match=says):
        ladder(model, suite, store=tmp_path, **SETTINGS | settings)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_command_says_the_verdict_and_a_second_run_reads_nothing(shell: Shell, tiny_folder: Path) -> None:  # noqa: F811
    Path("fit.txt").mkdir()
    for number, text in enumerate(FIT.texts):
        Path(f"fit.txt/{number}.txt").write_text(text)
    words = ("ladder", "--model", tiny_folder, "--suite", "LeeSTS", "--limit", "12", "--fit", "fit.txt")
    said = shell(*words, "--max-tokens", "16", "--select", "best", "--resamples", "20", "--draws", "1", "--out", "out")
    assert (said.code, said.err) == (0, "")
    for part in ("Is it the values, or the pooling?", "Over the deep half of the layers", "best of HS"):
        assert part in said.out.replace("\n", " ")
    again = read_result("out")
    assert isinstance(again, LadderResult)
    assert {"ladder.png", "ladder.pdf"} <= {path.name for path in Path("out").iterdir()}


def test_classifiers_are_fitted_in_the_span_of_their_texts(model, tmp_path, monkeypatch) -> None:
    """The ladder's scores compare with each other only, and would take twice as long otherwise."""
    fitted = []
    own = classifiers.labels_by_span
    monkeypatch.setattr(classifiers, "labels_by_span", lambda *given: fitted.append(1) or own(*given))
    ladder(model, Suite("one", (CLASSIFICATION,)), store=tmp_path, **SETTINGS)
    assert fitted
