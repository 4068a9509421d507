"""How far probes are apart, from the scores of every document: paired, tested and corrected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from probes.next_token.names import METRICS
from probes.next_token.scores import Site
from valens.errors import ResultError
from valens.statistics import bootstrap_means, holm, percentile_interval, sign_flip_test


def compared(
    documents: pd.DataFrame, pairs: Sequence[tuple[Site, Site]], metric: str, *, resamples: int, seed: int
) -> pd.DataFrame:
    """First − second for each pair of sites, with paired 95 % intervals, sign-flip p values, and Holm's over the pairs."""
    sums = {(row.representation, row.layers): part for row, part in _by_site(documents, metric)}
    sizes = documents.drop_duplicates("document").sort_values("document").prefixes.to_numpy()
    differences = np.stack(
        [sums[one.representation, one.layers] - sums[other.representation, other.layers] for one, other in pairs]
    )
    *sums_drawn, prefixes_drawn = bootstrap_means(np.vstack([differences, sizes]), resamples=resamples, seed=seed)
    low, high = percentile_interval(np.stack(sums_drawn) / prefixes_drawn)
    p = sign_flip_test(differences, seed=seed)
    return pd.DataFrame(
        {
            "first": [one.representation for one, _ in pairs],
            "second": [other.representation for _, other in pairs],
            "first_layers": [one.layers for one, _ in pairs],
            "second_layers": [other.layers for _, other in pairs],
            "metric": metric,
            "difference": differences.sum(axis=1) / sizes.sum(),
            "low": low,
            "high": high,
            "p": p,
            "p_holm": holm(p),
        }
    )


def _by_site(documents: pd.DataFrame, metric: str) -> Iterator[tuple[Site, Float[np.ndarray, " document"]]]:
    if metric not in METRICS:
        raise ResultError(f"A metric is {', '.join(METRICS)}; {metric!r} was asked for.")
    for (name, layers), part in documents.groupby(["representation", "layers"], sort=False):
        ordered = part.sort_values("document")
        yield Site(str(name), str(layers)), (ordered[metric] * ordered.prefixes).to_numpy()
