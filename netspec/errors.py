"""Errors that are the user's to mend, other than those in a spec."""


class DataError(Exception):
    """A file that cannot be used as it is: the message names it, says why, and what to do."""


class OptionError(DataError):
    """An option is for another form of a net than the one that it is given with."""
