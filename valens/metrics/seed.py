"""The seed that makes mteb's draws ours."""

from __future__ import annotations

MTEB_SEED = 42
"""The seed with which mteb draws its clustering samples, its training samples and its k-means starts."""
