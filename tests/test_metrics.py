import warnings

import numpy as np
import pytest
import pytrec_eval
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, v_measure_score
from sklearn.metrics.pairwise import paired_cosine_distances
from threadpoolctl import threadpool_limits

from valens import metrics
from valens.metrics import logistic, search, workers

EXACT = 1e-12  # float64, a few hundred terms


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# --- cosines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_cosines_of_pairs_are_scikit_learns_to_the_last_bit(rng, kind):
    """An anisotropic layer and a zero vector; more pairs than are compared at once."""
    vectors = (5 + rng.normal(size=(300, 37)) * np.logspace(-2, 2, 37)).astype(kind)
    vectors[7] = 0
    first, second = rng.integers(0, 300, size=(2, 700))
    expected = 1 - paired_cosine_distances(vectors[first], vectors[second])
    assert np.array_equal(metrics.paired_cosine(vectors, first, second), expected)


def test_cosines_of_a_search_are_mtebs_to_the_last_bit(rng):
    from mteb.similarity_functions import cos_sim

    queries, documents = 3 + rng.normal(size=(2, 90, 37)).astype(np.float32)
    queries[3] = 0
    assert np.array_equal(metrics.search_cosine(queries, documents), cos_sim(queries, documents).numpy())


def test_a_pair_of_equal_vectors_has_cosine_one_exactly(rng):
    vectors = rng.normal(size=(100, 33)).astype(np.float32)
    places = np.arange(100)
    assert (metrics.paired_cosine(np.vstack([vectors, 2 * vectors]), places, places + 100) == 1).all()


def test_zero_has_no_direction():
    assert (metrics.l2_normalize(np.zeros((2, 3))) == 0).all()


# --- Spearman ---------------------------------------------------------------------------------------------------------


def test_spearman_is_scipys_with_ties(rng):
    predicted, gold = rng.integers(0, 6, (5, 40)).astype(float), rng.integers(0, 4, 40).astype(float)
    expected = [spearmanr(layer, gold)[0] for layer in predicted]
    assert metrics.spearman(predicted, gold) == pytest.approx(np.array(expected), abs=EXACT)


@given(data=st.data(), n=st.integers(3, 12))
def test_a_weight_is_a_repetition(data, n):
    values = arrays(float, n, elements=st.integers(0, 5).map(float))
    predicted, gold = data.draw(values), data.draw(values)
    weights = data.draw(arrays(int, n, elements=st.integers(0, 3)).filter(lambda w: w.sum() > 1))
    x, y = np.repeat(predicted, weights), np.repeat(gold, weights)
    found = metrics.weighted_spearman(predicted[None], gold, weights[None])[0, 0]
    undefined = len(set(x)) == 1 or len(set(y)) == 1
    assert found == pytest.approx(np.nan if undefined else spearmanr(x, y)[0], abs=EXACT, nan_ok=True)


def test_spearman_of_equal_predictions_is_undefined():
    assert np.isnan(metrics.spearman(np.full((1, 4), 0.3), np.arange(4.0))).all()


@given(arrays(float, 9, elements=st.integers(-99, 99).map(float)))
@example(np.zeros(9))
def test_spearman_sees_order_alone(values):
    gold = np.arange(9.0) % 4
    assert metrics.spearman(values[None], gold) == pytest.approx(
        metrics.spearman(np.cbrt(values)[None], gold), nan_ok=True
    )


# --- rankings ---------------------------------------------------------------------------------------------------------


def by_trec_eval(measure, similarity, grades):
    """pytrec_eval's value a query; documents are named so that their names rise with their position."""
    name = "d{:04d}".format
    judged = {f"q{q}": {name(d): int(g) for d, g in enumerate(row)} for q, row in enumerate(grades)}
    run = {f"q{q}": {name(d): float(s) for d, s in enumerate(row)} for q, row in enumerate(similarity)}
    found = pytrec_eval.RelevanceEvaluator(judged, {measure}).evaluate(run)
    return np.array([found[f"q{q}"][measure.replace(".", "_")] for q in range(len(grades))])


