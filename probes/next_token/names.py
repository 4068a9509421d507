"""The metrics and baselines of next-token probing, by name."""

ACCURACY, TOP_5, LOSS = "accuracy", "top-5 accuracy", "cross-entropy"
METRICS = (ACCURACY, TOP_5, LOSS)
"""What is scored: shares of prefixes whose next token is ranked first, or among five; and nats."""

REPEATS = ("best", "all")
"""Which probes are trained with more than one seed, and on the control task."""

CONTROL, SELECTIVITY, VALIDATION = "control accuracy", "selectivity", "validation cross-entropy"
"""`VALIDATION` is measured on documents that are not scored: representations have their best layers by it."""

MOST_FREQUENT, BIGRAM, MODEL, MODEL_ALL = "most frequent token", "bigram", "model", "model, all tokens"
"""What needs no probe: counts of the training rows, and the model's own prediction, among the classes and all tokens."""
