from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from itertools import chain

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from valens.corpora import lee, wikipedia
from valens.errors import TaskError
from valens.evaluation.tfidf import tfidf
from valens.suites import named
from valens.suites.named import builtin, task_named
from valens.suites.pool import pool
from valens.tasks import Task

NAMES = ["LeeSTS", "WikiRetrieval", "WikiReranking", "WikiClustering", "WikiClassification"]

each_task = pytest.mark.parametrize("task", builtin().tasks, ids=lambda task: task.name)

# Where a text comes from, read off the corpus rather than the pool.
ORIGIN = {
    paragraph: (article.title, index)
    for article in wikipedia()
    for index, section in enumerate(article.sections)
    for paragraph in section.paragraphs
}


def article_of(text: str) -> str:
    return ORIGIN[text][0]


def test_the_suite_has_a_task_of_each_type() -> None:
    assert [task.name for task in builtin().tasks] == NAMES
    assert len({task.task_type for task in builtin().tasks}) == 5


def test_the_suite_is_small_enough_for_two_cores() -> None:
    """At about 1.4 tokens a word, 36,000 words are some 50,000 tokens: a minute and a half at 600 tokens a second."""
    texts = {text for task in builtin().tasks for text in task.texts}
    assert sum(len(text.split()) for text in texts) <= 37_000


def test_sizes_allow_an_interval() -> None:
    _, retrieval, reranking, clustering, classification = builtin().tasks
    assert len(retrieval.queries) >= 40
    assert len(reranking.queries) >= 40
    assert len(set(clustering.labels)) >= 8
    assert len(classification.test) >= 100


def test_the_wikipedia_tasks_share_one_pool() -> None:
    _, retrieval, *others = builtin().tasks
    shared = {retrieval.texts[document] for document in retrieval.documents}
    assert all(shared.issuperset(task.texts) for task in others)


@each_task
@pytest.mark.parametrize("n", [6, 25, 100])
def test_a_limited_task_is_a_task(task: Task, n: int) -> None:
    assert len(task.limited(n).texts) <= n


def test_lee_pairs_are_all_pairs_with_their_judgements() -> None:
    task = task_named("LeeSTS")
    assert len(set(zip(task.first, task.second, strict=True))) == 50 * 49 / 2
    np.testing.assert_array_equal(task.gold, lee().similarity[task.first, task.second])


def test_a_query_looks_for_all_and_only_its_own_article() -> None:
    task = task_named("WikiRetrieval")
    openings = {opening: title for title, opening in pool().openings.items()}
    assert len(openings) == len(task.queries)
    for query, relevant in zip(task.queries, task.relevant, strict=True):
        own = {d for d in task.documents if article_of(task.texts[d]) == openings[task.texts[query]]}
        assert set(relevant) == own


def test_no_document_is_from_a_lead() -> None:
    task = task_named("WikiRetrieval")
    leads = {article.title for article in wikipedia() if not article.sections[0].title}
    assert {article_of(task.texts[document]) for document in task.documents} <= leads
    assert all(ORIGIN[task.texts[document]][1] > 0 for document in task.documents)


def test_an_opening_is_a_sentence_of_the_lead() -> None:
    beginnings = {article.title: article.sections[0].paragraphs for article in wikipedia()}
    for title, opening in pool().openings.items():
        assert any(opening in paragraph for paragraph in beginnings[title])
        assert opening.rstrip(")")[-1] in ".!?"


def test_candidates_share_the_query_s_article_and_the_right_ones_its_section() -> None:
    task = task_named("WikiReranking")
    for query, candidates, relevant in zip(task.queries, task.candidates, task.relevant, strict=True):
        origins = [ORIGIN[task.texts[candidate]] for candidate in candidates]
        own = ORIGIN[task.texts[query]]
        assert query not in candidates
        assert {title for title, _ in origins} == {own[0]}
        assert [origin == own for origin in origins] == list(relevant)
        assert 0 < sum(relevant) < len(relevant) / 2


@pytest.mark.parametrize("name", ["WikiClustering", "WikiClassification"])
def test_the_label_is_the_article_and_each_has_as_many_texts(name: str) -> None:
    task = task_named(name)
    assert list(task.labels) == [article_of(text) for text in task.texts]
    assert len(set(Counter(task.labels).values())) == 1


def test_clustering_and_classification_have_no_article_in_common() -> None:
    assert not set(task_named("WikiClustering").labels) & set(task_named("WikiClassification").labels)


def test_training_and_test_texts_differ_and_come_from_different_sections() -> None:
    task = task_named("WikiClassification")
    train, test = ([task.texts[position] for position in part] for part in (task.train, task.test))
    assert sorted(chain(task.train, task.test)) == list(range(len(task.texts)))
    assert not {ORIGIN[text] for text in train} & {ORIGIN[text] for text in test}
    assert min(Counter(map(article_of, train)).values()) >= task.samples_per_label
    assert min(Counter(map(article_of, test)).values()) >= 6


def test_words_alone_find_much_and_not_all() -> None:
    """Neither at chance nor at the ceiling for the lexical baseline, or layers could not be told apart."""
    task = task_named("WikiRetrieval")
    vectors = tfidf(task.texts)
    scores = vectors[list(task.queries)] @ vectors[list(task.documents)].T
    wanted = [[grades.get(document, 0) for document in task.documents] for grades in task.relevant]
    assert 0.3 < ndcg_score(wanted, scores, k=10) < 0.9


def test_the_suite_is_the_same_in_another_process() -> None:
    program = (
        "from hashlib import sha256; from valens.suites.named import builtin; "
        "print(sha256(repr(builtin()).encode()).hexdigest())"
    )
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    other = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()
    assert other == sha256(repr(builtin()).encode()).hexdigest()


def test_a_list_of_names_is_a_suite_in_that_order() -> None:
    suite = named.suite("WikiClustering, LeeSTS")
    assert suite.tasks == (task_named("WikiClustering"), task_named("LeeSTS"))
    assert named.suite("builtin") == builtin()


@pytest.mark.parametrize("name", ["LeeSTT", "leests", "LeeSTS,leeSTT"])
def test_an_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(TaskError, match=r"Did you mean LeeSTS.*The tasks are LeeSTS, WikiRetrieval"):
        named.suite(name)


@pytest.mark.parametrize("name", ["", "LeeSTS,", "LeeSTS,LeeSTS"])
def test_what_is_no_list_of_tasks_is_refused(name: str) -> None:
    with pytest.raises(TaskError):
        named.suite(name)
