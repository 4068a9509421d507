"""Scores are mteb's own, from its own task classes on given vectors; intervals are judged by simulation."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score
from tiny import one_blas_thread  # noqa: F401

from valens.errors import TaskError
from valens.evaluation.bootstrap import Bootstrap, mean_of_runs, mean_of_units, run_factor, split_evaluation, stacked
from valens.evaluation.draws import shared_part
from valens.evaluation.evaluate import evaluate
from valens.evaluation.scorers import SCORERS
from valens.statistics import split_units
from valens.tasks import Classification, Clustering, PairClassification, Reranking, Retrieval, Sts

N = 60
TEXTS = tuple(f"text {i}" for i in range(N))
LABELS = tuple("abcde"[i % 5] for i in range(N))


@pytest.fixture(scope="module")
def vectors():
    """Three layers, of rising noise, in which the label can be seen; no judge's verdict is perfect."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 24))[[("abcde").index(label) for label in LABELS]]
    noise = rng.normal(size=(3, N, 24)) * np.array([0.9, 1.4, 2.0])[:, None, None]
    return (centres + noise).astype(np.float32)


def sts():
    first, second = np.triu_indices(30, 1)
    gold = [float(LABELS[i] == LABELS[j]) + (i * j % 3) for i, j in zip(first, second, strict=True)]
    return Sts("sts", TEXTS, tuple(first.tolist()), tuple(second.tolist()), tuple(gold))


def pair_classification():
    first, second = np.triu_indices(40, 1)
    same = tuple(LABELS[i] == LABELS[j] for i, j in zip(first, second, strict=True))
    return PairClassification("pairs", TEXTS, tuple(first.tolist()), tuple(second.tolist()), same)


def retrieval():
    documents = tuple(range(20, N))
    relevant = tuple({d - 20: 1 + d % 3 for d in documents if LABELS[d] == LABELS[q]} for q in range(20))
    return Retrieval("retrieval", TEXTS, tuple(range(20)), documents, relevant)


def reranking():
    candidates = tuple(tuple(range(20, 26 + 2 * q)) for q in range(15))
    relevant = tuple(tuple(LABELS[c] == LABELS[q] for c in row) for q, row in enumerate(candidates))
    return Reranking("reranking", TEXTS, tuple(range(15)), candidates, relevant)


def clustering():
    return Clustering("clustering", TEXTS, LABELS, experiments=6, batch_size=32, sample=50)


def classification():
    return Classification("classification", TEXTS, LABELS, tuple(range(0, N, 2)), tuple(range(1, N, 2)), 3, 4)


TASKS = [sts(), retrieval(), reranking(), clustering(), classification(), pair_classification()]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


# --- scores, judged by mteb -------------------------------------------------------------------------------------------


class Given:
    """An encoder, as mteb sees one, that looks each text's vector up."""

    mteb_model_meta = None

    def __init__(self, vectors):
        self.vectors = dict(zip(TEXTS, vectors, strict=True))

    def encode(self, inputs, **_):
        return np.stack([self.vectors[text.strip()] for batch in inputs for text in batch["text"]])

    def similarity(self, first, second):
        from mteb.similarity_functions import cos_sim

        return cos_sim(first, second)

    def similarity_pairwise(self, first, second):
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(first, second)


def mtebs(task, splits, **settings):
    """A function of vectors: mteb's score, by an unmodified task class of its own that holds these splits."""
    from mteb.mocks import mock_tasks

    judge = getattr(mock_tasks, task)()
    for name, value in settings.items():
        assert hasattr(judge, name)
        setattr(judge, name, value)
    judge.dataset, judge.data_loaded = splits, True
    return lambda vectors: judge.evaluate(Given(vectors), split="test", encode_kwargs={})["default"]


def by_mteb_sts(task):
    from datasets import Dataset

    columns = {"sentence1": [TEXTS[i] for i in task.first], "sentence2": [TEXTS[i] for i in task.second]}
    judge = mtebs("MockSTSTask", {"test": Dataset.from_dict(columns | {"score": list(task.gold)})})
    return lambda vectors: judge(vectors)["cosine_spearman"]


def by_mteb_pair_classification(task):
    from datasets import Dataset

    columns = {"sentence1": [TEXTS[i] for i in task.first], "sentence2": [TEXTS[i] for i in task.second]}
    judge = mtebs(
        "MockPairClassificationTask", {"test": Dataset.from_dict(columns | {"labels": list(map(int, task.same))})}
    )
    return lambda vectors: judge(vectors)["max_ap"]


