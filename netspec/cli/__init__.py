"""The command line: parses arguments, calls the API, prints.  Nothing imports it."""

from __future__ import annotations

import errno
import gc
import io
import sys
from importlib import import_module
from typing import Any

import click

import netspec

COMMANDS = {
    "bench": "Time a compiled net, and the same net in other engines.",
    "check": "Check every shape and every claim.",
    "compare": "Train nets that differ in one thing, as in the AlexNet paper.",
    "compile": "Optimise for a device, verify, write an artifact.",
    "diff": "Compare two nets, row by row.",
    "document": "Compare printed tables with derived ones, cell by cell.",
    "draw": "Draw the graph of a net, or its layers as volumes.",
    "eval": "Test trained nets, each alone and together.",
    "explain": "Explain a diagnostic, or the syntax.",
    "fmt": "Format specs.",
    "ops": "Describe the operators.",
    "pack": "Decode the images of a data set once, into shards.",
    "report": "Write a run or a net as one HTML page.",
    "run": "Classify images.",
    "see": "Show what a network has learned.",
    "summary": "Print the table of a net with derived values.",
    "trace": "Trace a row through the compiler.",
    "train": "Train a net with the recipe in its spec.",
    "weights": "Convert pretrained weights of other frameworks.",
}
"""The commands with their short help.

Each is a module of this package with a function of the same name.  It is imported when it is used,
because the commands together import half of netspec.
"""


class _Commands(click.Group):
    """A group whose commands can print whatever the encoding of standard output is."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = f"{__name__}.{cmd_name}"
        if name not in sys.modules:
            import_module(name)
            # Later collections need not visit what was imported: it stays.
            gc.freeze()
        command: click.Command = getattr(sys.modules[name], cmd_name)
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.epilog = (
            f"SPEC is the path of a .net file, or a bundled name: {', '.join(netspec.bundled())}."
        )
        super().format_epilog(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        for name in ("stdout", "stderr"):
            stream: Any = getattr(sys, name)
            if stream is None:  # closed by the caller
                setattr(sys, name, io.StringIO())
            elif hasattr(stream, "reconfigure"):  # what it cannot encode becomes a question mark
                stream.reconfigure(errors="replace")
        try:
            from netspec.cli.warned import plain_warnings

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
)
@click.version_option(netspec.__version__, prog_name="netspec")
def main() -> None:
    """Turn the layer table of a paper into a network that is checked, fast and trainable."""
