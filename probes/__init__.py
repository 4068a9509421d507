"""The questions put to stored vectors, one folder each; public as `valens.probes`."""
