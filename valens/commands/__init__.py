"""What each command of `valens` does, one file each; `valens.cli` puts them together."""