def ndcg(similarity, grades):
    gains = metrics.Ndcg.of([dict(enumerate(row)) for row in grades.tolist()], grades.shape[1])
    return gains.ndcg(metrics.top_k(similarity, metrics.NDCG_CUT))


@pytest.mark.parametrize("n_documents", [4, 60])
@pytest.mark.parametrize("decimals", [1, 6])
def test_ndcg_is_trec_evals_graded_and_with_ties(rng, n_documents, decimals):
    similarity = rng.normal(size=(3, 20, n_documents)).round(decimals)
    grades = np.maximum(rng.integers(-4, 4, size=(20, n_documents)), 0)
    grades[0] = 0
    expected = [by_trec_eval("ndcg_cut.10", layer, grades) for layer in similarity]
    found = [ndcg(layer, grades) for layer in similarity]
    assert np.array(found) == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize("decimals", [1, 6])
def test_average_precision_is_trec_evals(rng, decimals):
    similarity, relevant = rng.normal(size=(3, 20, 30)).round(decimals), rng.random((20, 30)) < 0.2
    relevant[0] = False
    expected = [by_trec_eval("map", layer, relevant) for layer in similarity]
    assert metrics.average_precision(similarity, relevant) == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_the_first_of_many_are_the_first_of_a_full_ranking(rng, decimals):
    similarity = rng.normal(size=(50, 40)).round(decimals)
    full = np.argsort(similarity, axis=1, kind="stable")[:, ::-1]
    for k in (1, 7, 39, 40, 60):
        assert np.array_equal(metrics.top_k(similarity, k), full[:, :k])


def test_what_is_missing_and_what_is_the_query_itself_count_in_the_best_that_could_be_found():
    """By hand: a grade of 2 at rank 1; the best would have been 3, 2, 1 (itself) and 1 (missing)."""
    gains = metrics.Ndcg.of([{0: 2, 1: 1, 2: 3}], 3, missing=[[1]], itself=[1])
    ideal = 3 + 2 / np.log2(3) + 1 / np.log2(4) + 1 / np.log2(5)
    assert gains.ndcg(np.array([[0, -1]])) == pytest.approx([2 / ideal])
    assert gains.ndcg(np.array([[1, 0]])) == pytest.approx([2 / np.log2(3) / ideal])


def test_a_query_does_not_find_itself(rng):
    vectors = rng.normal(size=(6, 5)).astype(np.float32)
    places = metrics.nearest(vectors, vectors, k=6, itself=[0, 1, None, 3, 4, 5])
    assert [place in row for place, row in enumerate(places)] == [False, False, True, False, False, False]
    assert (places[:, -1] == -1).tolist() == [True, True, False, True, True, True]


def test_a_search_in_parts_finds_what_a_search_of_all_finds(rng, monkeypatch):
    """Many of the cosines are equal, and all are exact, so that they do not depend on the shape of a product."""
    queries, documents = rng.choice([-1.0, 1.0], size=(40, 4)), rng.choice([-1.0, 1.0], size=(90, 4))
    whole = metrics.nearest(queries, documents, itself=list(range(40)))
    monkeypatch.setattr(search, "_DOCUMENTS", 7)
    assert np.array_equal(metrics.nearest(queries, documents, itself=list(range(40))), whole)


# --- pairs that are the same ------------------------------------------------------------------------------------------


@given(data=st.data(), n=st.integers(2, 12))
def test_average_precision_of_weighted_pairs_is_scikit_learns(data, n):
    similarity = data.draw(arrays(float, n, elements=st.integers(0, 4).map(float)))
    same = data.draw(arrays(bool, n).filter(any))
    weights = data.draw(arrays(int, n, elements=st.integers(0, 3)).filter(lambda w: (w * same).sum() > 0))
    found = metrics.weighted_average_precision(similarity[None], same, weights[None])[0, 0]
    expected = average_precision_score(np.repeat(same, weights), np.repeat(similarity, weights))
    assert found == pytest.approx(expected, abs=EXACT)


