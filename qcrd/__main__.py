"""`python -m qcrd` is the command line; the shebang of the grids relies on it."""

from qcrd.cli import main

main()
