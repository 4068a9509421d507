"""What next-token probes learn from: prefixes of texts, the token that follows each, and which texts are held out.

A text of tokens x_1..x_n gives prefixes x_1..x_t, which the probe sees, with the target x_{t+1}. x_1 is the text's first
token, or one drawn for each text: texts of one kind often begin alike, and a probe can learn such beginnings. The lengths t
are drawn for each text from the seed and the text alone, and so is the order in which texts are held out: other texts beside
it change neither. Texts that (as far as they are read, or wholly where prefixes begin anywhere) have the same letters and
digits are one document, so that none is learnt from and scored on. A token that the tokenizer puts before every text counts
as one of the prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from valens.corpora.duplicates import identity
from valens.errors import CorpusError, ProbeError
from valens.representations.prompts import PLAIN, Prompt, Tokens, tokenize
from valens.representations.special_tokens import around
from valens.store.shards import row_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STARTS = ("beginning", "random")
"""Where the prefixes of a text begin: at its first token, or at one that is drawn for each text."""

_NO_LIMIT = 2**31 - 1

PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.1, 0.2)
"""Of the documents, how many are trained on, decide when to stop, and are scored."""

MOST = 1000
"""How many next tokens are told apart where nobody says how many."""

ALL = "all"
"""In place of a number of classes: every token of the vocabulary."""

FEWEST = 10
"""Fewer documents cannot be split into three."""


@dataclass(frozen=True)
class Examples:
    """Prefixes and their next tokens, text by text; an axis `row` has one entry a prefix."""

    tokens: tuple[Tokens, ...] = field(repr=False)
    """The texts that are used, as the model reads them."""
    lengths: tuple[tuple[int, ...], ...] = field(repr=False)
    """How many tokens each prefix of a text has."""
    document: Int[np.ndarray, " row"] = field(repr=False)
    """Which document each prefix is of; a document is named by the place of its first text."""
    part: Int[np.ndarray, " row"] = field(repr=False)
    """Which of `PARTS` each prefix belongs to."""
    last: Int[np.ndarray, " row"] = field(repr=False)
    """The id of each prefix's last token."""
    following: Int[np.ndarray, " row"] = field(repr=False)
    """The id of the token that follows it."""
    short: int
    """How many texts were left out because they have no prefix of the shortest length with a token after it."""

    def documents(self, part: int) -> int:
        """Return how many documents a part has."""
        return len(np.unique(self.document[self.part == part]))


@dataclass(frozen=True)
class Classes:
    """Which next tokens a probe tells apart."""

    ids: Int[np.ndarray, " class"] = field(repr=False)
    """The token of each class, the most frequent in the training part first; in order of id if all tokens are classes."""
    of_row: Int[np.ndarray, " row"] = field(repr=False)
    """The class of each prefix's next token; -1 where it is none, and the prefix is left out."""

    def coverage(self, examples: Examples) -> dict[str, float]:
        """Return the share of each part's prefixes that is kept."""
        return {name: float((self.of_row[examples.part == part] >= 0).mean()) for part, name in enumerate(PARTS)}


def draw(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_tokens: int,
    start: str = "beginning",
    prefixes: int = 64,
    min_prefix: int = 8,
    seed: int = 0,
    prompt: Prompt = PLAIN,
) -> Examples:
    """Draw up to `prefixes` different prefixes of each text, of `min_prefix` tokens or more, and split the documents.

    `start` is one of STARTS: prefixes begin where the text does, or where a window of `max_tokens` tokens, drawn for each
    text, begins. `prompt` has no words of its own; a prefix ends with a token that it pools. Raises CorpusError for fewer
    than 10 documents that can be used.
    """
    if start == "random":
        whole = tokenize(tokenizer, texts, prompt=prompt, max_tokens=_NO_LIMIT)
        head, tail = map(len, around(tokenizer, prompt.bos))
        everything = [_window(text, head, tail, max_tokens, seed) for text in whole]
    else:
        everything = whole = tokenize(tokenizer, texts, prompt=prompt, max_tokens=max_tokens)
    indices = tuple(index for index, text in enumerate(everything) if _ends(text, min_prefix))
    tokens = tuple(everything[index] for index in indices)
    keys = [identity(str(tokenizer.decode(list(whole[index].ids), skip_special_tokens=True))) for index in indices]
    _check_documents(len(set(keys)), len(texts) - len(indices), min_prefix)
    first: dict[bytes, int] = {}
    documents = [first.setdefault(key, index) for key, index in zip(keys, indices, strict=True)]
    part_of = _parts(first, seed)
    lengths = tuple(_lengths(text, prefixes, min_prefix, seed) for text in tokens)
    return Examples(
        tokens,
        lengths,
        np.repeat(documents, list(map(len, lengths))),
        np.repeat([part_of[key] for key in keys], list(map(len, lengths))),
        np.array([text.ids[end - 1] for text, ends in zip(tokens, lengths, strict=True) for end in ends]),
        np.array([text.ids[end] for text, ends in zip(tokens, lengths, strict=True) for end in ends]),
        short=len(texts) - len(indices),
    )


