"""From single-layer scores to a layer set: one rule a file, all of them in the table below; `register` adds a user's."""

from __future__ import annotations

from valens.errors import SelectionError, did_you_mean
from valens.layers.layer_set import LayerSet
from valens.selectors.contiguous import Contiguous
from valens.selectors.contract import (
    AVERAGE,
    Choice,
    LayerCurves,
    Selector,
    TaskCurve,
    check_task_types,
    check_tasks,
    mean_of_type,
    mean_over_types,
    means_by_type,
)
from valens.selectors.fixed import Fixed
from valens.selectors.greedy import Greedy
from valens.selectors.intrinsic_dimension import IntrinsicDimension
from valens.selectors.paper import Paper
from valens.selectors.top_k import TopK

SELECTORS: dict[str, Selector] = {
    rule.name: rule
    for rule in (
        Paper(),
        TopK(k=1, name="best"),
        TopK(),
        Contiguous(),
        Greedy(),
        IntrinsicDimension(),
        Fixed("half", LayerSet.half),
        Fixed("all", LayerSet.all),
    )
}

__all__ = [
    "AVERAGE",
    "SELECTORS",
    "Choice",
    "Contiguous",
    "Fixed",
    "Greedy",
    "IntrinsicDimension",
    "LayerCurves",
    "Paper",
    "Selector",
    "TaskCurve",
    "TopK",
    "check_task_types",
    "check_tasks",
    "mean_of_type",
    "mean_over_types",
    "means_by_type",
    "register",
    "selector",
]

_OURS = frozenset(SELECTORS)


def selector(name: str) -> Selector:
    """Return the selector of a name, with its default settings.

    Args:
        name: a key of `SELECTORS`, as `paper`, `best`, `top-k`, or the name of a rule that was registered.

    Returns:
        The selector; its `select` turns single-layer scores into a layer set.

    Raises:
        SelectionError: a name that is not known, with the names that are.

    """
    if name in SELECTORS:
        return SELECTORS[name]
    hint = did_you_mean(name, SELECTORS)
    raise SelectionError(f"There is no selector {name!r}. {hint}Choose one of {', '.join(SELECTORS)}.")


def register(rule: Selector) -> Selector:
    """Make a user's rule known under its name in this process: sweeps can select by it, and compare with it.

    Args:
        rule: an object with `name`, `needs`, `fewest_tasks` and `select`, as `valens.selectors.contract.Selector` describes
            them. It replaces an earlier rule of that name, so that a notebook's cell can be run again.

    Returns:
        The rule itself.

    Raises:
        SelectionError: an object that is not a selector, or the name of a built-in one.

    """
    if not isinstance(rule, Selector):
        raise SelectionError(
            f"{rule!r} is not a selector. It needs `name`, `needs`, `fewest_tasks` and `select`: see "
            "valens.selectors.contract."
        )
    if rule.name in _OURS:
        raise SelectionError(f"{rule.name!r} is a selector of valens. Give yours another name.")
    SELECTORS[rule.name] = rule
    return rule
