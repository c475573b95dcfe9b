"""Labels of rows: their characters, how a spec writes them, and ranges of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from netspec.ir.symbols import is_symbolic
from netspec.ir.values import describe
from netspec.language import expressions, syntax
from netspec.language.limits import MAX_LABEL, MAX_STAGES
from netspec.language.scope import Scope

STATEMENTS = (
    "net", "import", "default", "columns", "let", "block", "connect", "codes", "input", "head",
    "drop", "output", "claim", "prepare", "classes", "train", "document",
)  # fmt: skip
"""Words that begin a statement."""

_PLAIN = re.compile(r"[A-Za-z0-9_]+")


def is_plain(label: str) -> bool:
    """Return True if a label needs no quotes; words that begin a row or a sentence do."""
    return _PLAIN.fullmatch(label) is not None and label not in (*STATEMENTS, "says")


def written(label: str) -> str:
    """Return a label as a spec writes it: in quotes if it needs them."""
    return label if is_plain(label) else f'"{label}"'


def refuse(name: syntax.Name, scope: Scope) -> bool:
    """Report a text in quotes that cannot be a label; return True if it cannot.

    A dot separates a label from the parts of its row, in names of stages and parameters.  A comma
    separates labels on the command line.  A backslash begins an escape in generated code.
    Invisible characters, and an accent that follows its letter, would make labels look equal.
    """
    label = name.text
    if _PLAIN.fullmatch(label):
        return False
    if not label.strip():
        message, help = "a label cannot be blank", 'write letters or digits, as in "conv1/7x7_s2"'
    elif len(label) > MAX_LABEL:
        message, help = f"a label has at most {MAX_LABEL} characters", "shorten it"
    elif "." in label:
        message = f"the label `{label}` has a dot, which separates a row from its parts"
        help = "write `_` or `/`; a block of rows makes names such as layer1.0.conv1"
    elif "," in label or "\\" in label:
        character = "comma, which separates labels" if "," in label else "backslash"
        message, help = f"the label `{label}` has a {character}", "write `_` or `/`"
    elif label != label.strip():
        message, help = f"the label `{label}` begins or ends with a space", "remove the space"
    elif not label.isprintable():
        message, help = "this label has a character that is not visible", "remove the character"
    elif (composed := unicodedata.normalize("NFC", label)) != label:
        message = f"the label `{label}` has characters that Unicode replaces by others"
        help = (
            f'write "{composed}", which looks the same: a letter with its accent is one character'
        )
    else:
        return False
    scope.problem("NS122", message, name.at, help=help)
    return True


@dataclass(frozen=True, slots=True)
class Range:
    """A range of labels that differ only in their last letter or number."""

    prefix: str
    first: int
    last: int
    width: int | None
    """Digits of a number with leading zeros; None for letters."""

    @property
    def count(self) -> int:
        """Return the number of labels, which may be too large for len()."""
        return self.last - self.first + 1

    def labels(self) -> Iterator[str]:
        for i in range(self.first, self.last + 1):
            yield self.prefix + (chr(i) if self.width is None else f"{i:0{self.width}}")


def label_range(first: str, last: str) -> Range | None:
    """Return the range between two labels, or None if they do not make a range."""
    a, b = (re.fullmatch(r"(\w*?)(\d{1,19}|[A-Za-z])", text, re.ASCII) for text in (first, last))
    if a is None or b is None or a[1] != b[1] or a[2].isdigit() != b[2].isdigit():
        return None
    if a[2].isdigit():
        width = len(a[2]) if a[2].startswith("0") else 1
        labels = Range(a[1], int(a[2]), int(b[2]), width)
    else:
        labels = Range(a[1], ord(a[2]), ord(b[2]), None)
        if a[2].isupper() != b[2].isupper():
            return None
    return labels if labels.first <= labels.last else None


def of_row(row: syntax.Row, scope: Scope) -> list[syntax.Name]:
    """Return the labels of a row: one, or a range such as ``5b..5e``, ``1..4`` or ``r1..r[n]``.

    Raises:
        Reported: the labels do not make a range.
    """
    first, last = row.first, row.last
    if last is None:
        if row.others is not None:
            message = f"`{first.text}` is one row, and `then` is about the rows after it"
            help = "write a range, as in `r1..r3: A then B`, or two rows"
            raise scope.problem("NS117", message, row.others.at, help=help)
        return [first]
    at = (first.at[0], last.at[1])
    if isinstance(last, syntax.Counted):
        number = _number(last, scope)
        text = f"{last.prefix}{number}"
        start = first.text.removeprefix(last.prefix)
        if re.fullmatch(r"[0-9]+", start) and number < int(start):
            message = f"the range begins at {start} and ends at {number}: it has no rows"
            help = f"the last number must be at least {start}"
            raise scope.problem("NS117", message, at, help=help)
    else:
        text = last.text
    names = label_range(first.text, text)
    if names is None or (isinstance(last, syntax.Counted) and names.prefix != last.prefix):
        message = f"`{first.text}..{text}` is not a range of labels"
        help = "a range counts the last letter or number up, as in 5b..5e, r1..r4 or r1..r[n]"
        if not _PLAIN.fullmatch(first.text + text):
            help = "labels that need quotes do not make a range: write each row with its label"
        raise scope.problem("NS117", message, at, help=help)
    if names.count > MAX_STAGES:
        message = f"`{first.text}..{text}` is {names.count:,} rows"
        help = f"a net has at most {MAX_STAGES:,} stages"
        raise scope.stop("NS005", message, at, help=help)
    return [syntax.Name(label, first.at) for label in names.labels()]


def _number(last: syntax.Counted, scope: Scope) -> int:
    number = expressions.whole(last.number, scope, "the last number of a range")
    if is_symbolic(number):
        message = f"the last number of a range is {describe(number)}"
        help = "give the symbol a value with --set, or the parameter a default"
        raise scope.problem("NS142", message, last.at, help=help)
    return number
