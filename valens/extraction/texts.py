"""The texts that are read, in whatever form they are given."""

from __future__ import annotations

from collections.abc import Iterable

from valens.corpora.contract import Corpus
from valens.errors import PromptError
from valens.representations.prompts import Tokens


def text_list(texts: object) -> list[str | Tokens]:
    """Return texts as a list.

    Args:
        texts: a Corpus, or strings and Tokens that are iterated over once.

    Raises:
        PromptError: one string alone, whose letters would be taken for texts; something that cannot be iterated over; or
            an item that is neither a string nor Tokens (the message has its index).

    """
    if isinstance(texts, Corpus):
        return list(texts.texts)
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise PromptError(f'The texts are a list of texts, as ["one text"], or a vl.Corpus; got {texts!r:.40}.')
    items = list(texts)
    for index, item in enumerate(items):
        if not isinstance(item, str | Tokens):
            raise PromptError(f"Text {index} (from 0) is not a string: {item!r:.40}. Give a list of texts.")
    return items
