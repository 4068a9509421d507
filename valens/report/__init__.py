"""A page about a results folder: one HTML file with figures, tables, layer sets and provenance, and nothing outside it."""

from __future__ import annotations

from probes.report import write_report

__all__ = ["write_report"]
