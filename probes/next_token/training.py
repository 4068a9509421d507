"""How next-token probes are trained: which vectors each reads, and as many at once as memory holds.

A group of probes reads its vectors from the store once and learns every task on them: the next token with each seed's order
of the rows, and the control task. What a probe learns does not depend on its group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float, Int

from probes.layers import check_layers
from probes.next_token import baselines
from probes.next_token.examples import PARTS, Classes, Examples, control_classes
from probes.next_token.names import ACCURACY, BIGRAM, METRICS, MODEL, MODEL_ALL, MOST_FREQUENT
from probes.next_token.scores import Curve, Held, Site
from valens.errors import SiteError
from valens.extraction.extract import Extraction
from valens.layers.layer_set import LayerSet
from valens.linear_probes.learning import Block, Labels, Trained
from valens.linear_probes.recipe import Recipe
from valens.linear_probes.training import bytes_of, train
from valens.model.model import Model
from valens.representations.named import LT, Representation

_BUDGET_BYTES = 2 * 2**30
"""How much the probes that train at once may hold; more probes train one group after the other, with the same numbers."""


@dataclass(frozen=True)
class Probed:
    """A representation, and the layers that are averaged for one probe."""

    representation: Representation
    layers: LayerSet

    @property
    def site(self) -> Site:
        """What the tables call it."""
        return Site(self.representation.name, str(self.layers))

    @property
    def name(self) -> str:
        """What an error calls it."""
        one = len(self.layers) == 1
        return f"{self.representation} at {'layer' if one else 'the layers'} {self.layers}"


def probed_sites(
    model: Model, representations: Sequence[Representation], layers: LayerSet | None, sets: Sequence[LayerSet]
) -> list[Probed]:
    """Return what is probed, representation by representation: single layers first (all if neither they nor sets are named).

    Raises SiteError for layers that the model, or a representation, does not have.
    """
    check_layers(model, [layer for given in ((layers or ()), *sets) for layer in given])
    probed = []
    for representation in dict.fromkeys(representations):
        available = representation.reading.layers(model.n_layers)
        wanted = [LayerSet((layer,)) for layer in available if (not sets if layers is None else layer in layers)]
        for averaged in sets:
            if not set(averaged) <= set(available):
                raise SiteError(
                    f"{representation} has layers {available[0]}..{available[-1]}; --sets {averaged} has others. "
                    "Ask for those."
                )
        wanted += sets
        if not wanted:
            raise SiteError(
                f"{representation} has none of the layers that were asked for; it has {available[0]}..{available[-1]}."
            )
        probed += [Probed(representation, one) for one in dict.fromkeys(wanted)]
    return probed


@dataclass(frozen=True)
class ProbeTrainer:
    """The examples of a corpus, their vectors, and how probes are trained on them."""

    model: Model
    extraction: Extraction
    examples: Examples
    classes: Classes
    recipe: Recipe
    seed: int

    def rows(self, part: str) -> Int[np.ndarray, " row"]:
        """Return the prefixes of a part whose next token is a class."""
        return np.flatnonzero((self.examples.part == PARTS.index(part)) & (self.classes.of_row >= 0))

    def curves(
        self, sites: Sequence[Probed], seeds: int, held: Held, *, n_vocabulary: int | None, repeat: str = "all"
    ) -> list[Curve]:
        """Train all probes, as many at once as fit; with a vocabulary, on the control task as well.

        Where `best` alone are repeated, only each representation's best probe is trained with the seeds after the first and
        on the control task. The best is the one with the lowest validation loss.
        """
        labels = self._labels()
        tasks = [(labels, self.seed + turn, f"seed {turn + 1} of {seeds}") for turn in range(seeds)]
        if n_vocabulary is not None:
            tasks.append((self._control(labels, n_vocabulary), self.seed, "control task"))
        at_once = len(tasks) if repeat == "all" else 1
        outcomes = self._outcomes(sites, tasks[:at_once], held)
        if tasks[at_once:]:
            best = [min(part, key=lambda probed: outcomes[probed.site][0].validation) for part in _by_name(sites)]
            for site, more in self._outcomes(best, tasks[at_once:], held).items():
                outcomes[site] += more
        return [_curve(probed.site, outcomes[probed.site], seeds) for probed in sites]

    def _outcomes(
        self, sites: Sequence[Probed], tasks: Sequence[tuple[Labels, int, str]], held: Held
    ) -> dict[Site, list[_Outcome]]:
        """Train these probes on each task; their vectors are read once."""
        outcomes: dict[Site, list[_Outcome]] = {}
        for group in self._groups(sites):
            blocks = self._blocks(group)
            by_task = [[_outcome(probe, held) for probe in self._train(blocks, *task)] for task in tasks]
            for probed, own in zip(self._in_blocks(group), zip(*by_task, strict=True), strict=True):
                outcomes[probed.site] = list(own)
        return outcomes

    def baselines(self, held: Held) -> dict[str, Float[np.ndarray, "metric document"]]:
        """Return what needs no probe, on the same prefixes."""
        train_rows, test = self.rows("train"), self.rows("test")
        of_row, n = self.classes.of_row, len(self.classes.ids)
        last = self.examples.last
        vectors = self.extraction.vectors(LT.reading, self.model.n_layers, test.tolist())
        restricted, full = baselines.own(self.model, vectors, self.examples.following[test], self.classes.ids)
        scores = {
            MOST_FREQUENT: baselines.most_frequent(of_row[train_rows], of_row[test], n),
            BIGRAM: baselines.bigram(last[train_rows], of_row[train_rows], last[test], of_row[test], n),
            MODEL: restricted,
            MODEL_ALL: full,
        }
        return {name: held.sums(*pair) for name, pair in scores.items()}

    def _train(self, blocks: Sequence[Block], labels: Labels, seed: int, what: str) -> list[Trained]:
        title = f"Training {sum(len(block.names) for block in blocks)} probes, {what}"
        return train(blocks, labels, self.recipe, seed=seed, device=self.model.device, title=title)

    def _labels(self) -> Labels:
        parts = [torch.from_numpy(self.rows(name)) for name in PARTS]
        return Labels(torch.from_numpy(self.classes.of_row), len(self.classes.ids), *parts)

    def _control(self, labels: Labels, n_vocabulary: int) -> Labels:
        mapped = control_classes(self.examples.last, self.classes.of_row, self.rows("train"), n_vocabulary, self.seed)
        return replace(labels, classes=torch.from_numpy(mapped))

    def _width(self, probed: Probed) -> int:
        return self.model.sizes.width(probed.representation.reading.stream)

    def _groups(self, sites: Sequence[Probed]) -> Iterator[list[Probed]]:
        """Yield the probes in groups that fit into memory, in order."""
        group: list[Probed] = []
        held = 0
        for probed in sites:
            cost = bytes_of(len(self.examples.last), self._width(probed), len(self.classes.ids))
            if group and held + cost > _BUDGET_BYTES:
                yield group
                group, held = [], 0
            group.append(probed)
            held += cost
        yield group

    def _in_blocks(self, group: Sequence[Probed]) -> list[Probed]:
        """Return the probes of a group in the order of its blocks: by width."""
        return sorted(group, key=self._width)

    def _blocks(self, group: Sequence[Probed]) -> list[Block]:
        """Return the features of a group, those of one width together."""
        return [self._block(width, list(part)) for width, part in groupby(self._in_blocks(group), key=self._width)]

    def _block(self, width: int, part: Sequence[Probed]) -> Block:
        features = np.empty((len(part), len(self.examples.last), width), dtype=np.float32)
        for index, probed in enumerate(part):
            features[index] = self._averaged(probed)
        return Block(tuple(probed.name for probed in part), torch.from_numpy(features))

    def _averaged(self, probed: Probed) -> Float[np.ndarray, "row d"]:
        first, *others = probed.layers
        total = self.extraction.vectors(probed.representation.reading, first)
        for layer in others:
            total += self.extraction.vectors(probed.representation.reading, layer)
        return total / np.float32(len(probed.layers))


@dataclass(frozen=True)
class _Outcome:
    """What is needed of one training of one probe."""

    steps: tuple[int, ...]
    best_checkpoint: int
    validation: float
    start: float
    sums: Float[np.ndarray, "metric checkpoint document"]


def _outcome(probe: Trained, held: Held) -> _Outcome:
    sums = held.sums(probe.losses, probe.ranks)
    return _Outcome(
        probe.steps, probe.best_checkpoint, float(probe.validation[probe.best_checkpoint]), probe.start, sums
    )


def _by_name(sites: Sequence[Probed]) -> list[list[Probed]]:
    """Part the probes by representation."""
    names = dict.fromkeys(probed.representation.name for probed in sites)
    return [[probed for probed in sites if probed.representation.name == name] for name in names]


def _curve(site: Site, outcomes: Sequence[_Outcome], seeds: int) -> Curve:
    """Put together what a probe learnt: with each seed it was trained with, and then, if it was, on the control task."""
    by_seed, control = outcomes[:seeds], outcomes[seeds] if len(outcomes) > seeds else None
    return Curve(
        site,
        by_seed[0].steps,
        np.stack([outcome.sums for outcome in by_seed], axis=1),
        tuple(outcome.best_checkpoint for outcome in by_seed),
        np.array([outcome.validation for outcome in by_seed]),
        by_seed[0].start,
        None if control is None else control.sums[METRICS.index(ACCURACY), control.best_checkpoint],
    )
