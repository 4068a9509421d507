"""Small mirrors of hub data sets, with texts and labels of no meaning, laid out as mteb expects them."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = [f"word{number}" for number in range(60)]


def sentences(n: int, seed: int) -> list[str]:
    """Different texts of two to nine words."""
    rng = random.Random(seed)
    return [f"{' '.join(rng.choices(WORDS, k=rng.randint(1, 8)))} no{place}" for place in range(n)]


def write(folder: Path, name: str, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def describe(folder: Path, configs: dict[str, dict[str, str]]) -> None:
    """The head of a data card, which says what file is which split of which configuration."""
    listed = [
        {
            "config_name": config,
            "data_files": [{"split": split, "path": f"{file}.jsonl"} for split, file in files.items()],
        }
        for config, files in configs.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(listed)}\n---\n", encoding="utf-8")


def splits(folder: Path, **rows: list[dict]) -> None:
    """A data set of one configuration."""
    for split, of_split in rows.items():
        write(folder, split, of_split)
    describe(folder, {"default": {split: split for split in rows}})


def sts(root: Path) -> None:
    """STS15: texts that come in several pairs, some on both sides."""
    rng, texts = random.Random(0), sentences(40, 0)
    rows = [
        {"sentence1": a, "sentence2": b, "score": rng.randint(0, 25) / 5}
        for a, b in (rng.sample(texts, 2) for _ in range(60))
    ]
    splits(root / "mteb/sts15-sts", test=rows)


def pairs(root: Path) -> None:
    """TwitterURLCorpus: one row holds everything, as in older data."""
    rng, texts = random.Random(1), sentences(50, 1)
    drawn = [rng.sample(texts, 2) for _ in range(70)]
    row = {
        "sent1": [a for a, _ in drawn],
        "sent2": [b for _, b in drawn],
        "labels": [int(rng.random() < 0.4) for _ in drawn],
    }
    splits(root / "mteb/twitterurlcorpus-pairclassification", test=[row])


def search(folder: Path, *, split: str = "test", ranked: bool = False, shared_ids: bool = False) -> None:
    """Documents of equal texts, without titles, with spaces around; queries that nothing was judged for; grades 0 to 2."""
    rng, texts = random.Random(2), sentences(50, 2)
    corpus = [
        {"_id": f"d{n}", "title": "A title" if n % 3 else "", "text": f" {text} "} for n, text in enumerate(texts)
    ]
    corpus += [{"_id": f"e{n}", "title": corpus[n]["title"], "text": corpus[n]["text"]} for n in range(6)]
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate(sentences(16, 3))]
    if shared_ids:
        queries += [{"_id": f"d{n}", "text": corpus[n]["text"]} for n in range(10)]
    ids = [row["_id"] for row in corpus]
    judged = [
        {"query-id": query["_id"], "corpus-id": document, "score": rng.randint(0, 2)}
        for query in queries[2:]
        for document in [*rng.sample(ids, 7), "lost"]
    ]
    write(folder, "corpus", corpus)
    write(folder, "queries", queries)
    write(folder, "qrels", judged)
    configs = {
        "corpus": {"corpus": "corpus"},
        "queries": {"queries": "queries"},
        "default": {split: "qrels", "other": "qrels"},
    }
    if ranked:
        write(folder, "top_ranked", [{"query-id": q["_id"], "corpus-ids": rng.sample(ids, 12)} for q in queries[:-1]])
        configs["top_ranked"] = {split: "top_ranked"}
    describe(folder, configs)


def clusters(root: Path) -> None:
    """BiorxivClusteringP2P.v2: mteb embeds a twenty-fifth of it; a text may have two labels."""
    texts = sentences(1500, 4)
    rows = [{"sentences": texts[place % 1490], "labels": f"topic {place % 4}"} for place in range(1500)]
    splits(root / "mteb/biorxiv-clustering-p2p", test=rows)


def clusters_in_sets(root: Path) -> None:
    """StackExchangeClusteringP2P: sets of texts; one set has one label."""
    texts = sentences(90, 5)
    rows = [
        {"sentences": texts[:40], "labels": ["abc"[n % 3] for n in range(40)]},
        {"sentences": texts[30:], "labels": ["abde"[n % 4] for n in range(60)]},
        {"sentences": texts[:5], "labels": ["a"] * 5},
    ]
    splits(root / "mteb/stackexchange-clustering-p2p", test=rows)


def emotions(rows: int = 240) -> list[dict]:
    """EmotionClassification: some texts twice, with two labels, and some that differ in signs alone."""
    texts = sentences(rows - 30, 6)
    texts += texts[:15] + [f"{text.upper()}!" for text in texts[20:35]]
    return [{"text": text, "label": (place * 7) % 3} for place, text in enumerate(texts)]


def classes(root: Path) -> None:
    splits(root / "mteb/emotion", train=emotions(), test=emotions(100))


def build(root: Path) -> Path:
    """All of them."""
    sts(root)
    pairs(root)
    search(root / "mteb/nfcorpus", split="dev")
    search(root / "mteb/arguana", shared_ids=True)
    search(root / "mteb/AskUbuntuDupQuestions", ranked=True)
    clusters(root)
    clusters_in_sets(root)
    classes(root)
    return root
