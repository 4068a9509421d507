"""Special tokens as a text, a template and a tokenizer have them.

A text says what it says: where the name of a special token stands in it, `<|endoftext|>`, its letters are tokenised like any
others. A template that writes one means it, and what the tokenizer puts around any text stays.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from valens.errors import PromptError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PRIVATE_USE = 0xE000


def special_names(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Return a pattern that finds the names of special tokens, the longest first."""
    known = set(tokenizer.all_special_tokens)
    added = tokenizer.added_tokens_decoder.values()
    special = [token for token in added if token.special or token.content in known]
    names = [
        rf"(?<!\w){re.escape(token.content)}(?!\w)" if token.single_word else re.escape(token.content)
        for token in sorted(special, key=lambda token: len(token.content), reverse=True)
    ]
    return re.compile("|".join(names) or "(?!)")


def around(tokenizer: PreTrainedTokenizerBase, bos: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the special tokens that are put before any text under a BOS policy of prompts, and those put after it."""
    encoding: Any = tokenizer("a", add_special_tokens=bos != "never", return_special_tokens_mask=True, verbose=False)
    ids, special = encoding["input_ids"], encoding["special_tokens_mask"]
    head = tuple(ids[: len(list(takewhile(bool, special)))])
    tail = tuple(ids[len(ids) - len(list(takewhile(bool, reversed(special[len(head) :])))) :])
    return (put_first(tokenizer, head) if bos == "always" else head), tail


def put_first(tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ids with a begin-of-sequence token first, which may be there already; PromptError if there is none."""
    if tokenizer.bos_token_id is None:
        raise PromptError("This tokenizer has no begin-of-sequence token; use the BOS policy `auto` or `never`.")
    return ids if ids[:1] == (tokenizer.bos_token_id,) else (tokenizer.bos_token_id, *ids)


def with_aliases(
    tokenizer: PreTrainedTokenizerBase, template: str, texts: str
) -> tuple[PreTrainedTokenizerBase, str, Mapping[int, int]]:
    """Give the special tokens that a template writes other names, which no text has.

    Returns a copy of the tokenizer that knows these names even where special tokens are split, the template with them, and
    the id that each name's id stands for. `texts` are all that will be put into the template. PromptError for a tokenizer
    written in Python, which splits all added tokens or none.
    """
    if not tokenizer.is_fast:
        raise PromptError(
            "A text holds the name of a special token, and the prompt writes one too: this tokenizer cannot tell "
            "them apart. Leave the text out, or the prompt's special token."
        )
    by_name = {token.content: (token_id, token) for token_id, token in tokenizer.added_tokens_decoder.items()}
    names = special_names(tokenizer)
    aliases = dict(zip(dict.fromkeys(names.findall(template)), _letters_not_in(template + texts), strict=False))
    renamed = copy.deepcopy(tokenizer)
    renamed.add_tokens([_like(by_name[name][1], alias) for name, alias in aliases.items()])
    vocabulary = renamed.get_added_vocab()
    real = {vocabulary[alias]: by_name[name][0] for name, alias in aliases.items()}
    return renamed, names.sub(lambda found: aliases[found[0]], template), real


def _letters_not_in(text: str) -> Iterator[str]:
    used = set(text)
    return (letter for letter in map(chr, count(_PRIVATE_USE)) if letter not in used)


def _like(token: Any, content: str) -> Any:
    """Return a token of another name that takes the spaces around it as this one does."""
    return type(token)(
        content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=False,
        special=False,
    )
