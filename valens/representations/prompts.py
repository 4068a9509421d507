"""Prompts and tokens: a text as it is rendered for the model, and which of its tokens are pooled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from valens.errors import PromptError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SLOT = "{text}"
_BOS = ("tokenizer", "always", "never")
_POOL_OVER = ("all", "text")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Prompt:
    """A template with one `{text}`, the policy for the begin-of-sequence token, and the tokens that are pooled.

    Args:
        template: the words around a text, with `{text}` exactly once. The default is the text alone.
        bos: `tokenizer`: special tokens as the tokenizer adds them. `always`: a begin-of-sequence token is put first where
            the tokenizer adds none. `never`: no special tokens.
        pool_over: `all`: every token is pooled. `text`: those of the text, and neither the template's nor special tokens.

    Raises:
        PromptError: a template without exactly one `{text}`, or a policy that does not exist.

    """

    template: str = _SLOT
    bos: str = "tokenizer"
    pool_over: str = "all"

    def __post_init__(self) -> None:
        """Refuse a template without exactly one slot, and policies that do not exist."""
        if self.template.count(_SLOT) != 1:
            raise PromptError(f"A prompt has {_SLOT} in it exactly once; got {self.template!r}.")
        for value, allowed in ((self.bos, _BOS), (self.pool_over, _POOL_OVER)):
            if value not in allowed:
                raise PromptError(f"{value!r} was given; choose one of {', '.join(allowed)}.")

    def identity(self) -> dict[str, str]:
        """Return what can change a vector, by name: all of the prompt."""
        return asdict(self)


PLAIN = Prompt()
"""The text as it is, as the tokenizer prepares it."""


@dataclass(frozen=True)
class Tokens:
    """One text as the model reads it, also given instead of a text that was cut between two tokens."""

    ids: tuple[int, ...]
    pooling_mask: tuple[bool, ...]
    """True for the tokens that are pooled."""
    truncated: bool = field(compare=False)
    """Whether the text was longer. Two texts of which the same is read are equal."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, prompt: Prompt = PLAIN, max_tokens: int
) -> list[Tokens]:
    """Render texts into a prompt and tokenise them.

    Args:
        tokenizer: a Hugging Face tokenizer.
        texts: the texts, none of them empty.
        prompt: what is put around each text; the default is nothing but the tokenizer's own special tokens.
        max_tokens: the limit of tokens a text, with prompt and special tokens. A longer text loses its own last tokens,
            never the template's.

    Returns:
        The tokens of each text, in the order of the texts.

    Raises:
        PromptError: a text that is empty, has broken characters or has no tokens (the message has its index), or a
            template that leaves no room for a text within `max_tokens`.

    """
    empty = [index for index, text in enumerate(texts) if not text.strip()]
    if empty:
        raise PromptError(
            f"{len(empty)} of {len(texts)} texts are empty; the first is text {empty[0]} (counted from 0). "
            "Remove empty texts first: they have no meaning to measure."
        )
    broken = [index for index, text in enumerate(texts) if _SURROGATE.search(text)]
    if broken:
        raise PromptError(
            f"{len(broken)} of {len(texts)} texts hold half characters (surrogates); the first is text {broken[0]} "
            "(counted from 0). Read the texts again with their right encoding."
        )
    return [
        _fit(tokenizer, text, whole, prompt, max_tokens)
        for text, whole in zip(texts, _encode(tokenizer, texts, prompt), strict=True)
    ]


def without_special(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Split token ids into what the tokenizer puts before any text, the text's own tokens, and what it puts after any text.

    Args:
        tokenizer: the tokenizer that made them.
        ids: the ids of one text.

    Returns:
        Head, body and tail; head and tail are special tokens alone, and often empty.

    """
    special = set(tokenizer.all_special_ids)
    head = tuple(takewhile(special.__contains__, ids))
    rest = tuple(ids[len(head) :])
    tail = tuple(takewhile(special.__contains__, reversed(rest)))[::-1]
    return head, rest[: len(rest) - len(tail)], tail


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], prompt: Prompt) -> list[Tokens]:
    """Tokenise rendered texts without any limit."""
    head = prompt.template.index(_SLOT)
    texts = list(texts)
    if not texts:
        return []
    rendered = [prompt.template.replace(_SLOT, text) for text in texts]
    encoding: Any = tokenizer(
        rendered,
        add_special_tokens=prompt.bos != "never",
        return_special_tokens_mask=True,
        return_offsets_mapping=prompt.pool_over == "text",
        verbose=False,
    )
    encoded = []
    for index, (text, ids) in enumerate(zip(texts, encoding["input_ids"], strict=True)):
        pooling_mask = [True] * len(ids)
        if prompt.pool_over == "text":
            special, spans = encoding["special_tokens_mask"][index], encoding["offset_mapping"][index]
            pooling_mask = [
                not mark and start < head + len(text) and end > head
                for mark, (start, end) in zip(special, spans, strict=True)
            ]
        encoded.append(_with_bos(tokenizer, Tokens(tuple(ids), tuple(pooling_mask), truncated=False), prompt))
    return encoded


def _with_bos(tokenizer: PreTrainedTokenizerBase, tokens: Tokens, prompt: Prompt) -> Tokens:
    if prompt.bos != "always":
        return tokens
    if tokenizer.bos_token_id is None:
        raise PromptError("This tokenizer has no begin-of-sequence token; use the BOS policy `tokenizer` or `never`.")
    if tokens.ids[:1] == (tokenizer.bos_token_id,):
        return tokens
    pooling_mask = (prompt.pool_over == "all", *tokens.pooling_mask)
    return Tokens((tokenizer.bos_token_id, *tokens.ids), pooling_mask, tokens.truncated)


def _fit(tokenizer: PreTrainedTokenizerBase, text: str, whole: Tokens, prompt: Prompt, max_tokens: int) -> Tokens:
    """Return the whole if it fits, else the prompt around as much of the text's beginning as fits."""
    if not any(whole.pooling_mask):
        raise PromptError(f"The tokenizer makes no tokens of the text {text[:40]!r}.")
    if len(whole) <= max_tokens:
        return whole
    spans: Any = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    around = len(whole) - len(spans)
    keep = min(len(spans), max(max_tokens - around, 1))
    while keep > 0:
        cut = _encode(tokenizer, [text[: spans[keep - 1][1]]], prompt)[0]
        if len(cut) <= max_tokens and any(cut.pooling_mask):
            return Tokens(cut.ids, cut.pooling_mask, truncated=True)
        keep -= max(len(cut) - max_tokens, 1)
    raise PromptError(
        f"The prompt {prompt.template!r} leaves no room for a text within {max_tokens} tokens. Raise --max-tokens."
    )
