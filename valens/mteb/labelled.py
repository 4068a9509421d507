"""mteb's classifications and clusterings as ours: the same items, drawn as mteb draws them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from valens.errors import TaskError
from valens.metrics import training_draws
from valens.mteb.held_out import HELD_OUT, held_out
from valens.mteb.texts import Texts, are_texts, require, with_labels
from valens.tasks import Classification, Clustering

Label = str | int


def classification(mteb_task: Any, data: Any, name: str, split: str) -> tuple[Classification, tuple[str, ...]]:
    """Convert a classification: the training items that some run draws, and the whole split to test on.

    Of the training set itself, a held-out part is tested on. Labels keep their type and so their order, on which the
    last bits of a fit depend. Gives the task, and notes for its reader.
    """
    _check_classifier(mteb_task, name)
    column, label_column, train_split = mteb_task.input_column_name, mteb_task.label_column_name, mteb_task.train_split
    for part in dict.fromkeys((train_split, split)):
        if part not in data:
            raise TaskError(f"{name} learns from the split {part!r}; the data have {', '.join(data)}.")
        require(name, f"split {part!r}", data[part], column, label_column)
        with_labels(name, data[part][label_column], label_column)
    learn, test = data[train_split], data[split]
    notes: tuple[str, ...] = ()
    if split == train_split:
        out = held_out(are_texts(name, learn[column], repr(column)))
        learn, test = learn.select(_indices(out, False)), learn.select(_indices(out, True))
        notes = (
            f"{name} learns from a part of the training set and is tested on the rest ({HELD_OUT:.0%} of its different "
            "texts, chosen by their letters and digits).",
        )
    learn_labels, test_labels = list(learn[label_column]), list(test[label_column])
    draws = training_draws(learn_labels, mteb_task.samples_per_label, mteb_task.n_experiments)
    drawn = sorted(set(chain.from_iterable(draws)))
    index_of, texts = {item: index for index, item in enumerate(drawn)}, Texts(name)
    items = texts.indices(learn.select(drawn)[column], repr(column)) + texts.indices(test[column], repr(column))
    task = Classification(
        name,
        texts.all,
        labels=(*(learn_labels[item] for item in drawn), *test_labels),
        train=tuple(range(len(drawn))),
        test=tuple(range(len(drawn), len(items))),
        samples_per_label=mteb_task.samples_per_label,
        experiments=mteb_task.n_experiments,
        items=items,
        draws=tuple(tuple(index_of[item] for item in draw) for draw in draws),
    )
    return task, notes


def _check_classifier(mteb_task: Any, name: str) -> None:
    classifier = mteb_task.evaluator_model
    usual = type(classifier).__name__ == "LogisticRegression" and classifier.max_iter == 100  # noqa: PLR2004
    if mteb_task.is_cross_validation or not usual or not isinstance(mteb_task.input_column_name, str):
        raise TaskError(
            f"{name} is classified in a way of its own; valens scores logistic regressions on a few examples."
        )


def _indices(flags: Iterable[bool], wanted: bool) -> list[int]:
    return [index for index, flag in enumerate(flags) if flag is wanted]


def clustering(mteb_task: Any, table: Any, name: str) -> Clustering:
    """Convert a clustering: the items that mteb embeds, and its draws, one level of the labels after another.

    Makes the draws with the generator that mteb would use, which is then used up: one task, one conversion.
    """
    column, label_column = mteb_task.input_column_name, mteb_task.label_column_name
    require(name, "data", table, column, label_column)
    table = _embedded(mteb_task, table)
    texts = Texts(name)
    items: list[int] = []
    labels: list[Label] = []
    draws, clusters = [], []
    indices = texts.indices(table[column], repr(column))
    for level in _levels(with_labels(name, table[label_column], label_column), mteb_task.max_depth):
        start, rows = len(items), list(level)
        items += [indices[row] for row in rows]
        labels += [_of_level(label, start) for label in level.values()]
        n_clusters = len(set(level.values()))
        for _ in range(mteb_task.n_clusters):
            drawn = mteb_task.rng_state.choices(range(len(rows)), k=mteb_task.max_documents_per_cluster)
            draws.append(tuple(start + index for index in drawn))
            clusters.append(n_clusters)
    return Clustering(
        name,
        texts.all,
        tuple(labels),
        batch_size=mteb_task.k_mean_batch_size,
        items=tuple(items),
        draws=tuple(draws),
        clusters=tuple(clusters),
    )


def clustering_in_sets(mteb_task: Any, table: Any, name: str) -> Clustering:
    """Convert an older clustering: each row of the data is a set of texts, clustered whole."""
    column, label_column = mteb_task.input_column_name, mteb_task.label_column_name
    require(name, "data", table, column, label_column)
    texts, draws = Texts(name), []
    items: list[int] = []
    labels: list[Label] = []
    for sentences, of_set in zip(table[column], table[label_column], strict=True):
        draws.append(tuple(range(len(items), len(items) + len(sentences))))
        items += texts.indices(sentences, repr(column))
        labels += with_labels(name, of_set, label_column)
    return Clustering(
        name,
        texts.all,
        tuple(labels),
        batch_size=_BATCH_OF_SETS,
        items=tuple(items),
        draws=tuple(draws),
        clusters=tuple(len({labels[item] for item in draw}) for draw in draws),
    )


_BATCH_OF_SETS = 500


def _embedded(mteb_task: Any, table: Any) -> Any:
    """Draw the part of the data that mteb embeds, with mteb's own generator."""
    if mteb_task.max_fraction_of_documents_to_embed is not None:
        n = int(mteb_task.max_fraction_of_documents_to_embed * len(table))
    elif mteb_task.max_document_to_embed is not None:
        n = mteb_task.max_document_to_embed
    else:
        return table
    return table.select(mteb_task.rng_state.sample(range(len(table)), k=min(len(table), n)))


def _levels(labels: list[Any], max_depth: int | None) -> list[dict[int, Label]]:
    """Return, for each level of the labels, the rows that are clustered and their labels; a missing one is -1.

    Rows without a label are left out where labels are numbers. Where labels are words, mteb counts "-1" as one of them.
    """
    paths = [label if isinstance(label, list) else [label] for label in labels]
    depth = max(map(len, paths))
    levels = []
    for level in range(min(max_depth or depth, depth)):
        of_level = [path[level] if len(path) > level else -1 for path in paths]
        words = any(isinstance(label, str) for label in of_level)
        levels.append({row: str(x) if words else x for row, x in enumerate(of_level) if words or x != -1})
    return levels


def _of_level(label: Label, start: int) -> Label:
    """Return a label that is not mistaken for an equal one of another level."""
    return f"{start}/{label}" if start else label
