"""Prompts and tokens: a text as it is rendered for the model, and which of its tokens are pooled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from valens.errors import PromptError
from valens.representations.special_tokens import put_first, special_names, with_aliases

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SLOT = "{text}"
BOS = ("auto", "always", "never")
POOL_OVER = ("all", "text")
_STORED = {"auto": "tokenizer"}
"""The name that identities have had for a policy from the start: with another, stores would not know their own vectors."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Prompt:
    """A template with one `{text}`, the policy for the begin-of-sequence token, and the tokens that are pooled.

    Args:
        template: the words around a text, with `{text}` exactly once. The default is the text alone.
        bos: `auto`: special tokens as the tokenizer adds them. `always`: a begin-of-sequence token is put first where the
            tokenizer adds none. `never`: no special tokens.
        pool_over: `all`: every token is pooled. `text`: those of the text, and neither the template's nor special tokens.

    Raises:
        PromptError: a template without exactly one `{text}`, or a policy that does not exist.

    """

    template: str = _SLOT
    bos: str = "auto"
    pool_over: str = "all"

    def __post_init__(self) -> None:
        """Refuse a template without exactly one slot, and policies that do not exist."""
        if self.template.count(_SLOT) != 1:
            raise PromptError(f"A prompt has {_SLOT} in it exactly once; got {self.template!r}.")
        for value, allowed in ((self.bos, BOS), (self.pool_over, POOL_OVER)):
            if value not in allowed:
                raise PromptError(f"{value!r} was given; choose one of {', '.join(allowed)}.")

    def identity(self) -> dict[str, str]:
        """Return what can change a vector, by name: all of the prompt."""
        return asdict(self) | {"bos": _STORED.get(self.bos, self.bos)}

    @classmethod
    def of(cls, identity: Mapping[str, str]) -> Prompt:
        """Return the prompt of an identity; PromptError for a template or policies that do not exist."""
        policies = {stored: policy for policy, stored in _STORED.items()}
        return cls(identity["template"], policies.get(identity["bos"], identity["bos"]), identity["pool_over"])


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

    A special token's name in a text is tokenised as its letters are; one in the template is that token.

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
    tokens: dict[int, Tokens] = {}
    for reader, indices in _readers(tokenizer, texts, prompt):
        own = [texts[index] for index in indices]
        whole = reader.encode(own)
        tokens |= zip(indices, (_fit(reader, *each, max_tokens) for each in zip(own, whole, strict=True)), strict=True)
    return [tokens[index] for index in range(len(texts))]


@dataclass(frozen=True)
class _Reader:
    """How texts in a prompt become tokens, without any limit."""

    tokenizer: PreTrainedTokenizerBase
    prompt: Prompt
    template: str
    """The prompt's, or with other names for the special tokens in it."""
    split: bool = True
    """Whether the names of special tokens become ordinary tokens, in the text and in the template."""
    real: Mapping[int, int] = field(default_factory=dict)
    """The ids that those of other names stand for."""

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise rendered texts."""
        if not texts:
            return []
        prompt, head = self.prompt, self.template.index(_SLOT)
        rendered = [self.template.replace(_SLOT, text) for text in texts]
        encoding: Any = self.tokenizer(
            rendered,
            add_special_tokens=prompt.bos != "never",
            split_special_tokens=self.split,
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
            encoded.append(self._with_bos(tuple(self.real.get(token, token) for token in ids), tuple(pooling_mask)))
        return encoded

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each token of a text alone begins and ends."""
        encoding: Any = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
        )
        return encoding["offset_mapping"]

    def _with_bos(self, ids: tuple[int, ...], pooling_mask: tuple[bool, ...]) -> Tokens:
        with_bos = put_first(self.tokenizer, ids) if self.prompt.bos == "always" else ids
        added = (self.prompt.pool_over == "all",) * (len(with_bos) - len(ids))
        return Tokens(with_bos, (*added, *pooling_mask), truncated=False)


def _readers(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompt: Prompt
) -> Iterator[tuple[_Reader, list[int]]]:
    """Yield readers and the indices of their texts; there is one, unless the template and some texts name special tokens."""
    template = prompt.template
    if template == _SLOT or not (names := special_names(tokenizer)).search(template):
        yield _Reader(tokenizer, prompt, template), list(range(len(texts)))
        return
    head, tail = template.split(_SLOT)
    naming = [_names_any(names, head, text, tail) for text in texts]
    yield _Reader(tokenizer, prompt, template, split=False), [index for index, named in enumerate(naming) if not named]
    if any(naming):
        renamed, template, real = with_aliases(tokenizer, template, "".join(texts))
        yield _Reader(renamed, prompt, template, real=real), [index for index, named in enumerate(naming) if named]


def _names_any(names: re.Pattern[str], head: str, text: str, tail: str) -> bool:
    """Tell whether a special token would be found in a text between head and tail, or across its ends."""
    end = len(head) + len(text)
    return any(found.start() < end and found.end() > len(head) for found in names.finditer(f"{head}{text}{tail}"))


def _fit(reader: _Reader, text: str, whole: Tokens, max_tokens: int) -> Tokens:
    """Return the whole if it fits, else the prompt around as much of the text's beginning as fits."""
    if not any(whole.pooling_mask):
        raise PromptError(f"The tokenizer makes no tokens of the text {text[:40]!r}.")
    if len(whole) <= max_tokens:
        return whole
    spans = reader.spans(text)
    around = len(whole) - len(spans)
    keep = min(len(spans), max(max_tokens - around, 1))
    while keep > 0:
        (cut,) = reader.encode([text[: spans[keep - 1][1]]])
        if len(cut) <= max_tokens and any(cut.pooling_mask):
            return Tokens(cut.ids, cut.pooling_mask, truncated=True)
        keep -= max(len(cut) - max_tokens, 1)
    raise PromptError(
        f"The prompt {reader.prompt.template!r} leaves no room for a text within {max_tokens} tokens. Raise --max-tokens."
    )
