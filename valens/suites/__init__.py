"""Suites of tasks: the built-in one, and any by name."""
