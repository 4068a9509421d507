"""Digests of values: the same value has the same, whatever the order of its keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_KEY_LENGTH = 32


def digest(value: object) -> str:
    """Return the sha256 of a JSON-able value, in hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def key_of(identity: Mapping[str, Any]) -> str:
    """Return the folder name of numbers made in this way: as much of the digest as stays unique."""
    return digest(identity)[:_KEY_LENGTH]
