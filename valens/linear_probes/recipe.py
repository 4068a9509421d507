"""How softmax probes are trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from valens.errors import ProbeError
from valens.statistics.seeds import check_counts

SCHEDULES = ("cosine", "constant")

BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Recipe:
    """How probes are trained: Adam on the penalised loss, the rate falling along half a cosine unless `constant`."""

    steps: int = 1000
    batch: int = 256
    """How many rows a step sees; every row is seen once before any is seen again."""
    lr: float = 1e-3
    schedule: str = "cosine"
    l2: float = 1e-2
    """The penalty, in the gradient (not decoupled from it): the optimum is that of the penalised loss."""
    patience: int = 3
    """A probe stops after this many checkpoints without a lower validation loss; 0 never stops."""
    checkpoints: int = 12
    """How often the probes are scored; the distances grow, as less and less changes."""

    def __post_init__(self) -> None:
        """Refuse what nothing can be trained with."""
        check_counts(steps=self.steps, batch=self.batch, checkpoints=self.checkpoints)
        if not 0 < self.lr < math.inf:
            raise ProbeError(f"A learning rate is above 0; --lr {self.lr} was asked for. Try 0.001.")
        if not 0 <= self.l2 < math.inf or self.patience < 0:
            raise ProbeError(f"--l2 and --patience are 0 or more; {self.l2} and {self.patience} were asked for.")
        if self.schedule not in SCHEDULES:
            raise ProbeError(f"--schedule is {' or '.join(SCHEDULES)}; {self.schedule!r} was asked for.")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * (1 + math.cos(math.pi * step / self.steps)) / 2

    def scored_after(self) -> tuple[int, ...]:
        """Return after how many steps the probes are scored: distances grow evenly, and the last is the last step."""
        shares = [(number / self.checkpoints) ** 2 for number in range(1, self.checkpoints + 1)]
        return tuple(sorted({max(1, round(share * self.steps)) for share in shares}))

    def facts(self) -> dict[str, Any]:
        """Return what a result should record of it."""
        return {
            "optimiser": "Adam",
            "betas": list(BETAS),
            "start": "frequencies",
            "features": "standardised",
        } | asdict(self)
