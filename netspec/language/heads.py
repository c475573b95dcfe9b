"""Arguments of auxiliary heads."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.ir.symbols import is_symbolic
from netspec.ir.values import describe
from netspec.language import expressions, syntax
from netspec.language.scope import Reported, Scope


def weight_of(arguments: Sequence[syntax.Argument], scope: Scope) -> float:
    """Return the weight of a head in the loss; report arguments that are wrong."""
    weight = 1.0
    for position, argument in enumerate(arguments):
        assert argument.key is not None
        if position and argument.key.text == "weight":
            message = "`weight` is given twice"
            scope.problem("NS131", message, argument.at, help="keep one of the two")
            continue
        if argument.key.text != "weight":
            message = f"a head has no `{argument.key.text}`"
            help = "the only attribute of a head is weight="
            scope.problem("NS130", message, argument.key.at, help=help)
            continue
        try:
            value = expressions.number(argument.value, scope)
            if is_symbolic(value) or value < 0:
                message = f"weight of a head: expected at least 0, and this is {describe(value)}"
                help = "the loss adds the head's loss times its weight"
                raise scope.problem("NS132", message, argument.value.at, help=help)
            weight = float(value)
        except Reported:
            pass
    return weight
