"""Prefixes of documents with the tokens that follow them: what a probe of subsequent tokens is asked about.

How long a document's prefixes are depends on the document and the seed, never on the other documents: fewer documents
have the prefixes that they have among more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from valens.corpora.duplicates import distinct
from valens.errors import CorpusError
from valens.representations.prompts import tokenize
from valens.store.shards import Row, row_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from valens.corpora import Corpus
    from valens.representations.prompts import Tokens

_LETTERS = 64
"""Of a longer text, this many characters a token are tokenised first: more than a token has of any prose or program."""

_SPARE = 16
"""So many tokens more than are used: a cut through a character that is several tokens costs some of the last."""


@dataclass(frozen=True)
class Continuations:
    """The beginnings of documents that are used, and where their prefixes end."""

    documents: tuple[int, ...]
    """Which documents are used, by their place in the corpus."""
    texts: tuple[Tokens, ...] = field(repr=False)
    """The beginning of each, up to the last token that any prefix could have to predict."""
    prefixes: tuple[tuple[int, ...], ...] = field(repr=False)
    """How many tokens each prefix of each document has, in rising order."""
    short: int
    """How many documents were left out because they end before the longest prefix and its farthest offset."""
    repeated: int
    """How many were left out because one before has the same letters and digits in the part that is used."""

    @property
    def n_instances(self) -> int:
        """How many prefixes there are in all."""
        return sum(map(len, self.prefixes))


def check_lengths(tokens: tuple[int, int], n: int) -> None:
    """Raise CorpusError unless n different lengths can be drawn between the two of `tokens`."""
    shortest, longest = tokens
    if not 1 <= shortest <= longest or not 1 <= n <= longest - shortest + 1:
        raise CorpusError(
            f"{n} different prefixes of {shortest} to {longest} tokens were asked for. Prefixes have 1 token or more, and "
            "there are no more of them than different lengths: widen --prefix-tokens or lower --prefixes."
        )


def draw_prefixes(
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    *,
    tokens: tuple[int, int],
    farthest: int,
    n: int,
    seed: int,
) -> Continuations:
    """Draw n different prefix lengths between the two of `tokens`, both included, for each document that is long enough.

    A document needs `farthest` tokens after the longest possible prefix. CorpusError where no document is left.
    """
    used = tokens[1] + farthest
    beginnings = _beginnings(tokenizer, corpus.texts, used)
    long = [index for index, text in enumerate(beginnings) if len(text) == used]
    decoded = [str(tokenizer.decode(list(beginnings[index].ids))) for index in long]
    chosen = [long[index] for index in distinct(decoded)]
    if not chosen:
        most = max(map(len, beginnings))
        raise CorpusError(
            f"None of the {len(corpus.texts):,} texts of {corpus.name} has {used} tokens, as the longest prefix and its "
            f"farthest offset need; the longest has {most}. Lower --prefix-tokens or --offsets, or give longer texts."
        )
    texts = tuple(beginnings[index] for index in chosen)
    return Continuations(
        documents=tuple(chosen),
        texts=texts,
        prefixes=tuple(_lengths(text, tokens, n, seed) for text in texts),
        short=len(beginnings) - len(long),
        repeated=len(long) - len(chosen),
    )


def _lengths(text: Tokens, tokens: tuple[int, int], n: int, seed: int) -> tuple[int, ...]:
    shortest, longest = tokens
    own: Row = row_of(text)
    chance = np.random.default_rng([seed, int.from_bytes(own[:8], "big")])
    return tuple(sorted((shortest + chance.choice(longest - shortest + 1, size=n, replace=False)).tolist()))


def _beginnings(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], n_tokens: int) -> list[Tokens]:
    """Return each text's first `n_tokens` tokens, without tokenising all of a long text."""
    limit = _LETTERS * n_tokens
    cuts = [text[:limit] if text[:limit].strip() else text for text in texts]
    beginnings = [_first(text, n_tokens) for text in _tokenized(tokenizer, cuts, n_tokens)]
    again = [index for index, text in enumerate(texts) if len(text) > limit and len(beginnings[index]) < n_tokens]
    for index, text in zip(again, _tokenized(tokenizer, [texts[index] for index in again], n_tokens), strict=True):
        beginnings[index] = _first(text, n_tokens)
    return beginnings


def _tokenized(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], n_tokens: int) -> list[Tokens]:
    return tokenize(tokenizer, texts, max_tokens=n_tokens + _SPARE)


def _first(text: Tokens, n_tokens: int) -> Tokens:
    truncated = text.truncated or len(text) > n_tokens
    return type(text)(text.ids[:n_tokens], text.pooling_mask[:n_tokens], truncated=truncated)
