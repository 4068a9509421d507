"""`valens anisotropy`: do all texts point the same way, and at which layers?"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from probes.command import ModelOptions, run_probe
from valens.terminal.options import (
    DEFAULT_STORE,
    AsJson,
    AttnImplementation,
    Bos,
    Check,
    CorpusName,
    DataRoot,
    Device,
    DryRun,
    Dtype,
    Field,
    Layers,
    Limit,
    MaxTokens,
    ModelName,
    NearDuplicates,
    Out,
    PoolOver,
    Representations,
    Resamples,
    Revision,
    Seed,
    StorePath,
    representations_named,
)
from valens.terminal.texts import read_corpus


def anisotropy(
    *,
    model: ModelName = "smollm2-135m",
    revision: Revision = None,
    corpus: CorpusName = "wikipedia",
    field: Field = None,
    data_root: DataRoot = None,
    limit: Limit = None,
    near_duplicates: NearDuplicates = None,
    representations: Representations = "VA,HS",
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: AttnImplementation = "auto",
    max_tokens: MaxTokens = None,
    bos: Bos = "auto",
    pool_over: PoolOver = "all",
    layers: Layers = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    store: StorePath = DEFAULT_STORE,
    check: Check = False,
    out: Out = Path("results/anisotropy"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Measure how alike different texts are, by layer.

    The score is the mean cosine between different texts, as it is and after the mean vector of all texts was taken off, with
    intervals. A second run with the same settings reads nothing.
    """
    from probes.anisotropy.probe import Anisotropy
    from valens.store.store import ActivationStore

    run_probe(
        Anisotropy(layers=layers, max_tokens=max_tokens, resamples=resamples, seed=seed),
        ModelOptions(model, revision, device, dtype, attn_implementation, check),
        read_corpus(
            Console(stderr=as_json),
            corpus,
            data_root=data_root,
            field=field,
            limit=limit,
            near_duplicates=near_duplicates,
        ),
        representations_named(representations, bos=bos, pool_over=pool_over),
        store=ActivationStore(store, check=check),
        out=out,
        dry_run=dry_run,
        as_json=as_json,
    )