def by_mteb_search(queries, documents, relevant, measure, top_ranked=None):
    from datasets import Dataset

    def table(positions):
        return Dataset.from_dict({"id": [f"{i:04d}" for i in positions], "text": [TEXTS[i] for i in positions]})

    split = {
        "queries": table(queries),
        "corpus": table(documents),
        "relevant_docs": {
            f"{q:04d}": {f"{d:04d}": g for d, g in grades.items()} for q, grades in zip(queries, relevant, strict=True)
        },
        "top_ranked": top_ranked,
    }
    judge = mtebs("MockRetrievalTask", {"default": {"test": split}})
    return lambda vectors: judge(vectors)[measure]


def by_mteb_retrieval(task):
    relevant = [{task.documents[place]: grade for place, grade in grades.items()} for grades in task.relevant]
    return by_mteb_search(task.queries, task.documents, relevant, "ndcg_at_10")


def by_mteb_reranking(task):
    relevant = [
        {c: int(r) for c, r in zip(*row, strict=True)} for row in zip(task.candidates, task.relevant, strict=True)
    ]
    lists = {f"{q:04d}": [f"{c:04d}" for c in row] for q, row in zip(task.queries, task.candidates, strict=True)}
    documents = sorted({c for row in task.candidates for c in row})
    return by_mteb_search(task.queries, documents, relevant, "map_at_1000", top_ranked=lists)


def by_mteb_clustering(task):
    from datasets import Dataset

    def judge(vectors):
        fresh = mtebs(  # a judge draws from its own generator: a new one for each layer
            "LegacyMockClusteringFastTask",
            {"test": Dataset.from_dict({"sentences": list(TEXTS), "labels": list(LABELS)})},
            max_document_to_embed=None,
            max_documents_per_cluster=task.sample,
            n_clusters=task.experiments,
            k_mean_batch_size=task.batch_size,
        )
        return fresh(vectors)["v_measure"]

    return judge


def by_mteb_classification(task):
    from datasets import Dataset, DatasetDict

    def table(positions):
        return Dataset.from_dict({"text": [TEXTS[i] for i in positions], "label": [LABELS[i] for i in positions]})

    judge = mtebs(
        "MockClassificationTask",
        DatasetDict(train=table(task.train), test=table(task.test)),
        samples_per_label=task.samples_per_label,
        n_experiments=task.experiments,
    )
    return lambda vectors: judge(vectors)["accuracy"]


JUDGES = {
    "sts": by_mteb_sts,
    "pairs": by_mteb_pair_classification,
    "retrieval": by_mteb_retrieval,
    "reranking": by_mteb_reranking,
    "clustering": by_mteb_clustering,
    "classification": by_mteb_classification,
}


@each_task
def test_scores_are_mtebs(task, vectors):
    judge = JUDGES[task.name]
    score = evaluate(task, vectors, resamples=2).score
    assert score == pytest.approx(np.array([judge(task)(layer) for layer in vectors]), abs=1e-12)
    assert len(set(score)) == 3
    assert evaluate(task, vectors, resamples=2, exact=True).score == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("task", [*TASKS[:4], TASKS[5]], ids=lambda task: task.name)
def test_scores_are_mtebs_where_cosines_hardly_differ(task, vectors):
    """As in a residual stream: all cosines lie within 1e-5 of 1, and in float32 many tie. So all is done as mteb does it."""
    narrow = (1 + 1e-3 * vectors).astype(np.float32)
    score = evaluate(task, narrow, resamples=2).score
    assert score == pytest.approx(np.array([JUDGES[task.name](task)(layer) for layer in narrow]), abs=1e-12)


@each_task
def test_the_score_is_made_of_the_samples(task, vectors):
    """Spearman's correlation and average precision of all pairs; for the others the mean (a search's is rounded)."""
    found = evaluate(task, vectors, resamples=2)
    for layer, samples in enumerate(found.samples):
        made = {
            "sts": lambda: stats.spearmanr(samples, task.gold)[0],  # noqa: B023
            "pairs": lambda: average_precision_score(task.same, samples),  # noqa: B023
        }.get(task.name, samples.mean)()
        assert found.score[layer] == pytest.approx(made, abs=5.1e-6 if task.name.startswith("re") else 1e-12)
    assert found.sample


