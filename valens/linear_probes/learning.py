"""The state of a training: many probes, one product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from valens.errors import ProbeError
from valens.linear_probes.recipe import BETAS, Recipe

LOGIT_BYTES = 64 * 2**20
"""How many bytes of logits are held at once."""

WORSE = 1.0
"""By how many nats a probe may be worse than it began: more is no matter of chance, the rate is too high."""


@dataclass(frozen=True)
class Block:
    """The features of probes that are equally wide."""

    names: tuple[str, ...]
    """What each probe is called in an error."""
    features: Float[Tensor, "probe row d"] = field(repr=False)


@dataclass(frozen=True)
class Labels:
    """The class of every row, and which rows are trained on, decide when to stop, and are scored."""

    classes: Int[Tensor, " row"]
    n_classes: int
    train: Int[Tensor, " train"]
    validation: Int[Tensor, " validation"]
    test: Int[Tensor, " test"]


@dataclass(frozen=True)
class Trained:
    """One probe, with the weights of the checkpoint at which its validation loss was lowest."""

    name: str
    weight: Float[Tensor, "d class"] = field(repr=False)
    """On the features as they come: the standardisation is folded in."""
    bias: Float[Tensor, " class"] = field(repr=False)
    steps: tuple[int, ...] = field(repr=False)
    """After how many steps each checkpoint is."""
    best_checkpoint: int
    """The one at which the validation loss was lowest, whose weights these are; an index into `steps`."""
    start: float
    """The mean cross-entropy of the validation rows before the first step, in nats: that of the classes' frequencies."""
    validation: Float[np.ndarray, " checkpoint"] = field(repr=False)
    """The mean cross-entropy of the validation rows, in nats."""
    losses: Float[np.ndarray, "checkpoint test"] = field(repr=False)
    """The cross-entropy of each test row, in nats. After a probe stopped, that of the weights it keeps."""
    ranks: Int[np.ndarray, "checkpoint test"] = field(repr=False)
    """1 + how many other classes have a logit as high as the true one's: a tie is never a hit."""


def scores_of(
    logits: Float[Tensor, "*probe row class"], classes: Int[Tensor, " row"]
) -> tuple[Float[Tensor, "*probe row"], Int[Tensor, "*probe row"]]:
    """Return each row's cross-entropy in nats, and its class's rank: 1 + how many others have as high a logit."""
    true = logits.gather(-1, classes.expand(logits.shape[:-1]).unsqueeze(-1))
    return logits.logsumexp(dim=-1) - true.squeeze(-1), (logits >= true).sum(dim=-1)


