"""Labelled data in five shapes, each with the metric that is asked of it.

A task holds its different texts once, in `texts`; every other field speaks of them by their position there. So a text
is embedded once however often it is compared, and a scorer needs vectors in the order of `texts`, no strings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, TypeVar

from valens.errors import TaskError

T = TypeVar("T")


@dataclass(frozen=True)
class Sts:
    """Pairs of texts and how alike people find them: Spearman's correlation of the cosine with the judgement."""

    task_type: ClassVar[str] = "STS"
    metric: ClassVar[str] = "spearman"

    name: str
    texts: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    gold: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse pairs that do not match, or that are all judged alike."""
        _check_texts(self)
        _check_positions(self, chain(self.first, self.second))
        _check_lengths(self, {"first": self.first, "second": self.second, "gold": self.gold})
        if len(set(self.gold)) < 2:  # noqa: PLR2004
            raise TaskError(
                f"{self.name} needs judgements that differ; its {len(self.gold)} pairs are all judged alike."
            )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.gold):,} pairs of {len(self.texts):,} texts"

    def limited(self, n: int) -> Sts:
        """The pairs, from the first on, that fit into `n` texts; the least is two pairs that are judged differently."""
        if n >= len(self.texts):
            return self
        pairs = list(zip(self.first, self.second, self.gold, strict=True))
        other = next(pair for pair in pairs if pair[2] != self.gold[0])
        kept = {self.first[0], self.second[0], *other[:2]}
        _check_limit(self, n, len(kept))
        for a, b, _ in pairs:
            if len(kept | {a, b}) <= n:
                kept |= {a, b}
        pairs = [(a, b, gold) for a, b, gold in pairs if {a, b} <= kept]
        texts, new = _renumbered(self.texts, kept)
        first, second, gold = zip(*((new[a], new[b], gold) for a, b, gold in pairs), strict=True)
        return replace(self, texts=texts, first=first, second=second, gold=gold)


@dataclass(frozen=True)
class Retrieval:
    """Queries that look for their documents among all documents: nDCG of the ten nearest by cosine.

    `relevant` has one mapping a query, from a document's position in `texts` to its grade, above 0.
    """

    task_type: ClassVar[str] = "Retrieval"
    metric: ClassVar[str] = "ndcg_at_10"

    name: str
    texts: tuple[str, ...]
    queries: tuple[int, ...]
    documents: tuple[int, ...]
    relevant: tuple[Mapping[int, int], ...]

    def __post_init__(self) -> None:
        """Refuse a query with nothing to find, and anything to find that is not among the documents."""
        _check_texts(self)
        _check_positions(self, chain(self.queries, self.documents))
        _check_lengths(self, {"queries": self.queries, "relevant": self.relevant})
        documents = set(self.documents)
        for query, grades in zip(self.queries, self.relevant, strict=True):
            if not grades or not documents.issuperset(grades) or min(grades.values()) <= 0:
                raise TaskError(
                    f"{self.name}: the query at {query} needs one or more of the documents, each with a grade above 0; "
                    f"it has {dict(grades)!r}. Leave out queries with nothing to find."
                )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.queries):,} queries, {len(self.documents):,} documents"

    def limited(self, n: int) -> Retrieval:
        """The first queries, one thing to find for each, within half of `n`; then more documents. TaskError below 3."""
        if n >= len(self.texts):
            return self
        _check_limit(self, n, 3)
        kept: set[int] = set()
        queries = []
        for query, grades in zip(self.queries, self.relevant, strict=True):
            wanted = kept | {query, max(grades, key=lambda document: grades[document])}
            if len(wanted) <= max(n // 2, 2):
                kept = wanted
                queries.append((query, grades))
        kept.update(_first_others(self.documents, kept, n - len(kept)))
        texts, new = _renumbered(self.texts, kept)
        return replace(
            self,
            texts=texts,
            queries=tuple(new[query] for query, _ in queries),
            documents=tuple(new[document] for document in self.documents if document in new),
            relevant=tuple({new[d]: grade for d, grade in grades.items() if d in new} for _, grades in queries),
        )


@dataclass(frozen=True)
class Reranking:
    """Queries, each with candidates of its own to be put in order: mean average precision by cosine.

    `relevant` says of each candidate of each query whether it belongs at the top.
    """

    task_type: ClassVar[str] = "Reranking"
    metric: ClassVar[str] = "map"

    name: str
    texts: tuple[str, ...]
    queries: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    relevant: tuple[tuple[bool, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a query without a right candidate, and judgements that do not match the candidates."""
        _check_texts(self)
        _check_positions(self, chain(self.queries, *self.candidates))
        _check_lengths(self, {"queries": self.queries, "candidates": self.candidates, "relevant": self.relevant})
        for query, candidates, relevant in zip(self.queries, self.candidates, self.relevant, strict=True):
            if len(candidates) != len(relevant) or not any(relevant):
                raise TaskError(
                    f"{self.name}: the query at {query} needs a judgement for each candidate, one of them True; "
                    f"it has {len(candidates)} candidates and the judgements {relevant!r}."
                )

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.queries):,} queries, {sum(map(len, self.candidates)):,} candidates"

    def limited(self, n: int) -> Reranking:
        """The queries, from the first on, that fit into `n` texts with all candidates; TaskError below 3.

        If not one fits, the first is kept with as many candidates as fit, relevant and other ones in turn.
        """
        if n >= len(self.texts):
            return self
        _check_limit(self, n, 3)
        kept: set[int] = set()
        rows = []
        for query, candidates, relevant in zip(self.queries, self.candidates, self.relevant, strict=True):
            if len(kept.union(candidates, [query])) <= n:
                kept.update(candidates, [query])
                rows.append((query, candidates, relevant))
        if not rows:
            rows = [self._trimmed(n)]
            kept = {rows[0][0], *rows[0][1]}
        texts, new = _renumbered(self.texts, kept)
        return replace(
            self,
            texts=texts,
            queries=tuple(new[query] for query, _, _ in rows),
            candidates=tuple(tuple(new[candidate] for candidate in candidates) for _, candidates, _ in rows),
            relevant=tuple(relevant for _, _, relevant in rows),
        )

    def _trimmed(self, n: int) -> tuple[int, tuple[int, ...], tuple[bool, ...]]:
        judged = list(zip(self.candidates[0], self.relevant[0], strict=True))
        right = [pair for pair in judged if pair[1]]
        wrong = [pair for pair in judged if not pair[1]]
        candidates, relevant = zip(*_in_turn([right, wrong])[: n - 1], strict=True)
        return self.queries[0], candidates, relevant