def test_average_precision_without_a_pair_that_is_the_same_is_undefined():
    assert np.isnan(
        metrics.weighted_average_precision(np.ones((1, 2)), np.array([True, False]), np.array([[0, 1]]))
    ).all()


def test_padding_leaves_average_precision_alone(rng):
    similarity, relevant = rng.normal(size=(5, 7)), rng.random((5, 7)) < 0.4
    padded = np.pad(similarity, ((0, 0), (0, 3)), constant_values=-np.inf)
    assert metrics.average_precision(padded, np.pad(relevant, ((0, 0), (0, 3)))) == pytest.approx(
        metrics.average_precision(similarity, relevant), abs=EXACT
    )


def test_a_perfect_ranking_scores_one_and_the_worst_by_hand():
    similarity, relevant = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), np.array([[True, False, False]] * 2)
    assert ndcg(similarity, relevant.astype(int)) == pytest.approx([1, 1 / np.log2(4)])
    assert metrics.average_precision(similarity, relevant) == pytest.approx([1, 1 / 3])


# --- clustering -------------------------------------------------------------------------------------------------------


@given(data=st.data(), n=st.integers(1, 25))
def test_v_measure_of_a_weighted_table_is_that_of_the_repeated_texts(data, n):
    labels, clusters = (data.draw(arrays(int, n, elements=st.integers(0, k))) for k in (3, 2))
    weights = data.draw(arrays(int, n, elements=st.integers(0, 3)).filter(lambda w: w.sum() > 0))
    table = np.zeros((4, 3))
    np.add.at(table, (labels, clusters), weights)
    expected = v_measure_score(np.repeat(labels, weights), np.repeat(clusters, weights))
    assert metrics.v_measure(table) == pytest.approx(expected, abs=1e-9)  # entropies cancel


def test_v_measure_of_nothing_is_undefined():
    assert np.isnan(metrics.v_measure(np.zeros((2, 3))))


def test_clusters_are_those_of_a_fit_for_each_draw(rng):
    vectors = rng.normal(size=(2, 30, 6)).astype(np.float32)
    draws = metrics.cluster_draws(30, 50, 3, seed=7)
    clusters = np.array(metrics.clustered(vectors, list(draws), n_clusters=[4] * 3, batch_size=16, seed=7))
    with threadpool_limits(1):  # as ours are: more threads sum in another order
        alone = MiniBatchKMeans(4, batch_size=16, n_init=1, random_state=7).fit_predict(vectors[1][draws[2]])
    assert clusters.shape == (2, 3, 50)
    assert np.array_equal(clusters[1, 2], alone)


def test_clusters_by_span_are_the_same(rng):
    """Distances are, whatever the basis; more dimensions than texts, and fewer."""
    for d in (8, 70):
        vectors = (3 + rng.normal(size=(2, 30, d))).astype(np.float32)
        draws = list(metrics.cluster_draws(30, 50, 3))
        plain, turned = (
            metrics.clustered(vectors, draws, n_clusters=[4] * 3, by_span=by_span) for by_span in (False, True)
        )
        assert np.array_equal(plain, turned)


# --- classification ---------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=40), limit=st.integers(1, 6))
def test_training_draws_hold_as_many_of_a_label_as_they_may(labels, limit):
    for draw in metrics.training_draws(labels, limit, experiments=3):
        drawn = [labels[text] for text in draw]
        assert len(set(draw)) == len(draw)
        assert {label: drawn.count(label) for label in labels} == {x: min(labels.count(x), limit) for x in labels}


def test_training_draws_differ_from_experiment_to_experiment():
    draws = metrics.training_draws(["a", "b"] * 20, 4, experiments=5)
    assert len({frozenset(draw) for draw in draws}) == 5


