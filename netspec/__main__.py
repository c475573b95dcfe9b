"""Run the command line as ``python -m netspec``."""

from netspec.cli import main

main(prog_name="netspec")