@each_task
def test_layers_evaluated_apart_are_stacked(task, vectors):
    together = evaluate(task, vectors, resamples=8, resamples_of_splits=4)
    apart = stacked(
        [
            evaluate(task, vectors[:1], resamples=8, resamples_of_splits=4),
            evaluate(task, vectors[1:], resamples=8, resamples_of_splits=4),
        ]
    )
    assert np.array_equal(apart.score, together.score)
    assert np.array_equal(apart.samples, together.samples)
    for split, whole in zip(apart.splits, together.splits, strict=True):
        assert np.allclose(split.replicates, whole.replicates, atol=1e-12, equal_nan=True)


@each_task
def test_scores_by_span_are_the_same_where_rounding_decides_nothing(task, vectors):
    wide = np.concatenate([vectors, 0.1 * vectors[:, ::-1], 0.1 * vectors**2], axis=2)  # as many dimensions as texts
    plain, found = (evaluate(task, wide, resamples=9, by_span=by_span) for by_span in (False, True))
    assert found.score == pytest.approx(plain.score, abs=1e-12)
    assert found.replicates == pytest.approx(plain.replicates, abs=1e-12)


def test_resamples_are_drawn_once_and_cannot_be_changed():
    bootstrap = Bootstrap(20, 3, 10)
    counts = bootstrap.counts(7)
    assert np.array_equal(counts, bootstrap.draw(7))
    assert Bootstrap(20, 3, 10).counts(7) is counts
    assert not np.array_equal(Bootstrap(20, 4, 10).counts(7), counts)
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 1


# --- what every evaluation promises -----------------------------------------------------------------------------------


@each_task
def test_a_layer_s_numbers_depend_on_nothing_beside_it(task, vectors):
    """To the last bit: neither on the other layers and their order, nor on whether halves are scored."""
    found = evaluate(task, vectors, resamples=20, resamples_of_splits=20)
    assert np.array_equal(evaluate(task, vectors, resamples=20).replicates, found.replicates)
    turned = evaluate(task, vectors[::-1].copy(), resamples=20, resamples_of_splits=20)
    alone = stacked([evaluate(task, layer[None], resamples=20, resamples_of_splits=20) for layer in vectors])
    for other, order in ((turned, slice(None, None, -1)), (alone, slice(None))):
        for one, another in zip((found, *found.splits), (other, *other.splits), strict=True):
            assert np.array_equal(one.score, another.score[order])
            assert np.array_equal(one.replicates, another.replicates[order], equal_nan=True)


@each_task
def test_resamples_are_the_same_for_every_layer_and_call(task, vectors):
    together = evaluate(task, vectors, resamples=20, seed=4)
    alone = evaluate(task, vectors[1:2], resamples=20, seed=4)
    assert alone.replicates[0] == pytest.approx(together.replicates[1], abs=1e-12)
    assert not np.allclose(evaluate(task, vectors[1:2], resamples=20, seed=5).replicates, alone.replicates)


@each_task
def test_the_seed_moves_the_resamples_and_not_the_score(task, vectors):
    assert np.array_equal(
        evaluate(task, vectors, resamples=1, seed=1).score, evaluate(task, vectors, resamples=1).score
    )


@each_task
def test_the_interval_holds_the_score(task, vectors):
    found = evaluate(task, vectors, resamples=200)
    low, high = found.interval()
    assert (low < found.score).all()
    assert (found.score < high).all()
    assert found.replicates.shape == (3, 200)


@each_task
def test_vectors_are_left_as_they_were(task, vectors):
    read_only = vectors.copy()
    read_only.flags.writeable = False
    evaluate(task, read_only, resamples=1)


@each_task
def test_half_precision_is_scored_as_what_it_stands_for(task, vectors):
    half = vectors.astype(np.float16)
    expected = evaluate(task, half.astype(np.float32), resamples=1).score
    assert np.array_equal(evaluate(task, half, resamples=1).score, expected)


@each_task
def test_a_layer_with_nan_is_named(task, vectors):
    broken = vectors.copy()
    broken[2, 7, 3] = np.nan
    with pytest.raises(TaskError, match=rf"{task.name}.*layer 2 of the 3.*'text 7'"):
        evaluate(task, broken)


