"""What scoring 30 layers costs, against one layer through unmodified mteb whose encoder looks vectors up.

    make bench                                                        all of it, some minutes on two cores
    python tests/benchmarks/evaluation.py --data-root hub --tasks STS15,SciFact

mteb's time is that of `mteb.evaluate` on a task whose data are loaded. Without a mirror (`--data-root`, or VALENS_DATA_ROOT)
random texts of the same numbers stand for the data. Vectors are made up: 576 wide, with what a task asks for in them, a
common direction, and directions of very different lengths, as a residual stream has. Below the target means that all
layers cost less than so many single ones. Banking77 hangs on mteb's threads (the title says how many): its small fits take
two to four times as long with two threads as with one, many times as long on a busy machine; ours take one each.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.append(str(Path(__file__).resolve().parents[1]))

import mteb
import numpy as np
import torch
from looking_up import Given
from measuring import Line, rounds, show
from mirrors import describe, sentences, splits, write

from valens.evaluation.evaluate import evaluate
from valens.mteb.tasks import load_task
from valens.tasks import Task

LAYERS, WIDTH = 30, 576
TARGETS = {"STS15": ("test", 1.5), "SciFact": ("train", 3), "Banking77Classification": ("test", 10)}


def made_up(root: Path) -> Path:
    """A mirror of random texts, in the numbers of the three data sets."""
    rng = random.Random(0)
    texts = sentences(5200, 0)
    rows = [
        {"sentence1": a, "sentence2": b, "score": rng.randint(0, 25) / 5}
        for a, b in (rng.sample(texts, 2) for _ in range(3000))
    ]
    splits(root / "mteb/sts15-sts", test=rows)
    labelled = [{"text": text, "label": place % 77} for place, text in enumerate(sentences(13_083, 1))]
    splits(root / "mteb/banking77", train=labelled[:10_003], test=labelled[10_003:])
    folder = root / "mteb/scifact"
    write(folder, "corpus", [{"_id": str(n), "title": "", "text": text} for n, text in enumerate(sentences(5183, 2))])
    write(folder, "queries", [{"_id": f"q{n}", "text": text} for n, text in enumerate(sentences(809, 3))])
    write(
        folder, "qrels", [{"query-id": f"q{n}", "corpus-id": str(rng.randrange(5183)), "score": 1} for n in range(809)]
    )
    configs = {"corpus": {"corpus": "corpus"}, "queries": {"queries": "queries"}, "default": {"train": "qrels"}}
    describe(folder, configs)
    return root


def layers_of(task: Task) -> np.ndarray:
    """Vectors in which labels can be seen, and a common direction above all."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((LAYERS, len(task.texts), WIDTH), dtype=np.float32)
    if hasattr(task, "labels"):
        names, label = np.unique(task.labels, return_inverse=True)
        of_text = np.zeros(len(task.texts), dtype=int)
        of_text[list(task.rows)] = label
        vectors += 0.7 * rng.standard_normal((LAYERS, len(names), WIDTH), dtype=np.float32)[:, of_text]
    lengths = np.exp(1.2 * rng.standard_normal(WIDTH)).astype(np.float32)
    lengths[:3] *= 50
    vectors += 5
    vectors *= lengths
    return vectors


def lines(names: list[str], repeats: int) -> Iterator[Line]:
    for name in names:
        split, target = TARGETS[name]
        task = load_task(f"{name}@{split}", data_root=Path.cwd()).task
        vectors = layers_of(task)
        judge = mteb.get_task(name, eval_splits=[split])
        judge.load_data()
        given = Given(task.texts, vectors[0])

        def one_layer(given=given, judge=judge) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mteb.evaluate(given, judge, cache=None, show_progress_bar=False)

        slow = "77" in name  # a round of logistic regression takes minutes, which warms it up as well

        def all_layers(resamples: int, task=task, vectors=vectors, slow=slow) -> list[float]:
            ours = partial(evaluate, task, vectors, resamples=resamples)
            return rounds(ours, one_layer, 1 if slow else repeats, warm_up=not slow)

        yield Line(f"{name}, {LAYERS} layers", "one layer through mteb", all_layers(1), f"≤ {target}")
        if name == "STS15":
            yield Line(
                "the same with 1,000 resamples, which mteb has not", "one layer through mteb", all_layers(1000), ""
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("VALENS_DATA_ROOT"), help="a mirror of the hub")
    parser.add_argument("--tasks", default=",".join(TARGETS), help="some of the tasks, with commas between")
    parser.add_argument("--repeats", type=int, default=3, help="rounds after one that warms up")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(arguments.data_root) if arguments.data_root else made_up(Path(folder))
        with contextlib.chdir(root):
            title = (
                f"Scoring, {torch.get_num_threads()} threads, {'mirror' if arguments.data_root else 'made-up texts'}"
            )
            show(title, lines(arguments.tasks.split(","), arguments.repeats))


if __name__ == "__main__":
    main()
