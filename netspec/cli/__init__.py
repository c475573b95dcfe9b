"""The command line: parses arguments, calls the API, prints.  Nothing imports it."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

import click

from netspec import __version__, bundled
from netspec.cli.bench import bench
from netspec.cli.check import check
from netspec.cli.compare import compare
from netspec.cli.compile import compile
from netspec.cli.diff import diff
from netspec.cli.document import document
from netspec.cli.draw import draw
from netspec.cli.eval import eval
from netspec.cli.explain import explain
from netspec.cli.fmt import fmt
from netspec.cli.ops import ops
from netspec.cli.pack import pack
from netspec.cli.report import report
from netspec.cli.run import run
from netspec.cli.see import see
from netspec.cli.summary import summary
from netspec.cli.trace import trace
from netspec.cli.train import train
from netspec.cli.warned import plain_warnings
from netspec.cli.weights import weights


class _Commands(click.Group):
    """A group whose commands can print whatever the encoding of standard output is."""

    def invoke(self, ctx: click.Context) -> Any:
        for name in ("stdout", "stderr"):
            stream: Any = getattr(sys, name)
            if stream is None:  # closed by the caller
                setattr(sys, name, io.StringIO())
            elif hasattr(stream, "reconfigure"):  # what it cannot encode becomes a question mark
                stream.reconfigure(errors="replace")
        try:
            with plain_warnings():
                result = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(f"cannot read or write: {error}") from None
        return result


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"SPEC is the path of a .net file, or a bundled name: {', '.join(bundled())}.",
)
@click.version_option(__version__, prog_name="netspec")
def main() -> None:
    """Turn the layer table of a paper into a network that is checked, fast and trainable."""


COMMANDS = (
    check,
    summary,
    document,
    diff,
    draw,
    fmt,
    compile,
    trace,
    weights,
    pack,
    train,
    eval,
    compare,
    run,
    see,
    report,
    bench,
    explain,
    ops,
)

for command in COMMANDS:
    main.add_command(command)
