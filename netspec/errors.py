"""Errors that a user can fix, other than those in a spec."""

from __future__ import annotations

import sys
import warnings


class DataError(Exception):
    """A file that cannot be used; the message names it, gives the reason and says how to fix it."""


class OptionError(DataError):
    """An option that does not apply to this form of a net: a spec, a run or an artifact.

    Attributes:
        option: Name of the argument of the API; a command has an option of a similar name.
        why: Reason, without a subject: ``is for a spec``.
    """

    def __init__(self, option: str, why: str) -> None:
        super().__init__(option, why)
        self.option, self.why = option, why

    def __str__(self) -> str:
        return f"the argument {self.option} {self.why}"


class ArgumentError(ValueError):
    """A value that an argument of the API does not accept; commands report it as wrong usage."""


class LabelError(KeyError):
    """A label that no row of a net has."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows its message in quotes


def warn_user(warning: str | Warning) -> None:
    """Warn at the line of the user that called netspec, however deep in netspec this is called."""
    level, frame = 1, sys._getframe()
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "netspec":
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


def require_type(
    argument: str, value: object, types: type | tuple[type, ...], expected: str
) -> None:
    """Raise TypeError if an argument of the API does not have one of some types.

    Args:
        argument: its name.
        value: the value that was passed.
        types: the types that are accepted.
        expected: the same in words, with an article.
    """
    if not isinstance(value, types):
        raise TypeError(f"{argument} must be {expected}, not {_type_of(value)}")


def _type_of(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
