"""A net as the difference from another: the statements of its base, changed by its own.

    net alexnet_six(classes=21841) from alexnet {
        C6 after S5: conv 3x3, 256, pad=1 | relu
        F8: fc classes | softmax
    }

A row with a label of the base replaces it, ``after`` inserts one, ``drop`` leaves one out.  Inputs,
heads, constants, blocks, tables and parameters of the same name are replaced, and so are
``output``, ``columns`` and ``train``.  Totals and printed tables speak of the base alone and are
not inherited; what an inherited row claims is told when it does not hold, not failed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace

from netspec.language import syntax
from netspec.language.diagnostics import Note, SpecError
from netspec.language.files import Files
from netspec.language.limits import MAX_STAGES
from netspec.language.naming import label_range

Named = syntax.Let | syntax.Block | syntax.Connect | syntax.Codes
Single = syntax.Output | syntax.Columns | syntax.Train


def derive(tree: syntax.Tree, files: Files) -> syntax.Tree:
    """The whole net of a file: its own statements, on top of those of the net it is made from."""
    header = _header(tree, files)
    if header is None or header.base is None:
        _refuse_changes(tree, files)
        return tree
    with files.reading(tree):
        found = files.find(header.base)
        base = derive(found, files) if found else None
    if base is not None and not _is_net(base):
        message = f"`{base.source.name}` is no net: it does not begin with `net`"
        help = f'take over its blocks instead: import "{header.base.text}"'
        files.problems.add("NS105", message, files.sources.span(header.base.at), help=help)
        base = None
    if base is None:  # reported; what the base would have defined is not missed
        return replace(tree, statements=(header, syntax.Broken("net", (), header.at)))
    variant = _Variant(base, header, files)
    for statement in tree.statements:
        variant.change(statement)
    return replace(tree, statements=tuple(variant.statements()), dropped=variant.dropped)


def _header(tree: syntax.Tree, files: Files) -> syntax.Net | None:
    """The header of a file, if it has one; reported when it is not the first statement."""
    headers = [s for s in tree.statements if isinstance(s, syntax.Net)]
    for extra in headers[1:]:
        first = files.sources.span(headers[0].at)
        notes = [Note(f"the first is on line {first.line}")]
        message, help = "a second net in one file", "put each net into a file of its own"
        files.problems.add("NS104", message, files.sources.span(extra.at), help=help, notes=notes)
    if headers and tree.statements[0] is not headers[0]:
        message, help = "`net` must be the first statement", "move this line to the top of the file"
        files.problems.add("NS104", message, files.sources.span(headers[0].at), help=help)
    return headers[0] if headers else None


def _is_net(tree: syntax.Tree) -> bool:
    """Whether a file has a header, or had one that was reported."""
    return any(
        isinstance(s, syntax.Net) or (isinstance(s, syntax.Broken) and s.keyword == "net")
        for s in tree.statements
    )


def _refuse_changes(tree: syntax.Tree, files: Files) -> None:
    """Report what only a variant can say."""
    for statement in tree.statements:
        is_insertion = isinstance(statement, syntax.Row) and statement.after is not None
        if is_insertion or isinstance(statement, syntax.Drop):
            word = "after" if is_insertion else "drop"
            at = statement.after.at if is_insertion else statement.at  # type: ignore[union-attr]
            message = (
                f"`{word}` changes the net that this one is made from, and it is made from none"
            )
            help = "write the row where it belongs, or begin with `net name from base`"
            files.problems.add("NS105", message, files.sources.span(at), help=help)


class _Slot:
    """A place among the statements, which a statement holds, or none after a drop."""

    __slots__ = ("is_own", "next", "statement")

    def __init__(self, statement: syntax.Statement | None, *, is_own: bool) -> None:
        self.statement = statement
        self.is_own = is_own
        self.next: _Slot | None = None


class _Variant:
    """The statements of a base while a variant changes them.

    They are a linked list with an index, so that a large variant of a large base takes no longer
    than both together.
    """

    def __init__(self, base: syntax.Tree, header: syntax.Net, files: Files) -> None:
        self.files = files
        self.base = base.source.name
        self.dropped = dict(base.dropped)
        self.slots: dict[str, list[_Slot]] = {}
        self.header = header
        self.inherited: set[str] = set()
        self.first = self.last = self.last_parameter = _Slot(None, is_own=True)
        self.last_input = self.first
        self.new: list[syntax.Statement] = []
        self.indexed = 0
        own = {p.name.text: p for p in header.parameters}
        for statement in base.statements:
            if isinstance(statement, syntax.Net):
                self._take_header(statement)
            elif isinstance(statement, syntax.Let) and statement.name.text in own:
                continue
            elif not isinstance(statement, syntax.Claim | syntax.Document):
                slot = self._insert(self.last, _inherited(statement), is_own=False)
                if isinstance(statement, syntax.Input):
                    self.last_input = slot

    def change(self, statement: syntax.Statement) -> None:
        """Let a statement of the variant take effect."""
        if isinstance(statement, syntax.Row):
            self._row(statement)
        elif isinstance(statement, syntax.Drop):
            for name in statement.labels:
                self._drop(name)
        elif isinstance(statement, Named):
            self._name(statement)
        elif isinstance(statement, Single):
            for slot in self.slots.get(_keys(statement)[0], ()):
                slot.statement = slot.statement if slot.is_own else None
            self._insert(self.last, statement)
        elif isinstance(statement, syntax.Default):
            self._default(statement)
        elif isinstance(statement, syntax.Input):
            if not self._replace(statement):
                self.last_input = self._insert(self.last_input, statement)
        elif not isinstance(statement, syntax.Net) and not self._replace(statement):
            self._insert(self.last, statement)

    def statements(self) -> Iterator[syntax.Statement]:
        """What the variant consists of."""
        yield self.header
        for statement in self.new:
            self._insert(self.last, statement)
        slot = self.first.next
        while slot is not None:
            if slot.statement is not None:
                yield _without(slot.statement, self.dropped)
            slot = slot.next

    def _take_header(self, base: syntax.Net) -> None:
        """Parameters of the base that the variant does not give anew are its own as well."""
        own = {p.name.text: p for p in self.header.parameters}
        kept = [own.pop(p.name.text, p) for p in base.parameters]
        self.inherited = {p.name.text for p in base.parameters}
        title = self.header.title or base.title
        self.header = replace(self.header, parameters=(*kept, *own.values()), title=title)

    # -------------------------------------------------------------------------------------- slots

    def _insert(self, place: _Slot, statement: syntax.Statement, *, is_own: bool = True) -> _Slot:
        """Put a statement directly behind a place."""
        slot = _Slot(statement, is_own=is_own)
        slot.next, place.next = place.next, slot
        if place is self.last:
            self.last = slot
        keys = _keys(statement)
        self.indexed += len(keys)
        if self.indexed > 4 * MAX_STAGES:
            message = f"the net has more than {MAX_STAGES:,} rows"
            help = "use shorter ranges"
            self.files.problems.add(
                "NS005", message, self.files.sources.span(statement.at), help=help
            )
            raise SpecError(self.files.problems.found)
        for key in keys:
            self.slots.setdefault(key, []).append(slot)
        return slot

    def _slot(self, key: str) -> _Slot | None:
        """Where the statement with a label or name stands; a range is split to find its row."""
        slot = next((s for s in self.slots.get(key, ()) if s.statement is not None), None)
        if slot is None or not isinstance(slot.statement, syntax.Row):
            return slot
        first, *others = _single(slot.statement)
        slot.statement, place = first, slot
        for row in others:
            self.slots[row.first.text].remove(slot)
            place = self._insert(place, row, is_own=slot.is_own)
        return next(s for s in self.slots[key] if s.statement is not None)

    def _replace(self, statement: syntax.Statement) -> bool:
        """Put a statement in place of the base's of the same name, if there is one."""
        slots = [self._slot(key) for key in _keys(statement)]
        found = [slot for slot in slots if slot is not None and not slot.is_own]
        for slot in found:
            slot.statement, slot.is_own = statement if slot is found[0] else None, True
        return bool(found)

    # --------------------------------------------------------------------------------------- rows

    def _row(self, statement: syntax.Row) -> None:
        if statement.after is not None:
            slot = self._slot(statement.after.text)
            if slot is None:
                self._no_row(statement.after, "NS111", "`after` names a row of the base")
            else:
                self._insert(slot, statement)
            return
        for row in _single(statement):
            slot = self._slot(row.first.text)
            if slot is None:
                help = f"say where it goes: `{row.first.text} after ROW: ...`"
                at = (statement.first.at[0], (statement.last or statement.first).at[1])
                self._no_row(syntax.Name(row.first.text, at), "NS105", help)
                return
            if slot.is_own:  # the label is used twice, and reported as such
                self._insert(self.last, row)
            else:
                slot.statement, slot.is_own = row, True

    def _drop(self, name: syntax.Name) -> None:
        slot = self._slot(name.text)
        if slot is None:
            self._no_row(name, "NS111", "`drop` names a row of the base")
        else:
            slot.statement = None
            self.dropped[name.text] = name.at

    def _no_row(self, name: syntax.Name, code: str, help: str) -> None:
        span = self.files.sources.span(name.at)
        message, notes = f"`{self.base}` has no row `{name.text}`", []
        if name.text in self.dropped:
            message = f"the row `{name.text}` is dropped"
            notes = [Note("it is dropped here", self.files.sources.span(self.dropped[name.text]))]
            help = "replace the row instead, without `drop`"
        else:
            labels = (key for key, slots in self.slots.items() if any(s.statement for s in slots))
            help = self.files.problems.did_you_mean(name.text, labels) or help
        self.files.problems.add(code, message, span, help=help, notes=notes)

    # -------------------------------------------------------------------------------- definitions

    def _name(self, statement: Named) -> None:
        """A definition replaces the base's of the same name, or its parameter.

        A new one stands behind those of the base, which it may use, or above the next one that is
        replaced, which may use it.
        """
        slot = self._slot(_keys(statement)[0])
        name = statement.name.text
        if slot is not None and not slot.is_own:
            slot.statement, place = None, slot
        elif name in self.inherited:
            kept = tuple(p for p in self.header.parameters if p.name.text != name)
            self.header = replace(self.header, parameters=kept)
            self.inherited.discard(name)
            place = self.last_parameter
        else:
            self.new.append(statement)
            return
        for held in (*self.new, statement):
            place = self._insert(place, held)
        self.new = []
        if slot is None:
            self.last_parameter = place

    def _default(self, statement: syntax.Default) -> None:
        given = {a.key.text for a in statement.arguments if a.key}
        for slot in self.slots.get(_keys(statement)[0], ()):
            held = slot.statement
            if isinstance(held, syntax.Default) and not slot.is_own:
                kept = tuple(a for a in held.arguments if a.key and a.key.text not in given)
                slot.statement = replace(held, arguments=kept)
        self._insert(self.last, statement)


