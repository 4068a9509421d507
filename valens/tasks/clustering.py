"""Texts to be parted by what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

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
class Clustering:
    """Texts to be parted into as many clusters as there are labels: V-measure of mini-batch k-means.

    Each of `experiments` runs clusters `sample` texts (None: all of them) in batches of `batch_size`.
    """

    task_type: ClassVar[str] = "Clustering"
    metric: ClassVar[str] = "v_measure"
    __repr__ = described

    name: str
    texts: tuple[str, ...]
    labels: tuple[str | int, ...]
    """One an item."""
    experiments: int = 10
    batch_size: int = 512
    sample: int | None = None
    items: tuple[int, ...] = ()
    """What has a label: the position of its text. Empty: each text is one item. A text may have several labels so."""
    draws: tuple[tuple[int, ...], ...] = ()
    """The items that each run clusters, as indices of the items; empty: `sample` of them are drawn as mteb draws."""
    clusters: tuple[int, ...] = ()
    """Into how many clusters each of `draws` is parted; empty: as many as there are labels."""

    def __post_init__(self) -> None:
        """Refuse items without a label, and fewer than two labels."""
        check_texts(self)
        check_positions(self, self.items)
        check_lengths(self, {"items" if self.items else "texts": self.rows, "labels": self.labels})
        check_labels(self, self.labels)
        check_indices(self, chain.from_iterable(self.draws), len(self.rows), "labelled items")
        if self.clusters:
            check_lengths(self, {"draws": self.draws, "clusters": self.clusters})

    @property
    def rows(self) -> Sequence[int]:
        """The position of each item's text."""
        return self.items or range(len(self.texts))

    @property
    def size(self) -> str:
        """How much there is, in words."""
        return f"{len(self.texts):,} texts, {len(set(self.labels)):,} labels"

    def limited(self, n: int) -> Clustering:
        """Cut to `n` texts: those of the first labels in turn, four or more a label where possible. TaskError below 4.

        Given draws are dropped, and drawn anew from what is kept.
        """
        if n >= len(self.texts):
            return self
        check_limit(self, n, 4)
        labelled = list(by_label(range(len(self.rows)), self.labels).values())
        labels_kept = max(2, n // 4)
        order = in_turn(labelled[:labels_kept]) + in_turn(labelled[labels_kept:])
        kept_items = sorted(first_fitting(order, self.rows, n))
        texts, new = renumbered(self.texts, {self.rows[item] for item in kept_items})
        sample = min(self.sample, len(kept_items)) if self.sample else None
        return replace(
            self,
            texts=texts,
            labels=tuple(self.labels[item] for item in kept_items),
            sample=sample,
            items=tuple(new[self.items[item]] for item in kept_items) if self.items else (),
            draws=(),
            clusters=(),
        )
