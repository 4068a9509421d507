"""JSON that every program reads: no NaN and no infinity, which JSON does not have."""

from __future__ import annotations

import json


def to_json(value: object) -> str:
    """Indented JSON; ValueError for NaN and infinity."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
