"""The command line: parses arguments, calls the API, prints.  Nothing imports it."""

from __future__ import annotations

import click

from netspec import __version__, bundled
from netspec.cli.check import check
from netspec.cli.compile import compile
from netspec.cli.explain import explain
from netspec.cli.ops import ops
from netspec.cli.run import run
from netspec.cli.summary import summary


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"SPEC is the path of a .net file, or a bundled name: {', '.join(bundled())}.",
)
@click.version_option(__version__, prog_name="netspec")
def main() -> None:
    """Turn the layer table of a paper into a network that is checked, fast and trainable."""


for command in (check, summary, compile, run, explain, ops):
    main.add_command(command)
