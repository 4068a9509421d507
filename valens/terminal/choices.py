"""The words that options take: said in the help, and completed by the shell at once.

The registries that know what the words mean load numpy and torch, for which nobody waits at a tab; the tests hold these
lists to them. What is no heavier than this module is asked for its own list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from valens.model.attention import ATTN_IMPLEMENTATIONS
from valens.model.catalog import CATALOG
from valens.model.loading import DEVICES, DTYPES

Completer = Callable[[str], list[tuple[str, str]]]

MODELS = {known.alias: known.source.split("/")[0].removeprefix("wheel:") for known in CATALOG.values()}
CORPORA = {"wikipedia": "articles that come with gensim's wheel", "longbench-v2": "long contexts, from the hub"}
SUITES = {
    "builtin": "all five built-in tasks",
    "paper": "the paper's ten selection sets, through mteb",
    "mteb:": "tasks of MTEB, as in mteb:STS15,SciFact@train",
}
TASKS = ("LeeSTS", "WikiRetrieval", "WikiReranking", "WikiClustering", "WikiClassification")
REPRESENTATIONS = {
    "VA": "values, averaged",
    "HS": "hidden states, averaged",
    "HS-but-first": "hidden states without the first token's",
    "LT": "the last token's hidden state",
    "WMP": "hidden states, weighted by position",
    "WVA": "the last token's head outputs",
    "AlignedWVA": "the last token's attention output",
}
STREAMS = ("hidden", "values", "heads", "attn_out", "normed", "keys", "mlp")
POOLINGS = ("mean", "last", "weighted", "but-first", "but-first:4", "last+mean", "unit", "unsunk", "median")
READINGS = tuple(f"{stream}/{pooling}" for stream in STREAMS for pooling in POOLINGS)
SELECTORS = {
    "paper": "those that retrieve best and spoil no other task",
    "best": "the one best layer",
    "top-k": "the best few layers",
    "contiguous": "the best run of neighbours",
    "greedy": "one layer after another, while it helps",
    "intrinsic-dimension": "where the vectors fill the fewest directions",
    "half": "the deeper half",
    "all": "every layer",
}
ON_LONG = ("truncate", "error")
BOS = {"auto": "as the tokenizer adds it", "always": "also where the tokenizer adds none", "never": "no special tokens"}
POOL_OVER = {"all": "every token", "text": "the text's own, no special tokens"}
LARGEST_SEED = 2**63 - 1


def either(words: Iterable[str]) -> str:
    """Return the words as a sentence has them: `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def one_of(words: Iterable[str] | dict[str, str]) -> Completer:
    """Completes an option that takes one of these words; a dict says what each is."""
    known = words if isinstance(words, dict) else dict.fromkeys(words, "")

    def complete(incomplete: str) -> list[tuple[str, str]]:
        return [(word, about) for word, about in known.items() if word.startswith(incomplete)]

    return complete


def several_of(words: Iterable[str] | dict[str, str], *, alone: Iterable[str] = ()) -> Completer:
    """Completes an option that takes words with commas between, each once; those of `alone` stand for themselves."""
    known = words if isinstance(words, dict) else dict.fromkeys(words, "")
    single = set(alone)

    def complete(incomplete: str) -> list[tuple[str, str]]:
        before, comma, word = incomplete.rpartition(",")
        given = set(before.split(","))
        free = (known.keys() - given - single) if comma else known.keys()
        return [(before + comma + one, known[one]) for one in known if one in free and one.startswith(word)]

    return complete


models, devices, dtypes, attn_implementations = (
    one_of(MODELS),
    one_of(DEVICES),
    one_of(DTYPES),
    one_of(ATTN_IMPLEMENTATIONS),
)
corpora, selectors, on_long = one_of(CORPORA), one_of(SELECTORS), one_of(ON_LONG)
bos, pool_over = one_of(BOS), one_of(POOL_OVER)
suites = several_of(SUITES | dict.fromkeys(TASKS, "a built-in task"), alone=SUITES)
representations = several_of(REPRESENTATIONS | dict.fromkeys(READINGS, "a reading"))
representation = one_of(REPRESENTATIONS | dict.fromkeys(READINGS, "a reading"))
readings = several_of(READINGS)


def collections(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Completes the key of a collection in the store that `--store` names."""
    manifests = sorted(Path(ctx.params.get("store") or "activations").glob(f"{incomplete}*/manifest.json"))
    return [(manifest.parent.name[:12], "a collection") for manifest in manifests]
