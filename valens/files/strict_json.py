"""JSON that every program reads: no NaN and no infinity, which JSON does not have."""

from __future__ import annotations

import json

from valens.files.escaped_surrogates import escape_surrogates


def to_json(value: object) -> str:
    """Return indented JSON in characters that UTF-8 has; ValueError for NaN and infinity."""
    # Half a character is in a string, if anywhere, and escape_surrogates writes it as JSON does: \\udcff.
    return escape_surrogates(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))