def choose_classes(examples: Examples, n_classes: int | str | None, n_vocabulary: int) -> Classes:
    """Return the `n_classes` most frequent next tokens of the training part; `all`: every token is a class.

    None is `MOST` classes, or all next tokens that there are. Of equally frequent tokens the one with the smaller id comes
    first. Raises ProbeError for fewer than two classes, and for more than there are different next tokens in the training
    part.
    """
    if n_classes == ALL:
        return Classes(np.arange(n_vocabulary), examples.following.copy())
    tokens, counts = np.unique(examples.following[examples.part == PARTS.index("train")], return_counts=True)
    if n_classes is None:
        n_classes = min(MOST, len(tokens))
    if not 2 <= int(n_classes) <= len(tokens):  # noqa: PLR2004
        raise ProbeError(
            f"The training part has {len(tokens):,} different next tokens; --classes {n_classes:,} was asked for. Ask for 2 "
            f"to {len(tokens):,}, or for all (the whole vocabulary)."
        )
    ids = tokens[np.argsort(-counts, kind="stable")[:n_classes]]
    class_of = np.full(max(n_vocabulary, int(examples.following.max()) + 1), -1)
    class_of[ids] = np.arange(n_classes)
    return Classes(ids, class_of[examples.following])


def control_classes(
    last: Int[np.ndarray, " row"],
    classes: Int[np.ndarray, " row"],
    train: Int[np.ndarray, " train"],
    n_vocabulary: int,
    seed: int,
) -> Int[np.ndarray, " row"]:
    """Return the control task of Hewitt & Liang (2019): a class that each prefix's LAST token decides, drawn at random.

    Each token of the vocabulary is given one class for good, drawn from the classes of the training rows. A probe
    can only learn it by heart; what it scores above that (selectivity) is what its features made easy.
    """
    chance = np.random.default_rng([seed, 2])
    return chance.choice(classes[train], size=max(n_vocabulary, int(last.max()) + 1))[last]


def _window(text: Tokens, head: int, tail: int, max_tokens: int, seed: int) -> Tokens:
    """Cut `max_tokens` tokens out of a text, from a place that the seed and the text decide; a shorter text is whole.

    `head` and `tail` say how many tokens are put before and after any text. Those before it stay before the window.
    """
    if len(text) <= max_tokens:
        return text
    room = max_tokens - head
    last = max(len(text) - tail - max_tokens, 0)
    begin = head + int(np.random.default_rng([seed, 3, _number(text)]).integers(0, last, endpoint=True))
    end = min(begin + room, len(text) - tail)
    window = [*range(head), *range(begin, end)]
    return Tokens(
        tuple(text.ids[place] for place in window), tuple(text.pooling_mask[place] for place in window), truncated=True
    )


def _lengths(text: Tokens, prefixes: int, min_prefix: int, seed: int) -> tuple[int, ...]:
    """Return how many tokens each prefix has, in increasing order, all different."""
    chance = np.random.default_rng([seed, _number(text)])
    return tuple(np.sort(chance.permutation(_ends(text, min_prefix))[:prefixes]).tolist())


def _ends(text: Tokens, min_prefix: int) -> list[int]:
    """Return how many tokens a prefix may have: one or more are left to predict, and its last one is pooled."""
    return [end for end in range(min_prefix, len(text)) if text.pooling_mask[end - 1]]


def _number(text: Tokens) -> int:
    """Return a number that the text's tokens decide, whichever of them are pooled."""
    return int.from_bytes(row_of(Tokens(text.ids, (True,) * len(text), truncated=False)))


def _parts(documents: Iterable[bytes], seed: int) -> dict[bytes, int]:
    """Return the part of each document: all in an order that the seed and each one's hash decide, the first are held out."""
    order = sorted(documents, key=lambda key: hashlib.sha256(seed.to_bytes(8, "little") + key).digest())
    _, validation, test = (max(1, round(share * len(order))) for share in SHARES)
    sizes = {"test": test, "validation": validation, "train": len(order) - test - validation}
    parts = np.repeat([PARTS.index(name) for name in sizes], list(sizes.values()))
    return dict(zip(order, parts.tolist(), strict=True))


def _check_documents(n_documents: int, short: int, min_prefix: int) -> None:
    if n_documents < FEWEST:
        raise CorpusError(
            f"{n_documents} documents can be used, {short} texts are too short for a prefix of {min_prefix} tokens and one "
            f"after it; {FEWEST} documents or more are needed. Give more or longer texts, or lower --min-prefix."
        )
