"""Evaluate the claims of a spec: about its rows, and about the net."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.ir.graph import Claim
from netspec.ir.ops import OPERATORS
from netspec.ir.shapes import Shape
from netspec.language import expressions, syntax
from netspec.language.scope import Reported, Scope


def of_row(claims: syntax.Claims, scope: Scope) -> tuple[Claim, ...]:
    """Return the claims after a row's arrow: its size first, then its counts."""
    claimed = measures(claims.measures, scope)
    if claims.size is not None:
        try:
            _refuse_operators(claims.size, scope)
            shape = expressions.shape(claims.size, scope)
            claimed.insert(0, Claim("size", shape, scope.span(claims.size.at)))
        except Reported:
            pass
    return tuple(claimed)


def _refuse_operators(size: syntax.Size, scope: Scope) -> None:
    """Report a stage after the arrow, as other notations write it; raise Reported."""
    for node in size.dimensions:
        if isinstance(node, syntax.Name) and node.text in OPERATORS:
            message = f"`->` begins a claim, and `{node.text}` is an operator"
            help = f"join stages with `|`: ... | {node.text}"
            raise scope.problem("NS140", message, node.at, help=help)


def measures(
    written: Sequence[syntax.Measure], scope: Scope, known: Sequence[Claim] = ()
) -> list[Claim]:
    """Return the claimed counts; report a kind that is claimed twice, also in ``known``."""
    claims: list[Claim] = []
    kinds = {claim.kind for claim in known}
    for measure in written:
        if measure.kind in kinds:
            message = f"`{measure.kind}` is claimed twice"
            scope.problem("NS131", message, measure.at, help="keep one of the two")
            continue
        kinds.add(measure.kind)
        try:
            value = _measured(measure, scope)
            claims.append(Claim(measure.kind, value, scope.span(measure.at)))
        except Reported:
            pass
    return claims


def _measured(measure: syntax.Measure, scope: Scope) -> int | Shape:
    """Return a claimed count; a receptive field may also be claimed as height x width."""
    if not isinstance(measure.value, syntax.KernelLiteral):
        return expressions.whole(measure.value, scope, f"the claim `{measure.kind}`")
    size = expressions.shape(syntax.Size((measure.value,), measure.value.at), scope)
    if measure.kind != "field" or len(size) != 2:
        help = "only a receptive field has a height and a width, as in `field 3x5`"
        raise scope.problem("NS140", f"`{measure.kind}` is one number", measure.at, help=help)
    return size
