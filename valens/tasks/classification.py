"""Texts whose label is learnt from a few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

from valens.errors import TaskError
from valens.tasks.contract import (
    by_label,
    check_indices,
    check_labels,
    check_lengths,
    check_limit,
    check_positions,
    check_texts,
    described,
    first_fitting,
    in_turn,
    renumbered,
)


@dataclass(frozen=True)
class Classification:
    """Texts with a label each: accuracy on `test` of a logistic regression on a few texts a label of `train`.

    Each of `experiments` runs draws `samples_per_label` items a label from `train`. A text may be in both parts, as
    some are in public data sets; whoever builds a task from scratch keeps the parts apart.
    """

    task_type: ClassVar[str] = "Classification"
    metric: ClassVar[str] = "accuracy"
    __repr__ = described

    name: str
    texts: tuple[str, ...]
    labels: tuple[str | int, ...]
    """One an item."""
    train: tuple[int, ...]
    """Indices of the items that are learnt from."""
    test: tuple[int, ...]
    """Indices of the items that are tested on."""
    samples_per_label: int = 8
    experiments: int = 10
    items: tuple[int, ...] = ()
    """What has a label: the position of its text. Empty: each text is one item. A text may have several labels so."""
    draws: tuple[tuple[int, ...], ...] = ()
    """The items of `train` that each run learns from, in this order; empty: they are drawn as mteb draws."""

    def __post_init__(self) -> None:
        """Refuse items without a label, an empty part, and a training part with fewer than two labels."""
        check_texts(self)
        check_positions(self, self.items)
        check_lengths(self, {"items" if self.items else "texts": self.rows, "labels": self.labels})
        indices = chain(self.train, self.test, *self.draws)
        check_indices(self, indices, len(self.rows), "labelled items")
        check_labels(self, [self.labels[item] for item in self.train])
        if not self.test:
            raise TaskError(f"{self.name} has no text to test on. Give `test` the indices of one or more items.")

    @property
    def rows(self) -> Sequence[int]:
        """The position of each item's text."""
        return self.items or range(len(self.texts))

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.train):,} training and {len(self.test):,} test texts, {len(set(self.labels)):,} labels"

    def limited(self, n: int) -> Classification:
        """Cut to `n` texts: the first labels with an equal share each, training and test in turn. TaskError below 4.

        Where `n` leaves fewer than `samples_per_label` training items a label, that number falls with it. Given draws are
        dropped, and drawn anew from what is kept.
        """
        if n >= len(self.texts):
            return self
        check_limit(self, n, 4)
        train, test = by_label(self.train, self.labels), by_label(self.test, self.labels)
        labels = [label for label in train if label in test][: max(2, n // (2 * self.samples_per_label))]
        share = n // len(labels)
        in_share = chain.from_iterable(in_turn([train[label], test[label]])[:share] for label in labels)
        kept_items = sorted(set(first_fitting(in_share, self.rows, n)))
        texts, new = renumbered(self.texts, {self.rows[item] for item in kept_items})
        moved = {old: index for index, old in enumerate(kept_items)}
        fewest = min(sum(item in moved for item in train[label]) for label in labels)
        return replace(
            self,
            texts=texts,
            labels=tuple(self.labels[item] for item in kept_items),
            train=tuple(moved[item] for item in self.train if item in moved),
            test=tuple(moved[item] for item in self.test if item in moved),
            samples_per_label=min(self.samples_per_label, fewest),
            items=tuple(new[self.items[item]] for item in kept_items) if self.items else (),
            draws=(),
        )