def test_labels_are_those_of_a_fit_for_each_draw(rng):
    labels = np.array(list("abc") * 10)
    train, test = rng.normal(size=(2, 30, 6)), rng.normal(size=(2, 9, 6))
    draws = metrics.training_draws(labels.tolist(), 4, experiments=3)
    given_labels = metrics.classified(train, labels, test, draws)
    with threadpool_limits(1):
        alone = LogisticRegression(max_iter=100).fit(train[1][draws[2]], labels[draws[2]]).predict(test[1])
    assert given_labels.shape == (2, 3, 9)
    assert np.array_equal(given_labels[1, 2], alone)


@pytest.mark.parametrize("names", ["ab", "abcde"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0])
def test_labels_by_span_are_scikit_learns(rng, names, scale):
    """More dimensions than texts and fewer; a fit that is flat from the start, one that converges and one that does not."""
    labels = np.array(list(names) * 8)
    for d in (12, 90):
        centres = rng.normal(size=(len(names), d))[np.arange(len(labels)) % len(names)]
        train = scale * np.stack([centres + rng.normal(size=centres.shape) for _ in range(2)])
        test = scale * rng.normal(size=(2, 1000, d))
        draws = metrics.training_draws(labels.tolist(), 5, experiments=3)
        same = metrics.classified(train, labels, test, draws, by_span=True) == metrics.classified(
            train, labels, test, draws
        )
        # The fit of the longest vectors is stopped long before it has converged: there a last bit moves labels.
        assert same.mean() >= (0.99 if scale > 1 else 0.999)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize(("decades", "steps"), [(0, None), (3, None), (4, 100)])
def test_weights_in_a_span_are_scikit_learns_turned(rng, decades, steps):
    """Stopped by the slope, or after 100 steps: then as near as scikit-learn's are after the texts change places."""
    train, labels = rng.normal(size=(40, 90)) * np.logspace(0, decades, 90), np.array(list("abcd") * 10)

    def scikit_learns(order):
        fit = LogisticRegression(max_iter=100).fit(train[order], labels[order])
        assert fit.n_iter_[0] == 100 if steps else fit.n_iter_[0] < 100
        return np.column_stack([fit.coef_, fit.intercept_])

    wanted = scikit_learns(np.arange(40))
    basis, triangle = np.linalg.qr(train.T)
    weights = logistic.Loss(triangle.T, labels == np.unique(labels)[:, None], basis).least()
    found = np.column_stack([weights[:, :-1] @ basis.T, weights[:, -1]])
    rounding = max(np.abs(scikit_learns(rng.permutation(40)) - wanted).max() for _ in range(4))
    assert np.abs(found - wanted).max() < max(1e-7 * np.abs(wanted).max(), 3 * rounding)


def test_only_the_expected_warning_is_kept_back(rng):
    """Badly scaled vectors do not converge in 100 iterations, which is mteb's way; the filters are given back."""
    train = rng.normal(size=(1, 40, 30)) * np.logspace(0, 6, 30)
    labels = np.array(list("abcd") * 10)
    before = list(warnings.filters)
    metrics.classified(train, labels, train, [range(40)])
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="failed to converge"):
        LogisticRegression(max_iter=100).fit(train[0], labels)


# --- many layers ------------------------------------------------------------------------------------------------------


def test_processes_give_what_one_gives(rng, monkeypatch):
    """The last bits decide labels of fits that have not converged, so that all must be equal."""
    train, labels = rng.normal(size=(3, 40, 12)).astype(np.float32) * np.logspace(0, 5, 12), np.array(list("abcd") * 10)
    alone = metrics.classified(train, labels, train, [range(30), range(10, 40)])
    monkeypatch.setattr(workers, "WORTH_PROCESSES", 0.0)
    monkeypatch.setattr(workers.joblib, "cpu_count", lambda: 2)
    assert np.array_equal(metrics.classified(train, labels, train, [range(30), range(10, 40)]), alone)
