"""The lexical baseline: what shared words alone say, with no model. Every layer's score is read against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from valens.errors import TaskError

LEXICAL = "TF-IDF"
"""The name under which results have it."""


def tfidf(texts: Sequence[str]) -> Float[np.ndarray, "text vocabulary"]:
    """Return the vectors of `sparse_tfidf` as a dense array, 4 bytes a text and word."""
    return sparse_tfidf(texts).toarray()


def sparse_tfidf(texts: Sequence[str]) -> csr_array:
    """Return TF-IDF vectors of length 1, so that a dot product is a cosine.

    Lower-cased words of two characters or more, weighted (1 + ln count) · (1 + ln((1 + n) / (1 + n_with_word))), the n
    counted over `texts` themselves; nothing is stemmed or left out. scikit-learn's TfidfVectorizer computes them.

    Args:
        texts: the texts.

    Returns:
        float32 [text, word]; a text without words is zeros.

    Raises:
        TaskError: no text has a word.

    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # here: results name the baseline and compute none

    try:
        return csr_array(TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(texts))
    except ValueError as error:
        raise TaskError(
            f"TF-IDF needs a word of two characters or more in one of the texts; found none in {len(texts)} texts."
        ) from error