class Learning:
    """The probes of one block while they learn; those that have stopped are no longer computed."""

    def __init__(self, block: Block, labels: Labels, recipe: Recipe, device: torch.device | str) -> None:
        n_probes, self._n_rows, d = block.features.shape
        self._names, self._labels, self._recipe = block.names, labels, recipe
        self._rows = block.features.to(device).reshape(n_probes * self._n_rows, d)
        self._mean, self._scale = standard_scale(block.features, labels.train.to(block.features.device), device)
        self._going = torch.arange(n_probes, device=device)  # the indices of the probes that still learn
        self._weight = torch.zeros(n_probes, d, labels.n_classes, device=device)
        self._bias = log_frequencies(labels).expand(n_probes, 1, -1).contiguous()
        self._start = -float(self._bias[0, 0, labels.classes[labels.validation]].double().mean())
        self._per_scale = 1 / self._scale
        self._rooms: dict[str, Tensor] = {}
        self._adam = self._optimiser()
        self._best_weight, self._best_bias = self._weight.clone(), self._bias.clone()
        self._histories = [History() for _ in block.names]

    @property
    def going(self) -> bool:
        """Whether any probe still learns."""
        return len(self._going) > 0

    def step(self, rows: Int[Tensor, " row"], rate: float) -> None:
        """Take one step of Adam down the gradient of these rows."""
        if not self.going:
            return
        self._descend(rows)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()

    def score(self, step: int) -> None:
        """Note the scores after this step, keep what is best, and leave out the probes that have stopped."""
        if not self.going:
            return
        validation, _ = self._scores(self._labels.validation)
        losses, ranks = (part.cpu().numpy() for part in self._scores(self._labels.test))
        going = []
        for turn, (index, loss) in enumerate(zip(self._going.tolist(), validation.mean(dim=1).tolist(), strict=True)):
            if not math.isfinite(loss):
                raise self._diverged(index, f"is {loss} after {step} steps")
            history = self._histories[index]
            if history.note(loss, losses[turn], ranks[turn]):
                self._best_weight[index], self._best_bias[index] = self._weight[turn], self._bias[turn]
            going.append(not self._recipe.patience or history.since_best < self._recipe.patience)
        if not all(going):
            self._keep_only(torch.tensor(going, device=self._going.device))

    def trained(self) -> Iterator[Trained]:
        """Yield every probe as it is kept."""
        scored_after = self._recipe.scored_after()
        for index, (name, history) in enumerate(zip(self._names, self._histories, strict=True)):
            weight = self._best_weight[index] / self._scale[index].T
            bias = self._best_bias[index, 0] - self._mean[index, 0] @ weight
            filled = history.filled(len(scored_after))
            lowest = float(filled[0][history.best])
            if lowest > self._start + WORSE:
                how = f"is {lowest:.1f} nats at its lowest, and {self._start:.1f} before the first step"
                raise self._diverged(index, how)
            yield Trained(name, weight, bias, scored_after, history.best, self._start, *filled)

    def _optimiser(self) -> torch.optim.Adam:
        groups: list[dict[str, Any]] = [
            {"params": [self._weight], "weight_decay": self._recipe.l2},
            {"params": [self._bias], "weight_decay": 0.0},
        ]
        return torch.optim.Adam(groups, lr=self._recipe.lr, betas=BETAS, fused=True)

    def _read(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "probe row d"]:
        """Read the standardised features of some rows, for the probes that still learn; good until the next call."""
        indices = (self._going[:, None] * self._n_rows + rows).flatten()
        features = self._room("features", len(indices), self._weight.shape[1])
        torch.index_select(self._rows, 0, indices, out=features)
        features = features.view(len(self._going), len(rows), -1)
        return features.sub_(self._mean[self._going]).mul_(self._per_scale[self._going])

    def _logits(self, features: Float[Tensor, "probe row d"]) -> Float[Tensor, "probe row class"]:
        """Compute the logits of every class; good until the next are computed."""
        logits = self._room("logits", *features.shape[:2], self._labels.n_classes)
        return torch.baddbmm(self._bias, features, self._weight, out=logits)

    def _room(self, name: str, *shape: int) -> Tensor:
        """Lend memory that is used again at every step: asking the system for it costs as much as filling it."""
        held, needed = self._rooms.get(name), math.prod(shape)
        if held is None or len(held) < needed:
            held = self._rooms[name] = torch.empty(needed, device=self._rows.device)
        return held[:needed].view(shape)

    def _descend(self, rows: Int[Tensor, " row"]) -> None:
        """Leave the gradient of the rows' mean cross-entropy where Adam looks for it; Adam adds that of the penalty."""
        self._weight.grad = self._room("gradient", *self._weight.shape)
        self._bias.grad = torch.zeros_like(self._bias)
        for start, part in self._parts(rows):
            features, share = self._read(part), 1 / len(rows)
            error = self._logits(features)
            torch.softmax(error, dim=-1, out=error)
            error[:, torch.arange(len(part), device=error.device), self._labels.classes[part]] -= 1
            known = self._weight.grad
            torch.baddbmm(known, features.mT, error, beta=int(start > 0), alpha=share, out=known)
            self._bias.grad.add_(error.sum(dim=1, keepdim=True), alpha=share)

    def _scores(self, rows: Int[Tensor, " row"]) -> tuple[Float[Tensor, "probe row"], Int[Tensor, "probe row"]]:
        scores = [
            scores_of(self._logits(self._read(part)), self._labels.classes[part]) for _, part in self._parts(rows)
        ]
        losses, ranks = zip(*scores, strict=True)
        return torch.cat(losses, dim=1), torch.cat(ranks, dim=1)

    def _parts(self, rows: Int[Tensor, " row"]) -> Iterator[tuple[int, Int[Tensor, " part"]]]:
        """Yield the rows in parts, each with its start, whose logits fit into `LOGIT_BYTES`."""
        size = max(1, LOGIT_BYTES // (4 * len(self._going) * self._labels.n_classes))
        for start in range(0, len(rows), size):
            yield start, rows[start : start + size]

    def _diverged(self, index: int, how: str) -> ProbeError:
        return ProbeError(
            f"The probe of {self._names[index]} diverged: its validation loss {how}, with a learning rate of "
            f"{self._recipe.lr:g}. Lower --lr."
        )

    def _keep_only(self, going: Tensor) -> None:
        """Go on with some of the probes, and with their moments."""
        before, indices = self._adam, going.nonzero().flatten()
        old = self._weight, self._bias
        self._going, self._weight, self._bias = self._going[indices], self._weight[indices], self._bias[indices]
        self._adam = self._optimiser()
        for was, now in zip(old, (self._weight, self._bias), strict=True):
            state = before.state[was]
            moments = {name: state[name][indices] for name in ("exp_avg", "exp_avg_sq")}
            self._adam.state[now] = {"step": state["step"], **moments}


class History:
    """What one probe scored at its checkpoints."""

    def __init__(self) -> None:
        self.best = -1
        self._validation: list[float] = []
        self._losses: list[Float[np.ndarray, " test"]] = []
        self._ranks: list[Int[np.ndarray, " test"]] = []

    @property
    def since_best(self) -> int:
        """How many checkpoints have passed since the best."""
        return len(self._validation) - 1 - self.best

    def note(self, validation: float, losses: Float[np.ndarray, " test"], ranks: Int[np.ndarray, " test"]) -> bool:
        """Add a checkpoint; return whether it is the best so far."""
        better = not self._validation or validation < self._validation[self.best]
        if better:
            self.best = len(self._validation)
        self._validation.append(validation)
        self._losses.append(losses)
        self._ranks.append(ranks.astype(np.int32))
        return better

    def filled(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return validation losses, losses and ranks at all n checkpoints: once stopped, those of the best."""
        missing = n - len(self._validation)
        filled = [[*part, *[part[self.best]] * missing] for part in (self._validation, self._losses, self._ranks)]
        return np.array(filled[0]), np.stack(filled[1]), np.stack(filled[2])


def log_frequencies(labels: Labels) -> Float[Tensor, " class"]:
    """Return the logarithm of each class's share of the training rows, as if each had occurred once more."""
    counts = torch.bincount(labels.classes[labels.train], minlength=labels.n_classes) + 1
    return (counts / counts.sum()).log()


def standard_scale(
    features: Float[Tensor, "probe row d"], train: Int[Tensor, " train"], device: torch.device | str
) -> tuple[Float[Tensor, "probe one d"], Float[Tensor, "probe one d"]]:
    """Return each feature's mean and standard deviation over the training rows; a constant feature's scale is 1."""
    means, scales = [], []
    for part in features:
        variance, mean = torch.var_mean(part[train].double(), dim=0, correction=0)
        scale = variance.sqrt()
        constant = scale <= 1e-6 * part[train].abs().amax(dim=0)
        means.append(mean)
        scales.append(torch.where(constant, 1.0, scale))
    return tuple(torch.stack(part)[:, None].float().to(device) for part in (means, scales))  # type: ignore[return-value]
