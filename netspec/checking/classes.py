"""Check that a net does not have more names of classes than outputs."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.ir.graph import Graph
from netspec.ir.symbols import any_symbolic
from netspec.language import syntax
from netspec.language.diagnostics import Diagnostic, Problems
from netspec.language.scope import Scope


def check_classes(
    names: Sequence[str],
    statements: Sequence[syntax.Statement],
    graph: Graph,
    scope: Scope,
    problems: Problems,
    *,
    is_changed: bool,
) -> tuple[str, ...]:
    """Return the names of a net's outputs; report it if there are more names than outputs.

    If a setting changed the net, the names are for the net with its defaults: too many names are
    then a note, and the net does not have names.
    """
    written = [s for s in statements if isinstance(s, syntax.Classes)]
    if not names or not written or len(graph.outputs) != 1:
        return tuple(names)
    outputs = graph.stage(graph.outputs[0]).known_shape
    if any_symbolic(outputs) or len(names) <= outputs.elements:
        return tuple(names)
    message = f"`classes` has {len(names):,} names, and the net has {outputs.elements:,} outputs"
    span = scope.span(written[0].at)
    if is_changed:
        help = "the outputs have no names with these settings"
        message = f"{message} with these settings"
        problems.diagnostics.append(Diagnostic("NS305", message, span, help=help, severity="note"))
        return ()
    problems.add("NS156", message, span, help="give one name per output")
    return tuple(names)