@each_task
def test_a_vector_a_text(task, vectors):
    with pytest.raises(TaskError, match=r"\[layer, 60, d\]; got \[3, 59, 24\]"):
        evaluate(task, vectors[:, 1:])


@each_task
def test_vectors_that_say_nothing_are_scored(task):
    """All vectors equal: Spearman's correlation is undefined, as in scipy and mteb; the rest is a number."""
    found = evaluate(task, np.ones((1, N, 4), dtype=np.float32), resamples=5)
    assert np.isnan(found.score).all() == np.isnan(found.interval()[0]).all() == (task.metric == "spearman")


def test_every_type_of_task_has_its_scorer():
    assert {type(task) for task in TASKS} == set(SCORERS)


# --- what is resampled ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "n", "unit"),
    [(TASKS[0], 30, "text"), (TASKS[1], 20, "query"), (TASKS[3], 60, "text"), (TASKS[4], 30, "text")],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_unit_is_named_and_counted(task, n, unit, vectors):
    found = evaluate(task, vectors, resamples=1)
    assert (found.n, found.unit) == (n, unit)


def test_a_mean_over_queries_has_the_interval_of_a_mean(vectors):
    """The bootstrap's standard error of a mean is sd / sqrt(n); 4,000 resamples know it to 2 %."""
    found = evaluate(TASKS[1], vectors[:1], resamples=4000)
    alone = Retrieval("one", TEXTS, (0,), TASKS[1].documents, TASKS[1].relevant[:1])
    scores = [
        evaluate(
            Retrieval("one", TEXTS, (q,), alone.documents, TASKS[1].relevant[q : q + 1]), vectors[:1], resamples=1
        ).score[0]
        for q in range(20)
    ]
    assert found.replicates.std() == pytest.approx(np.std(scores) / np.sqrt(20), rel=0.08)


RIGHT = np.random.default_rng(2).random((3, 10, 400)) < np.linspace(0.3, 0.7, 10)[:, None]
"""Three layers, ten runs of very different accuracy, 400 texts."""


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_runs_move_a_score_as_their_standard_error_says(shared):
    """Resamples vary by what texts and what runs vary by, runs as Student's t has them; 20,000 know a deviation to .5 %.

    Any two runs that correlate by r have 1 + 9 r times the variance of the mean of ten that are independent.
    """
    found = mean_of_runs(RIGHT, shared, "text", "", Bootstrap(20_000, 0))
    texts = stats.sem(RIGHT.mean(axis=1), axis=1, ddof=0)
    runs = stats.sem(RIGHT.mean(axis=2), axis=1) * stats.t.ppf(0.975, 9) / stats.norm.ppf(0.975)
    assert found.replicates.std(axis=1) == pytest.approx(np.sqrt(texts**2 + (1 + 9 * shared**2) * runs**2), rel=0.02)
    assert found.replicates.mean(axis=1) == pytest.approx(found.score, abs=0.002)


def test_runs_that_agree_move_nothing():
    alike = np.repeat(RIGHT[:, :1], 10, axis=1)
    bootstrap = Bootstrap(50, 0, 20)
    of_texts = mean_of_units(alike[:, 0].astype(float), "text", "", bootstrap).replicates
    assert mean_of_runs(alike, 1.0, "text", "", bootstrap).replicates == pytest.approx(of_texts, abs=1e-12)
    assert mean_of_runs(alike[:, :1], 1.0, "text", "", bootstrap).replicates == pytest.approx(of_texts, abs=1e-12)


def test_splits_share_what_their_runs_do():
    """Whatever a resample of the runs adds to one split it adds to the other, here where all texts fare alike in a run."""
    alike = np.repeat(np.arange(10) % 3 == 0, 400).reshape(1, 10, 400)
    alike[:, :, ::2] = ~alike[:, :, ::2]
    bootstrap = Bootstrap(50, 0, 300)
    with_runs, texts = (
        split_evaluation(part, bootstrap)
        for part in (
            mean_of_runs(alike, 0.0, "text", "", bootstrap),
            mean_of_units(alike.mean(axis=1), "text", "", bootstrap),
        )
    )
    added = [one.replicates - other.replicates for one, other in zip(with_runs.splits, texts.splits, strict=True)]
    even = [np.mean(units % 2 == 0) for units in split_units(400, 0)]
    assert added[0] / (1 - 2 * even[0]) == pytest.approx(added[1] / (1 - 2 * even[1]), abs=1e-9)


