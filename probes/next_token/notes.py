"""What makes the numbers of a next-token probing doubtful, in words for whoever reads them."""

from __future__ import annotations

from collections.abc import Sequence

from probes.next_token.scores import Curve

FEW = 30
"""By fewer prefixes than this, which checkpoint and which layer is best is decided by little more than chance."""


def notes_of(curves: Sequence[Curve], n_validation: int) -> list[str]:
    """A sentence for each thing that a reader should know; empty where all is well."""
    notes = []
    if n_validation < FEW:
        notes.append(
            f"{n_validation} prefixes decide when a probe stops and which layer is best, which leaves that to chance. Give "
            "more or longer texts."
        )
    idle = [curve for curve in curves if float(curve.validation.max()) > curve.start]
    if idle:
        first = idle[0]
        notes.append(
            f"{len(idle)} of {len(curves)} probes have learnt less than how frequent the classes are, with one order of the "
            f"rows at least: {first.site.representation} at {first.site.layers} ends at {first.validation.max():.2f} nats "
            f"on the validation documents, and the frequencies alone have {first.start:.2f}. Try a lower --lr or more texts."
        )
    return notes
