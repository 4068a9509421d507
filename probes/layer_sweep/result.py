"""What a layer sweep found, from its tables alone: no model, no store."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from probes.layer_sweep.comparison import compared
from probes.layer_sweep.section import chosen_lines, section_of, undefined_tasks
from valens.extraction.layers_file import model_facts
from valens.files.atomic import replace, write_json
from valens.layers.layer_set import LayerSet
from valens.results.result import Result
from valens.results.section import Figures, Section
from valens.results.tables import records
from valens.selectors import AVERAGE, Choice

KIND = "layer-sweep"
LAYERS = "layers.json"


class LayerSweepResult(Result, kind=KIND):
    """The scores of single layers, and for each representation the layer set chosen from them.

    `table` has the scores of single layers, one row a number: model, representation, layer, depth, task, task_type, metric,
    score, low, high, n. Of the details, `dimension` has the intrinsic dimension of each layer's vectors, `samples` what the
    scores are made of, and `replicates` each score in every resample, which is what pairs two of them.
    """

    @property
    def choices(self) -> dict[str, Choice]:
        """One a representation; the first is the sweep's main one."""
        by_name = self.detail("choices").groupby("representation", sort=False, observed=True)
        return {str(name): _choice(rows) for name, rows in by_name}

    @property
    def choice(self) -> Choice:
        """The choice for the first representation."""
        return next(iter(self.choices.values()))

    @property
    def layers(self) -> LayerSet:
        """The layer set chosen for the first representation."""
        return self.choice.layers

    @property
    def sets(self) -> pd.DataFrame:
        """The averaged embedding over each rule's set.

        representation, set (`chosen` or the rule's name), layers, task, task_type, metric, score, low, high, n.
        """
        return self.detail("sets")

    @property
    def paired_differences(self) -> pd.DataFrame:
        """How far the chosen set is from each other, paired: representation, against, task_type, difference, low, high."""
        return self.detail("paired_differences")

    @property
    def comparisons(self) -> pd.DataFrame:
        """How far the first representation is from the second, with the chosen sets and with the best single layers, paired.

        first, second, set, first_layers, second_layers, task_type, difference, low, high. Empty where one was swept.
        """
        return self.details.get("comparisons", pd.DataFrame())

    @property
    def rules(self) -> pd.DataFrame:
        """What each rule would choose, with means over task types.

        representation, selector, layers, score, low, high; chosen_minus_this with _low and _high, paired; layers_of_splits,
        in_sample, held_out with _low and _high: the same rule on one split of the units, scored on it and on the other;
        refused, why it could not choose.
        """
        return self.detail("rules")

    def compare(self, first: str, second: str, *, task_type: str = AVERAGE) -> pd.DataFrame:
        """First − second at every layer that both have, paired by resample: layer, difference, low, high, p, p_holm.

        `task_type` is one of the table, or `average`: the mean over the types, each the mean of its tasks. [low, high] is
        a 95 % bootstrap interval, `p` of no difference as the bootstrap's standard error has it, `p_holm` corrected over
        the layers. ResultError for what was not swept.
        """
        return compared(self.table, self.detail("replicates"), first, second, task_type)

    def figures(self) -> Figures:
        """Figure 3."""
        from probes.layer_sweep.figure import layer_curves

        model = self.model
        chosen = {(model, name): choice.layers for name, choice in self.choices.items()}
        return {"figure3": partial(layer_curves, self.table, chosen=chosen, replicates=self.replicates_of_model())}

    @property
    def model(self) -> str:
        """The name of the model that was swept."""
        (name,) = set(self.table.model)
        return str(name)

    def replicates_of_model(self) -> pd.DataFrame | None:
        """Return the detail `replicates` with the model's name, for a figure of several models; None in older results."""
        return self.details["replicates"].assign(model=self.model) if "replicates" in self.details else None

    def headlines(self) -> dict[str, str]:
        """Return each representation's best layer and chosen set, with the mean score over task types."""
        return chosen_lines(self)

    def notes(self) -> tuple[str, ...]:
        """Return what makes the numbers doubtful, and the tasks that have no score at any layer."""
        return (*super().notes(), *undefined_tasks(self.provenance))

    def section(self) -> Section:
        """Return what each rule chooses and scores, why each layer is in or out, and every layer's scores."""
        return section_of(self)

    def to_json(self) -> dict[str, Any]:
        """Scores and provenance, and the chosen set, the sets of every representation and how they compare."""
        return super().to_json() | {
            "representation": next(iter(self.choices)),
            "layers": str(self.layers),
            "representations": self.layer_sets(),
            "comparisons": records(self.comparisons),
        }

    def extra_files(self) -> tuple[str, ...]:
        """Return the files of the figure, and layers.json."""
        return (*super().extra_files(), LAYERS)

    def save(self, folder: str | Path) -> Path:
        """Write the result, then `figure3.pdf` and `.png`, and `layers.json`, which `valens encode` reads."""
        out = super().save(folder)
        first, *_ = self.choices
        sets, facts = self.layer_sets(), self.provenance
        model = (
            model_facts(facts["model"], facts["how_read"], facts.get("rounded_weights_hash"))
            if "weights_hash" in facts.get("how_read", {})
            else None  # older results do not say so much of their model
        )
        prompt = facts.get("how_read", {}).get("prompt")
        content = {"model": model, "prompt": prompt, "representation": first, **sets[first], "representations": sets}
        replace(out / LAYERS, lambda path: write_json(path, content | {"comparisons": records(self.comparisons)}))
        return out

    def layer_sets(self) -> dict[str, Any]:
        """Return the layer sets, why each layer is in or out, and what the averaged embeddings score, other rules' too."""
        return {
            name: {
                "layers": str(choice.layers),
                "list": list(choice.layers),
                "selector": choice.selector,
                "reasons": {
                    str(layer): {"in": layer in choice.layers, "why": why}
                    for layer, why in sorted(choice.reasons.items())
                },
                "rules": self._rows("rules", name),
                "scores": self._rows("sets", name),
                "chosen_minus_other": self._rows("paired_differences", name),
                "intrinsic_dimension": {str(row["layer"]): row["dimension"] for row in self._rows("dimension", name)},
            }
            for name, choice in self.choices.items()
        }

    def _rows(self, detail: str, representation: str) -> list[dict[str, Any]]:
        """Return a representation's part of a table, if there is that table."""
        if detail not in self.details:
            return []
        table = self.details[detail]
        return records(table[table.representation == representation].drop(columns="representation"))


def choice_table(choices: Mapping[str, Choice]) -> pd.DataFrame:
    """Return the detail `choices`: representation, selector, layer, chosen, why; a row a layer that could be chosen."""
    rows = [
        {
            "representation": name,
            "selector": choice.selector,
            "layer": layer,
            "chosen": layer in choice.layers,
            "why": choice.reasons.get(layer),
        }
        for name, choice in choices.items()
        for layer in sorted({*choice.reasons, *choice.layers})
    ]
    return pd.DataFrame(rows)


def _choice(rows: pd.DataFrame) -> Choice:
    explained = rows[rows.why.notna()]
    reasons = dict(zip(explained.layer.tolist(), explained.why, strict=True))
    return Choice(str(rows.selector.iloc[0]), LayerSet.of(rows.layer[rows.chosen].tolist()), reasons)
