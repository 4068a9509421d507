"""What segment matching costs without a forward pass: ranks against scikit-learn, a warm probe, and memory.

    python tests/benchmarks/matching.py                 the ranks and the probe, about a minute on two cores
    python tests/benchmarks/matching.py --layers 36     also 20,000 documents × 36 layers × 1,024, many minutes

Below 1 means that valens takes less time than the rival.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from measuring import Line, peak_memory, rounds, seconds, show
from scipy.stats import rankdata
from sklearn.metrics.pairwise import cosine_similarity

from probes.segment_matching.recall import match_ranks
from valens.corpora import Corpus
from valens.model.loading import load
from valens.probes import SegmentMatching, segment_matching
from valens.representations.named import HS, VA
from valens.store.store import ActivationStore

LAYERS, DOCUMENTS, WIDTH = 30, 500, 576
WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school")


def sides(layers: int, documents: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Random halves that are somewhat alike."""
    chance = np.random.default_rng(0)
    first = chance.standard_normal((layers, documents, width), dtype=np.float32)
    return first, first + 3 * chance.standard_normal(first.shape, dtype=np.float32)


def ranked_by_scipy(first: np.ndarray, second: np.ndarray) -> None:
    """Layer by layer: scikit-learn's cosines and scipy's ranks, in both directions."""
    for one, other in zip(first, second, strict=True):
        matrix = cosine_similarity(one.astype(np.float64), other.astype(np.float64))
        for direction in (matrix, matrix.T):
            np.diag(rankdata(-direction, method="max", axis=1))


def warm_probe(repeats: int) -> list[float]:
    """The whole probe of VA and HS, its store filled with random vectors for every segment."""
    chance = random.Random(0)
    model = load("smollm2-135m")
    vocabulary = [f" {word}" for word in WORDS]
    texts = tuple("".join(chance.choices(vocabulary, k=chance.randint(200, 400))) for _ in range(DOCUMENTS))
    corpus = Corpus("made up", texts, tuple(map(str, range(DOCUMENTS))), "random words")
    with tempfile.TemporaryDirectory() as folder:
        store = ActivationStore(folder)
        job = SegmentMatching().plan(model, corpus, [VA, HS], store=store).reading
        job.collection.begin()
        for batch in job.batches:
            parts = [part for passage in batch for part in passage.parts]
            shapes = {
                str(reading): (len(reading.layers(model.n_layers)), len(parts), model.sizes.width(reading.stream))
                for reading in job.readings
            }
            job.collection.write(parts, {name: torch.randn(shape) for name, shape in shapes.items()})
        return [seconds(lambda: segment_matching(model, corpus, [VA, HS], store=store)) for _ in range(repeats)]


def many_documents(layers: int) -> float:
    """Peak memory of 20,000 documents × 1,024 numbers, a layer at a time as the probe groups them."""
    chance = np.random.default_rng(0)
    with peak_memory() as peak:
        for _ in range(layers):
            first = chance.standard_normal((1, 20_000, 1024), dtype=np.float32)
            match_ranks(first, first + chance.standard_normal(first.shape, dtype=np.float32))
    return peak[0]


def lines(repeats: int, layers: int) -> Iterator[Line]:
    first, second = sides(LAYERS, DOCUMENTS, WIDTH)
    found = rounds(lambda: match_ranks(first, second), lambda: ranked_by_scipy(first, second), repeats)
    yield Line("ranks, 30 layers × 500 documents × 576", "scikit-learn's cosines and scipy's ranks", found, "≤ 0.7")
    yield Line("the probe from a warm store, 500 documents", "seconds", warm_probe(repeats), "≤ 10")
    if layers:
        what = f"ranks, {layers} layers × 20,000 documents × 1,024"
        yield Line(what, "MiB above the start", [many_documents(layers)], "≤ 6,144")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds after one that warms up")
    parser.add_argument("--layers", type=int, default=0, help="layers of the large case")
    arguments = parser.parse_args()
    show(f"Segment matching, {torch.get_num_threads()} threads", lines(arguments.repeats, arguments.layers))


if __name__ == "__main__":
    main()
