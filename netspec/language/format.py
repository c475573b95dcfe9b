"""Format a spec: only its whitespace changes, not its statements or comments.

1. One space around `|`, `->`, strings, and the `=` of a definition; after `,` `:` `;`; and inside
   braces.  None in ``key=value`` and inside parentheses.  Elsewhere a space stays a space, and none
   stays none: ``5*5 + 1`` is the author's.
2. Braces that stay open over the end of a line indent what they hold by four spaces and close on a
   line of their own.  What stands on one line stays on one line.
3. Tables are aligned: rows, their claims, recipes, printed tables.
4. At most one blank line in a row, none at the edges of a file or of braces.
5. Comments keep their text.  Alone on a line they are indented like statements; at the ends of
   neighbouring lines they share a column.
"""

from __future__ import annotations

from netspec.ir.source import Source
from netspec.language.alignment import texts, with_comments
from netspec.language.diagnostics import Problems, SpecError
from netspec.language.lines import lines
from netspec.language.parse import parse
from netspec.language.read import accept, decode

INDENT = 4


def format(text: str, name: str = "<text>", /) -> str:
    """Return the formatted text of a spec; ``name`` is its name in messages.

    Raises:
        SpecError: the text does not parse, or would be too large for a spec.
    """
    problems = Problems()
    parse(accept(Source(name, text)), problems)
    if problems.errors:
        raise SpecError(problems.diagnostics)
    cut = lines(text)
    result = ""
    parts: list[str] = []
    for line, shown in zip(cut, with_comments(cut, texts(cut)), strict=True):
        parts += ["\n" * line.is_after_blank, " " * (INDENT * line.depth), shown, "\n"]
    result = "".join(parts)
    return decode(name, result.encode()).text
