"""The questions put to stored vectors, one folder each; public as `valens.probes`."""

from probes import catalogue  # noqa: F401 - nobody may name the shipped kinds from here on
