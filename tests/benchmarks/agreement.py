"""Scores of SmolLM2's own vectors: ours against unmodified mteb, whose encoder looks the same vectors up.

    python tests/benchmarks/agreement.py --data-root hub --store activations

needs a mirror of five data sets. Every text is cut at 32 tokens and read in bfloat16: scores are compared, not texts. Of a
training set mteb is given a mirror in which the part that is held out is the test set. Two layers, values and hidden states.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import warnings
from itertools import product
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.append(str(Path(__file__).resolve().parents[1]))

import datasets
import mteb
import numpy as np
import pandas as pd
from looking_up import Given
from mirrors import splits
from rich.console import Console

from valens.evaluation.evaluate import evaluate
from valens.extraction.extract import Extraction, plan
from valens.model import loading
from valens.mteb.held_out import held_out
from valens.mteb.tasks import load_task
from valens.representations.named import HS, VA, Representation
from valens.store.store import ActivationStore
from valens.tasks import Task

LAYERS = (12, 30)
TASKS = (
    "STSBenchmark@validation",
    "STS15@test",
    "Banking77Classification@train",
    "EmotionClassification@train",
    "SciFact@train",
)
LABELLED = {"Banking77Classification": "banking77", "EmotionClassification": "emotion"}
TOLERANCE = {"Classification": 0.005}
"""In accuracy, on average over layers; of all else 1e-6 in each layer."""


def read(tasks: list[Task], store: Path) -> tuple[dict[str, int], Extraction]:
    texts = list(dict.fromkeys(text for task in tasks for text in task.texts))
    model = loading.load("smollm2-135m", dtype="bfloat16")
    job = plan(model, texts, [VA.reading, HS.reading], store=ActivationStore(store), max_tokens=32)
    return {text: place for place, text in enumerate(texts)}, job.run()


def layers_of(task: Task, of: Representation, places: dict[str, int], found: Extraction) -> np.ndarray:
    rows = [places[text] for text in task.texts]
    return np.stack([found.vectors(of.reading, layer, rows).astype(np.float32) for layer in LAYERS])


@contextlib.contextmanager
def hub(name: str, root: Path):
    """A working directory that mteb takes for its hub, and the split of it that is ours."""
    task, split = name.split("@")
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder) / "cache"
        if task in LABELLED:
            table = pd.read_parquet(root / "mteb" / LABELLED[task] / f"{split}.parquet")
            out = np.array(held_out(table.text.tolist()))
            parts = {"train": table[~out].to_dict("records"), "test": table[out].to_dict("records")}
            splits(Path(folder) / "mteb" / LABELLED[task], **parts)
            root, split = Path(folder), "test"
        with contextlib.chdir(root):
            yield mteb.get_task(task, eval_splits=[split]), split


def judged(name: str, texts: tuple[str, ...], layers: np.ndarray, root: Path) -> np.ndarray:
    with hub(name, root) as (task, split), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [mteb.evaluate(Given(texts, layer), task, cache=None, show_progress_bar=False) for layer in layers]
    return np.array([found.task_results[0].scores[split][0]["main_score"] for found in results])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="a mirror of the hub")
    parser.add_argument("--store", type=Path, default=Path("activations"), help="where the vectors are kept")
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of the tasks, with commas between")
    arguments = parser.parse_args()
    names = arguments.tasks.split(",")
    tasks = [load_task(name, data_root=arguments.data_root).task for name in names]
    places, found = read(tasks, arguments.store)
    failed = False
    for (name, task), of in product(zip(names, tasks, strict=True), (VA, HS)):
        vectors = layers_of(task, of, places, found)
        ours = evaluate(task, vectors, resamples=1).score
        gap = np.abs(ours - judged(name, task.texts, vectors, arguments.data_root))
        worst = gap.mean() if task.task_type in TOLERANCE else gap.max()
        failed |= bool(worst > TOLERANCE.get(task.task_type, 1e-6))
        shown = ", ".join(f"{of}@{layer} {score:.5f}" for layer, score in zip(LAYERS, ours, strict=True))
        Console().print(f"{name}: {shown}; apart by {gap.max():.1e} at most", highlight=False)
    sys.exit(failed)


if __name__ == "__main__":
    main()