@dataclass(frozen=True)
class Clustering:
    """Texts to be parted into as many clusters as there are labels: V-measure of mini-batch k-means.

    Each of `experiments` runs clusters `sample` texts (None: all of them) in batches of `batch_size`.
    """

    task_type: ClassVar[str] = "Clustering"
    metric: ClassVar[str] = "v_measure"

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    experiments: int = 10
    batch_size: int = 512
    sample: int | None = None

    def __post_init__(self) -> None:
        """Refuse texts without a label, and fewer than two labels."""
        _check_texts(self)
        _check_lengths(self, {"texts": self.texts, "labels": self.labels})
        _check_labels(self, self.labels)

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.texts):,} texts, {len(set(self.labels)):,} labels"

    def limited(self, n: int) -> Clustering:
        """The first texts of the first labels in turn, four or more a label where there are; TaskError below 4."""
        if n >= len(self.texts):
            return self
        _check_limit(self, n, 4)
        by_label = _by_label(range(len(self.texts)), self.labels)
        rows, labels_kept = list(by_label.values()), max(2, n // 4)
        kept = (_in_turn(rows[:labels_kept]) + _in_turn(rows[labels_kept:]))[:n]
        texts, new = _renumbered(self.texts, kept)
        labels = tuple(self.labels[position] for position in new)
        return replace(self, texts=texts, labels=labels, sample=self.sample and min(self.sample, len(texts)))


@dataclass(frozen=True)
class Classification:
    """Texts with a label each: accuracy on `test` of a logistic regression on a few texts a label of `train`.

    Each of `experiments` runs draws `samples_per_label` texts a label from `train`. A text may be in both parts, as
    some are in public data sets; whoever builds a task from scratch keeps the parts apart.
    """

    task_type: ClassVar[str] = "Classification"
    metric: ClassVar[str] = "accuracy"

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    samples_per_label: int = 8
    experiments: int = 10

    def __post_init__(self) -> None:
        """Refuse texts without a label, an empty part, and a training part with fewer than two labels."""
        _check_texts(self)
        _check_positions(self, chain(self.train, self.test))
        _check_lengths(self, {"texts": self.texts, "labels": self.labels})
        _check_labels(self, [self.labels[position] for position in self.train])
        if not self.test:
            raise TaskError(f"{self.name} has no text to test on. Give `test` the positions of one or more texts.")

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.train):,} training and {len(self.test):,} test texts, {len(set(self.labels)):,} labels"

    def limited(self, n: int) -> Classification:
        """The first labels with an equal share of `n` texts each, for training and testing in turn; TaskError below 4.

        Where `n` leaves fewer than `samples_per_label` training texts a label, that number falls with it.
        """
        if n >= len(self.texts):
            return self
        _check_limit(self, n, 4)
        train, test = _by_label(self.train, self.labels), _by_label(self.test, self.labels)
        labels = [label for label in train if label in test][: max(2, n // (2 * self.samples_per_label))]
        share = n // len(labels)
        kept = set(chain.from_iterable(_in_turn([train[label], test[label]])[:share] for label in labels))
        texts, new = _renumbered(self.texts, kept)
        fewest = min(sum(position in kept for position in train[label]) for label in labels)
        return replace(
            self,
            texts=texts,
            labels=tuple(self.labels[position] for position in new),
            train=tuple(new[position] for position in self.train if position in new),
            test=tuple(new[position] for position in self.test if position in new),
            samples_per_label=min(self.samples_per_label, fewest),
        )


Task = Sts | Retrieval | Reranking | Clustering | Classification


@dataclass(frozen=True)
class Suite:
    """A named row of tasks; their names differ."""

    name: str
    tasks: tuple[Task, ...]

    def __post_init__(self) -> None:
        """Refuse a suite without tasks, or with two of one name."""
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) < len(names):
            raise TaskError(f"A suite is one or more tasks of different names; {self.name!r} has {names!r}.")


# --- what every task promises -----------------------------------------------------------------------------------------


def _check_texts(task: Task) -> None:
    if not task.texts or len(set(task.texts)) < len(task.texts):
        raise TaskError(
            f"{task.name} must hold each different text once; it holds {len(task.texts)} texts, "
            f"{len(set(task.texts))} of them different. Drop the repeats and let several positions name one text."
        )


def _check_positions(task: Task, positions: Iterable[int]) -> None:
    astray = [position for position in positions if not 0 <= position < len(task.texts)]
    if astray:
        raise TaskError(
            f"{task.name} has {len(task.texts)} texts, at the positions 0..{len(task.texts) - 1}; "
            f"position {astray[0]} was asked for."
        )


def _check_lengths(task: Task, fields: Mapping[str, Collection[object]]) -> None:
    lengths = {field: len(values) for field, values in fields.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise TaskError(f"{task.name} needs these fields to be of one length above 0; found {lengths!r}.")


def _check_labels(task: Task, labels: Collection[str]) -> None:
    if len(set(labels)) < 2:  # noqa: PLR2004
        raise TaskError(f"{task.name} needs two labels or more; found {sorted(set(labels))!r}.")


def _check_limit(task: Task, n: int, least: int) -> None:
    if n < least:
        raise TaskError(f"{task.name} cannot be cut to {n} texts and stay a task. Ask for {least} or more.")


# --- cutting down -----------------------------------------------------------------------------------------------------


def _renumbered(texts: tuple[str, ...], kept: Iterable[int]) -> tuple[tuple[str, ...], dict[int, int]]:
    """The kept texts in their old order, and the new position of each old one, in the same order."""
    order = sorted(kept)
    return tuple(texts[position] for position in order), {old: new for new, old in enumerate(order)}


def _first_others(positions: Iterable[int], kept: set[int], n: int) -> list[int]:
    return [position for position in dict.fromkeys(positions) if position not in kept][:n]


def _by_label(positions: Iterable[int], labels: tuple[str, ...]) -> dict[str, list[int]]:
    """The positions of each label; labels in the order in which they first appear."""
    found: dict[str, list[int]] = {}
    for position in positions:
        found.setdefault(labels[position], []).append(position)
    return found


def _in_turn(rows: Sequence[Sequence[T]]) -> list[T]:
    """One of each row, then another of each, until every row has run out."""
    longest = max(map(len, rows), default=0)
    return [row[turn] for turn in range(longest) for row in rows if turn < len(row)]