def test_draws_share_the_items_that_both_hold():
    """Of three draws of 4, the pairs have 4, 1 and 1 in common: 2 of 4 on average."""
    assert shared_part([(0, 1, 2, 3), (3, 2, 1, 0), (3, 7, 8, 9)]) == pytest.approx(2 / 4)
    assert shared_part([(0, 1)]) == 0.0
    assert np.isfinite(run_factor(1, 0.0))


def test_accuracies_stay_accuracies():
    nearly = np.ones((1, 10, 40), dtype=bool)
    nearly[:, 0, 0] = False
    assert mean_of_runs(nearly, 0.9, "text", "", Bootstrap(500, 0)).replicates.max() == 1.0


def test_a_small_sample_is_scored_though_some_resamples_miss_it(vectors):
    found = evaluate(Clustering("small", TEXTS, LABELS, experiments=1, sample=5), vectors, resamples=2000)
    assert np.isnan(found.replicates).any()
    assert np.isfinite(found.interval()).all()


def test_there_are_no_more_clusters_than_texts_to_cluster(vectors):
    with pytest.raises(TaskError, match="draws 3 texts for 5 clusters"):
        evaluate(Clustering("small", TEXTS, LABELS, sample=3), vectors)


def test_clusters_that_mean_nothing_are_not_given_an_interval_above_their_score():
    """Repeating texts makes chance agreement look better: the bare replicates would all lie above the score."""
    noise = np.random.default_rng(0).normal(size=(3, N, 24))
    low, high = (found := evaluate(clustering(), noise, resamples=200)).interval()
    assert (low < found.score).all()
    assert (found.score < high).all()


def judged_pairs(rng, n, first, second):
    """Pairs judged by vectors that the embedding sees with noise."""
    truth = rng.normal(size=(n, 3))
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    gold = (truth[first] * truth[second]).sum(axis=1)
    task = Sts("s", tuple(map(str, range(n))), tuple(first.tolist()), tuple(second.tolist()), tuple(gold.tolist()))
    return task, (truth + 0.6 * rng.normal(size=(n, 3)))[None]


def coverage(n, first, second, simulations=150):
    """How often the 90 % interval holds the correlation of the population, and the last evaluation."""
    rng = np.random.default_rng(0)
    many = np.arange(40_000)
    population = evaluate(*judged_pairs(rng, 40_000, many[::2], many[1::2]), resamples=1).score[0]
    hits = 0
    for _ in range(simulations):
        found = evaluate(*judged_pairs(rng, n, first, second), resamples=200)
        low, high = found.interval(0.9)
        hits += low[0] <= population <= high[0]
    return hits / simulations, found


def test_intervals_from_pairs_that_share_texts_hold_the_truth():
    """435 pairs of 30 texts; resampling pairs as if they were independent would cover less than half."""
    share, found = coverage(30, *np.triu_indices(30, 1))
    assert (found.n, found.unit) == (30, "text")
    assert 0.82 <= share <= 0.98


def test_intervals_from_pairs_that_share_no_text_hold_the_truth_and_no_more():
    """Resampling their texts would draw every pair twice over and cover 99 %."""
    texts = np.arange(120)
    share, found = coverage(120, texts[::2], texts[1::2])
    assert (found.n, found.unit) == (60, "group of pairs")
    assert 0.82 <= share <= 0.97


def test_separate_pairs_are_resampled_as_scipy_resamples_them():
    """Two bootstraps of 3,000 of the same 60 pairs: standard errors agree within 5 %."""
    texts = np.arange(120)
    task, vectors = judged_pairs(np.random.default_rng(1), 120, texts[::2], texts[1::2])
    unit = vectors[0] / np.linalg.norm(vectors[0], axis=1, keepdims=True)
    scipys = stats.bootstrap(
        ((unit[::2] * unit[1::2]).sum(axis=1), np.array(task.gold)),
        lambda x, y: stats.spearmanr(x, y)[0],
        paired=True,
        vectorized=False,
        n_resamples=3000,
        method="percentile",
        rng=0,
    )
    assert evaluate(task, vectors, resamples=3000).replicates.std() == pytest.approx(scipys.standard_error, rel=0.08)
