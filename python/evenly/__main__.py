"""`python -m evenly` is `evenly`."""

from evenly.cli import main

main()
