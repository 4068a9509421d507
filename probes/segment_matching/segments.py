"""Documents cut in two, a beginning and an end, to be matched with each other.

Section 3.2 of arXiv 2602.01572: the cut lies uniformly between a quarter and three quarters of a document's tokens, and
each segment is read alone. Where a document is cut depends on the document, the seed and the resplit, never on the other
documents: fewer documents are cut where they were cut among more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from valens.corpora.duplicates import distinct
from valens.errors import CorpusError
from valens.representations.prompts import PLAIN, Prompt, Tokens, tokenize
from valens.representations.special_tokens import around
from valens.statistics.seeds import check_seed
from valens.store.shards import row_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHORTEST = 16
"""Documents of fewer tokens are left out: a quarter of them would say nothing."""


@dataclass(frozen=True)
class Pair:
    """A document's two segments, each as the model reads it alone."""

    prefix: Tokens
    suffix: Tokens


@dataclass(frozen=True)
class Segments:
    """The documents that can be cut, and their segments."""

    documents: tuple[int, ...]
    """Which documents are used, by their place among those given."""
    resplits: tuple[tuple[Pair, ...], ...] = field(repr=False)
    """For each resplit, a pair a document."""
    repeated: int
    """How many documents were left out because one before has the same letters and digits in the part that is used."""
    short: int
    """How many were left out because they are too short for two segments."""
    truncated: int
    """How many of the used documents go on beyond the limit of tokens."""

    def passages(self) -> list[tuple[Tokens, list[int]]]:
        """Return what has to be read, and up to which tokens: one pass reads all the prefix segments of a document."""
        passages: list[tuple[Tokens, list[int]]] = []
        for pairs in zip(*self.resplits, strict=True):
            longest = max((pair.prefix for pair in pairs), key=len)
            begins = [pair.prefix for pair in pairs if longest.ids[: len(pair.prefix)] == pair.prefix.ids]
            passages.append((longest, sorted({len(prefix) for prefix in begins})))
            alone = [pair.prefix for pair in pairs if pair.prefix not in begins] + [pair.suffix for pair in pairs]
            passages += [(segment, [len(segment)]) for segment in dict.fromkeys(alone)]
        return passages


@dataclass(frozen=True)
class _Document:
    """A document's own tokens, and what is put before and after any text."""

    index: int
    head: tuple[int, ...]
    body: tuple[int, ...]
    tail: tuple[int, ...]
    truncated: bool
    pooled_around: bool
    """Whether what is put before and after it is pooled."""

    def segment(self, start: int, end: int) -> Tokens:
        before, own, after = self.head, self.body[start:end], self.tail
        mask = [[self.pooled_around] * len(before), [True] * len(own), [self.pooled_around] * len(after)]
        truncated = self.truncated and end == len(self.body)
        return Tokens((*before, *own, *after), tuple(chain.from_iterable(mask)), truncated)

    def pair(self, segment_tokens: int | None, seed: int, resplit: int) -> Pair:
        """Cut at a place that the document, the seed and the resplit decide."""
        n, least = len(self.body), segment_tokens or 1
        own = int.from_bytes(row_of(replace(self, pooled_around=True).segment(0, n))[:8], "big")
        low, high = max(-(-n // 4), least), min(3 * n // 4, n - least)
        at = int(np.random.default_rng([seed, resplit, own]).integers(low, high, endpoint=True))
        width = segment_tokens or n
        return Pair(self.segment(max(0, at - width), at), self.segment(at, min(n, at + width)))


def cut(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_tokens: int,
    segment_tokens: int | None = None,
    seed: int = 0,
    resplits: int = 1,
    prompt: Prompt = PLAIN,
) -> Segments:
    """Cut the first `max_tokens` tokens of every document in two, `resplits` times over.

    `segment_tokens` keeps that number of tokens on each side of the cut (None: whole segments, as in the paper). `prompt`
    has no words of its own: what it puts before and after a text, it puts before and after each segment. Raises
    CorpusError for settings that leave no segment, ProbeError for what is not a valid seed, PromptError for a text without
    tokens.
    """
    check_seed(seed)
    if segment_tokens is not None and segment_tokens < 1:
        raise CorpusError(f"A segment has one token or more; --segment-tokens {segment_tokens} was asked for.")
    if resplits < 1:
        raise CorpusError(f"Documents are cut once or more often; --resplits {resplits} was asked for.")
    documents = _documents(tokenizer, texts, prompt, max_tokens)
    long = [document for document in documents if len(document.body) >= max(SHORTEST, 2 * (segment_tokens or 1))]
    used = [long[index] for index in distinct([str(tokenizer.decode(list(document.body))) for document in long])]
    return Segments(
        documents=tuple(document.index for document in used),
        resplits=tuple(
            tuple(document.pair(segment_tokens, seed, resplit) for document in used) for resplit in range(resplits)
        ),
        repeated=len(long) - len(used),
        short=len(documents) - len(long),
        truncated=sum(document.truncated for document in used),
    )


def _documents(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompt: Prompt, max_tokens: int
) -> list[_Document]:
    head, tail = around(tokenizer, prompt.bos)
    read = tokenize(tokenizer, texts, prompt=Prompt(bos=prompt.bos), max_tokens=max_tokens)
    pooled_around = prompt.pool_over == "all"
    return [
        _Document(index, head, tokens.ids[len(head) : len(tokens) - len(tail)], tail, tokens.truncated, pooled_around)
        for index, tokens in enumerate(read)
    ]
