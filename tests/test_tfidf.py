from __future__ import annotations

import numpy as np
import pytest

from valens.errors import TaskError
from valens.evaluation.tfidf import tfidf


def test_the_weights_are_those_of_a_hand_worked_case() -> None:
    vectors = tfidf(["cat cat dog", "dog"])
    cat, dog = (1 + np.log(2)) * (1 + np.log(3 / 2)), 1.0
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [np.array([cat, dog]) / np.hypot(cat, dog), [0, 1]], rtol=1e-6)


def test_rows_have_length_one_unless_they_have_no_word() -> None:
    np.testing.assert_allclose(np.linalg.norm(tfidf(["Some words.", "?", "other words"]), axis=1), [1, 0, 1], rtol=1e-6)


def test_neither_case_nor_the_order_of_words_counts() -> None:
    first, second = tfidf(["Meaning of a text", "a TEXT of meaning"])
    np.testing.assert_array_equal(first, second)


def test_texts_without_a_word_are_refused() -> None:
    with pytest.raises(TaskError, match="none in 2 texts"):
        tfidf(["?", "a"])
