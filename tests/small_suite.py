"""Small tasks of w-words, one of each kind: texts of five topics, each a vocabulary of its own."""

from __future__ import annotations

import random

from valens.tasks import Classification, Clustering, Reranking, Retrieval, Sts, Suite


def _texts() -> tuple[str, ...]:
    chance = random.Random(0)
    vocabularies = [range(5 + 15 * topic, 25 + 15 * topic) for topic in range(5)]  # neighbours share five words
    return tuple(
        " ".join(f"w{min(chance.choice(vocabularies[place % 5]), 96)}" for _ in range(chance.choice((6, 14, 30))))
        for place in range(60)
    )


TEXTS = _texts()
TOPICS = tuple("abcde"[place % 5] for place in range(60))


def _alike(one: int, other: int) -> bool:
    return TOPICS[one] == TOPICS[other]


PAIRS = [(one, other) for one in range(20) for other in range(one)]
STS = Sts(
    "SmallSTS",
    TEXTS,
    *(tuple(side) for side in zip(*PAIRS, strict=True)),
    tuple(float(_alike(*pair)) + sum(pair) % 3 for pair in PAIRS),
)
RETRIEVAL = Retrieval(
    "SmallRetrieval",
    TEXTS,
    tuple(range(15)),
    tuple(range(15, 60)),
    tuple({document - 15: 1 for document in range(15, 60) if _alike(query, document)} for query in range(15)),
)
RERANKING = Reranking(
    "SmallReranking",
    TEXTS[:40],
    tuple(range(10)),
    (tuple(range(10, 40)),) * 10,
    tuple(tuple(_alike(query, candidate) for candidate in range(10, 40)) for query in range(10)),
)
CLUSTERING = Clustering("SmallClustering", TEXTS, TOPICS, experiments=3)
CLASSIFICATION = Classification(
    "SmallClassification", TEXTS, TOPICS, tuple(range(30)), tuple(range(30, 60)), samples_per_label=4, experiments=3
)
SUITE = Suite("small", (STS, RETRIEVAL, RERANKING, CLUSTERING, CLASSIFICATION))
