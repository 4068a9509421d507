"""The questions put to stored vectors, one file each; public as `valens.probes`."""
