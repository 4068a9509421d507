from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from valens.corpora import lee, lee_news
from valens.errors import CorpusError


def test_lee_judges_every_pair_of_its_documents() -> None:
    corpus = lee()
    assert len(corpus.documents) == len(set(corpus.documents)) == 50
    np.testing.assert_array_equal(corpus.similarity, corpus.similarity.T)
    np.testing.assert_array_equal(np.diag(corpus.similarity), 1)
    assert corpus.similarity.min() >= 0.2
    assert corpus.similarity.max() <= 1


def test_lee_pairs_on_one_event_are_alike() -> None:
    documents, similarity = lee().documents, lee().similarity
    democrats = [i for i, document in enumerate(documents) if "Democrats" in document and "Stott Despoja" in document]
    among = similarity[np.ix_(democrats, democrats)][np.triu_indices(len(democrats), 1)]
    assert len(democrats) > 1
    assert among.min() > np.median(similarity)


def test_lee_cannot_be_changed_by_a_reader() -> None:
    with pytest.raises(ValueError, match="read-only"):
        lee().similarity[0, 0] = 0


def test_a_matrix_for_other_texts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / lee_news.LEE_DOCUMENTS).write_text("one\ntwo\nthree")
    (tmp_path / lee_news.LEE_SIMILARITIES).write_text("1 0.2\n0 1")
    monkeypatch.setattr(lee_news, "find_in_wheel", lambda _, file, **__: tmp_path / Path(file).name)
    with pytest.raises(CorpusError, match=r"every pair of the 3 texts .* \(2, 2\)"):
        lee.__wrapped__()
