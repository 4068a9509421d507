"""What next-token probes are measured against, on the same rows: the most frequent token, bigrams, and the model itself.

The counted baselines see the training rows that the probes see, and nothing else. Probabilities are interpolated as Witten
and Bell do (1991, IEEE Transactions on Information Theory 37): after n occurrences of a context with k different
followers, a share k / (n + k) goes to the next shorter context, down to all classes alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from valens.linear_probes.learning import LOGIT_BYTES, scores_of
from valens.model.model import Model
from valens.model.unembedding import Unembedding

Scores = tuple[Float[np.ndarray, " _row"], Int[np.ndarray, " _row"]]
"""The cross-entropy of each row in nats, and the rank of its class, from 1."""


def unigram(classes: Int[np.ndarray, " train"], n_classes: int) -> Float[np.ndarray, " class"]:
    """Return the probability of each class, whatever the prefix: that of the training rows, mixed with all classes alike."""
    return _interpolated(np.bincount(classes, minlength=n_classes), np.full(n_classes, 1 / n_classes))


def most_frequent(train: Int[np.ndarray, " train"], test: Int[np.ndarray, " test"], n_classes: int) -> Scores:
    """Scores of always giving the most frequent class of the training rows first."""
    return _scores(unigram(train, n_classes), test)


def bigram(
    train_last: Int[np.ndarray, " train"],
    train: Int[np.ndarray, " train"],
    test_last: Int[np.ndarray, " test"],
    test: Int[np.ndarray, " test"],
    n_classes: int,
) -> Scores:
    """Scores of what followed the prefix's last token in the training rows, backed by the unigram."""
    shorter = unigram(train, n_classes)
    losses, ranks = np.empty(len(test)), np.empty(len(test), dtype=np.int64)
    for token in np.unique(test_last):
        rows = np.flatnonzero(test_last == token)
        counts = np.bincount(train[train_last == token], minlength=n_classes)
        losses[rows], ranks[rows] = _scores(_interpolated(counts, shorter), test[rows])
    return losses, ranks


def own(
    model: Model,
    vectors: Float[np.ndarray, "test d"],
    tokens: Int[np.ndarray, " test"],
    classes: Int[np.ndarray, " class"],
) -> tuple[Scores, Scores]:
    """Return the model's own scores from what leaves its last block at the prefix's last token: among classes, and tokens.

    `tokens` are the true next ones, each one of `classes`. Logits are those of the model, caps and scales included.
    """
    class_of = np.full(int(classes.max()) + 1, -1)
    class_of[classes] = np.arange(len(classes))
    unembedding = Unembedding.of(model)
    size = max(1, LOGIT_BYTES // (4 * len(unembedding.weight)))
    scores = []
    with torch.inference_mode():
        for start in range(0, len(tokens), size):
            true = torch.from_numpy(tokens[start : start + size])
            logits = _logits(model, unembedding, torch.from_numpy(vectors[start : start + size])).cpu()
            among = logits[:, torch.from_numpy(classes)]
            scores.append((scores_of(among, torch.from_numpy(class_of[true.numpy()])), scores_of(logits, true)))
    restricted, full = zip(*scores, strict=True)
    return _joined(restricted), _joined(full)


def _logits(
    model: Model, unembedding: Unembedding, vectors: Float[torch.Tensor, "row d"]
) -> Float[torch.Tensor, "row token"]:
    """Return what the model makes of the last block's output; caps and scales are where its configuration names them."""
    weight, config = unembedding.weight, _config(model)
    logits = (model.final_norm(vectors.to(weight)) @ weight.T).float()
    if unembedding.bias is not None:
        logits += unembedding.bias.float()
    logits *= getattr(config, "logit_scale", None) or 1.0
    logits /= getattr(config, "logits_scaling", None) or 1.0
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if not cap else cap * torch.tanh(logits / cap)


def _config(model: Model) -> Any:
    return model.bridge.original_model.config.get_text_config()


def _interpolated(
    counts: Int[np.ndarray, " class"], shorter: Float[np.ndarray, " class"]
) -> Float[np.ndarray, " class"]:
    """Counts after one context, and what the shorter context says in the measure in which they are various."""
    followers = np.count_nonzero(counts)
    return (counts + followers * shorter) / (counts.sum() + followers) if followers else shorter


def _scores(probability: Float[np.ndarray, " class"], classes: Int[np.ndarray, " row"]) -> Scores:
    """Of equally probable classes the one that comes first is given first, as somebody must be."""
    order = np.argsort(-probability, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    return -np.log(probability[classes]), rank[classes]


def _joined(parts: Any) -> Scores:
    losses, ranks = zip(*parts, strict=True)
    return torch.cat(losses).double().numpy(), torch.cat(ranks).numpy()
