"""The Lee news documents and how alike people found them, read from the data files in gensim's wheel.

The documents and judgements are those of Lee, Pincombe and Welsh, "An empirical evaluation of models of text document
similarity" (2005). The wheel is looked into, never imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from valens.errors import CorpusError
from valens.files.wheels import find_in_wheel

LEE_DOCUMENTS = "lee.cor"
LEE_SIMILARITIES = "similarities0-1.txt"


@dataclass(frozen=True)
class Lee:
    """The Lee documents, and how alike people found each pair: the mean of about ten judgements, from 0.2 to 1."""

    documents: tuple[str, ...]
    similarity: Float[np.ndarray, "document document"]


@cache
def lee() -> Lee:
    """Read the 50 Lee documents (news, about 80 words each) and what people said of each pair.

    Returns:
        The documents, and the symmetric matrix of mean judgements [document, document], from 0.2 to 1.

    Raises:
        MissingPackageError: gensim's wheel is not installed.
        CorpusError: its files are not what is expected.

    """
    documents = tuple(_data_file(LEE_DOCUMENTS).read_text(encoding="latin-1").splitlines())
    upper = np.loadtxt(_data_file(LEE_SIMILARITIES))
    if upper.shape != (len(documents), len(documents)):
        raise CorpusError(
            f"{LEE_SIMILARITIES} must judge every pair of the {len(documents)} texts of {LEE_DOCUMENTS}; its shape is "
            f"{upper.shape}. Install gensim's wheel afresh: pip install --no-deps --force-reinstall gensim"
        )
    similarity = np.triu(upper) + np.triu(upper, 1).T
    similarity.setflags(write=False)
    return Lee(documents, similarity)


def _data_file(name: str) -> Path:
    return find_in_wheel("gensim", f"test/test_data/{name}", install="pip install --no-deps gensim")
