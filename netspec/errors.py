"""Errors that the user can fix, other than those in a spec."""


class DataError(Exception):
    """A file that cannot be used; the message names it, the reason, and what to do."""


class OptionError(DataError):
    """An option that does not apply to this form of a net: a spec, a run or an artifact."""