def _inherited(statement: syntax.Statement) -> syntax.Statement:
    kinds = syntax.Row | syntax.Head | syntax.Train
    if isinstance(statement, kinds) and not statement.is_inherited:
        return replace(statement, is_inherited=True)
    return statement


def _keys(statement: syntax.Statement) -> list[str]:
    """What a statement is found by: the labels of a row, the name of a definition, or its kind.

    Labels are words, so the others have a colon.
    """
    if isinstance(statement, syntax.Row):
        return _labels(statement)
    if isinstance(statement, syntax.Head | syntax.Input):
        return [statement.name.text]
    if isinstance(statement, Named):
        return [f"let:{statement.name.text}"]
    if isinstance(statement, syntax.Default):
        return [f"default:{statement.operator.text if statement.operator else ''}"]
    if isinstance(statement, syntax.Broken):
        kind = "let:" if statement.keyword in ("let", "block", "connect", "codes") else ""
        is_named = statement.keyword in ("let", "block", "connect", "codes", "row", "input", "head")
        return [f"{kind}{name.text}" for name in statement.names] if is_named else []
    return [f":{type(statement).__name__}"]


def _without(statement: syntax.Statement, dropped: Container[str]) -> syntax.Statement:
    """An inherited recipe does not speak of rows that are left out."""
    if not isinstance(statement, syntax.Train) or not statement.is_inherited:
        return statement
    kept = []
    for directive in statement.directives:
        rows = tuple(row for row in directive.rows if row.text not in dropped)
        if rows or not directive.rows:
            kept.append(replace(directive, rows=rows))
    return replace(statement, directives=tuple(kept))


def _labels(row: syntax.Row) -> list[str]:
    if row.last is None:
        return [row.first.text]
    found = label_range(row.first.text, row.last.text)
    if found is None or len(found) > MAX_STAGES:  # reported when the net is made
        return [row.first.text]
    return list(found.labels())


def _single(row: syntax.Row) -> list[syntax.Row]:
    """The rows that a range stands for; each but the first reads the one before it."""
    labels = _labels(row)
    if len(labels) == 1:
        return [row]
    return [
        replace(
            row,
            first=syntax.Name(label, row.first.at),
            last=None,
            sources=() if i else row.sources,
        )
        for i, label in enumerate(labels)
    ]
