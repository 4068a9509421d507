"""The probes that ship with valens, in the order in which they are listed; nothing else knows them by name.

The folder `probes/segment_matching` has, by its name: the verb `segment_matching` and the settings `SegmentMatching` in
probe.py, `SegmentMatchingResult` in result.py, and the command `segment_matching` in command.py. Each is loaded when it is
first asked for: to read a result loads no model's libraries, and to show the help loads no result.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.results.kinds import reserve

if TYPE_CHECKING:
    from probes.anisotropy.probe import Anisotropy, anisotropy
    from probes.anisotropy.result import AnisotropyResult
    from probes.ladder.probe import Ladder, ladder
    from probes.ladder.result import LadderResult
    from probes.layer_sweep.probe import LayerSweep, layer_sweep
    from probes.layer_sweep.result import LayerSweepResult
    from probes.logit_lens.probe import LogitLens, logit_lens
    from probes.logit_lens.result import LogitLensResult
    from probes.next_token.probe import NextToken, next_token
    from probes.next_token.result import NextTokenResult
    from probes.segment_matching.probe import SegmentMatching, segment_matching
    from probes.segment_matching.result import SegmentMatchingResult
    from probes.sinks.probe import Sinks, sinks
    from probes.sinks.result import SinksResult
    from valens.results.result import Result


@dataclass(frozen=True)
class Shipped:
    """A probe by the name of its folder."""

    name: str
    figure: str
    """The name of its main figure's files."""
    example: str
    """A command line that runs as it is."""
    called: str = ""
    """What its command is called, where that is not its kind."""

    @property
    def command_name(self) -> str:
        """What its command is called: `segment-matching`."""
        return self.called or self.kind

    @property
    def kind(self) -> str:
        """The kind of its results: `segment-matching`."""
        return self.name.replace("_", "-")

    @property
    def record(self) -> str:
        """The name of its settings: `SegmentMatching`."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def public(self) -> dict[str, str]:
        """The module of each name that users write."""
        folder = f"probes.{self.name}"
        return {
            self.name: f"{folder}.probe",
            self.record: f"{folder}.probe",
            f"{self.record}Result": f"{folder}.result",
        }

    def result(self) -> type[Result]:
        """Return the class of its results."""
        name = f"{self.record}Result"
        return getattr(importlib.import_module(self.public[name]), name)

    def command(self) -> Callable[..., None]:
        """Return what its command does, with the options in its signature."""
        return getattr(importlib.import_module(f"probes.{self.name}.command"), self.name)


PROBES = (
    Shipped("layer_sweep", "figure3", "valens sweep-layers --suite builtin --out results/demo", "sweep-layers"),
    Shipped("ladder", "ladder", "valens ladder --suite builtin --out results/ladder"),
    Shipped("segment_matching", "figure2", "valens segment-matching --corpus wikipedia --segment-tokens 128"),
    Shipped("next_token", "figure6", "valens next-token --corpus wikipedia --representations VA,HS,LT"),
    Shipped("logit_lens", "figure8", "valens logit-lens --corpus wikipedia --offsets 1-5"),
    Shipped("sinks", "sinks", "valens sinks --model smollm2-135m"),
    Shipped("anisotropy", "anisotropy", "valens anisotropy --corpus wikipedia --representations VA,HS"),
)


for _shipped in PROBES:
    reserve(_shipped.kind, _shipped.public[f"{_shipped.record}Result"])


def class_of(kind: str) -> type[Result]:
    """Return the class that a kind of result is read as: a shipped probe's, a user's that named the kind, or Result."""
    from valens.results.result import class_of

    shipped = next((shipped for shipped in PROBES if shipped.kind == kind), None)
    return shipped.result() if shipped else class_of(kind)


def read_result(folder: str | Path) -> Result:
    """Read what `Result.save` wrote, as the class of its kind: the same object, without a model and without a store.

    `folder` is what a probe's `--out` left. ResultError if it has no result, or a table that was changed.
    """
    from valens.results.result import read_folder

    return read_folder(folder, class_of=class_of)


def public_names() -> dict[str, str]:
    """Every name of the shipped probes that users write, and its module."""
    return {name: module for shipped in PROBES for name, module in shipped.public.items()}


def load(name: str) -> Any:
    """Return the verb, settings or result of this public name."""
    return getattr(importlib.import_module(public_names()[name]), name)
