"""`python -m valens` is the command line."""

from valens.cli import main

main()
