"""Format a spec: only its whitespace changes, not its statements or comments.

1. One space around `|`, `->`, strings, and the `=` of a definition; after `,` `:` `;`; and inside
   braces.  No space in ``key=value`` and inside parentheses.  Elsewhere spaces are not added or
   removed: ``5*5 + 1`` stays as the author wrote it.
2. Braces that are open at the end of a line indent their content by four spaces and close on a
   separate line.  Statements on one line stay on one line.
3. Tables are aligned: rows, their claims, recipes, printed tables.
4. At most one blank line between lines, and none at the start or end of a file or of braces.
5. Comments keep their text.  A comment alone on a line is indented like a statement.  Comments at
   the ends of neighbouring lines start in the same column.
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
