"""``python -m netspec``."""

from netspec.cli import main

main(prog_name="netspec")
