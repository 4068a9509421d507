"""What the commands have in common: JSON on standard output, and nothing else there."""

from __future__ import annotations

import json
import math
import sys


def write_json(value: object) -> None:
    """Print one JSON object, strictly valid: what is not a number is null."""
    sys.stdout.write(json.dumps(_strict(value), indent=2, ensure_ascii=False, default=str, allow_nan=False) + "\n")


def _strict(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
