"""Variants: a net that is written as changes of another net, its base.

    net alexnet_six(classes=21841) from alexnet {
        C6 after S5: conv 3x3, 256, pad=1 | relu
        F8: fc classes | softmax
    }

A row with a label of the base replaces that row, ``after`` inserts a row, ``drop`` removes a row.
Inputs, heads, constants, blocks, tables and parameters replace those of the same name.  ``output``,
``columns``, ``prepare``, ``classes`` and ``train`` replace those of the base.  Totals and printed
tables are about the base and are not inherited.  A false claim of an inherited row is a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from netspec.language import syntax
from netspec.language.changes import (
    DEFINITION,
    Named,
    Own,
    Single,
    inherited,
    is_counted,
    kinds_of,
    labels_of,
    lost,
    names_of,
    single_rows,
)
from netspec.language.diagnostics import SHOWN_AT_MOST, Note, SpecError
from netspec.language.files import Files
from netspec.language.labels import written
from netspec.language.limits import MAX_STAGES

ROWS_SHOWN = 30
"""Labels that a message about an unknown row lists."""

_WITHOUT_DROP = "replace the row, without `drop`"


def derive(tree: syntax.Tree, files: Files) -> syntax.Tree:
    """Return the whole net of a file: the statements of its base with its own changes."""
    derived = _derived(tree, files)
    if isinstance(derived, syntax.Tree):
        return derived
    return replace(tree, statements=tuple(derived.statements()), dropped=derived.dropped)


def _derived(tree: syntax.Tree, files: Files) -> syntax.Tree | _Variant:
    header = _header(tree, files)
    if header is None or header.base is None:
        _refuse_changes(tree, files)
        return tree
    with files.reading(tree):
        base_tree = files.find(header.base)
        base = _derived(base_tree, files) if base_tree else None
    if isinstance(base, syntax.Tree) and not _is_net(base):
        message = f"`{base.source.name}` is not a net: it does not begin with `net`"
        help = f'import its blocks instead: import "{header.base.text}"'
        files.problems.add("NS105", message, files.sources.span(header.base.at), help=help)
        base = None
    elif isinstance(base, syntax.Tree) and not _headers(base):
        base = None  # its header does not parse
    if base is None or base_tree is None:
        # the mistake is reported: what the base would have defined is not missed
        return replace(tree, statements=(header, syntax.Broken("net", (), header.at)))
    variant = base if isinstance(base, _Variant) else _Variant(base, files)
    variant.vary(tree, header, base_tree.source.name)
    return variant


def _header(tree: syntax.Tree, files: Files) -> syntax.Net | None:
    """Return the header of a file, if any; report it if it is not the first statement."""
    headers = _headers(tree)
    for extra in headers[1:]:
        first = files.sources.span(headers[0].at)
        notes = [Note(f"the first is on line {first.line}")]
        message, help = "a second net in one file", "put each net into a separate file"
        files.problems.add("NS104", message, files.sources.span(extra.at), help=help, notes=notes)
    if headers and tree.statements[0] is not headers[0]:
        message, help = "`net` must be the first statement", "move this line to the top of the file"
        files.problems.add("NS104", message, files.sources.span(headers[0].at), help=help)
    return headers[0] if headers else None


def _headers(tree: syntax.Tree) -> list[syntax.Net]:
    return [s for s in tree.statements if isinstance(s, syntax.Net)]


def _is_net(tree: syntax.Tree) -> bool:
    """Return True if a file has a header, also one that does not parse."""
    return any(
        isinstance(s, syntax.Net) or (isinstance(s, syntax.Broken) and s.keyword == "net")
        for s in tree.statements
    )


def _refuse_changes(tree: syntax.Tree, files: Files) -> None:
    """Report statements that only a variant may have."""
    for statement in tree.statements:
        is_insertion = isinstance(statement, syntax.Row) and statement.after is not None
        if is_insertion or isinstance(statement, syntax.Drop):
            word = "after" if is_insertion else "drop"
            at = statement.after.at if is_insertion else statement.at  # type: ignore[union-attr]
            message = f"`{word}` changes a base, and this net does not have one"
            help = f"remove `{word}`, or begin with `net name from base`"
            files.problems.add("NS105", message, files.sources.span(at), help=help)


class _Slot:
    """A place in the list of statements: a statement, or None if it is removed.

    ``level`` is the file of the statement: 0 for the base, 1 for its variant, 2 for the next.
    """

    __slots__ = ("level", "next", "statement")

    def __init__(self, statement: syntax.Statement | None, level: int) -> None:
        self.statement = statement
        self.level = level
        self.next: _Slot | None = None


class _Variant:
    """The statements of a base while variants change them.

    They are a linked list with an index by label: replacing and inserting take constant time, so a
    chain of variants of a large net does not take quadratic time.
    """

    def __init__(self, base: syntax.Tree, files: Files) -> None:
        self.files = files
        self.level = 0
        self.dropped: dict[str, syntax.At] = {}
        self.slots: dict[str, _Slot] = {}
        self.repeated: dict[str, list[_Slot]] = {}
        self.first = self.last = self.last_parameter = self.last_input = _Slot(None, 0)
        self.new: list[Named] = []
        self.own: list[syntax.Statement] = []
        self.header = _headers(base)[0]
        for statement in base.statements:
            if not isinstance(statement, Own | syntax.Net):
                slot = self._insert(self.last, statement)
                if isinstance(statement, syntax.Input):
                    self.last_input = slot

    def vary(self, tree: syntax.Tree, header: syntax.Net, base: str) -> None:
        """Apply the statements of a variant."""
        self.level += 1
        self.base = base
        self.last_parameter, self.new, self.own = self.first, [], []
        self._take_header(header)
        for statement in tree.statements:
            self._change(statement)
        for statement in self.new:
            self._insert(self.last, statement)

    def statements(self) -> Iterator[syntax.Statement]:
        """Yield the statements of the variant."""
        yield self.header
        slot = self.first.next
        while slot is not None:
            if slot.statement is not None and slot.level < self.level:
                yield inherited(slot.statement, self.dropped)
            elif slot.statement is not None:
                yield slot.statement
            slot = slot.next
        yield from self.own

    def _change(self, statement: syntax.Statement) -> None:
        if isinstance(statement, syntax.Row):
            self._row(statement)
        elif isinstance(statement, syntax.Drop):
            for name in statement.labels:
                self._drop(name)
        elif isinstance(statement, Named):
            self._name(statement)
        elif isinstance(statement, Single):
            for slot in self._taken(type(statement).__name__):
                slot.statement = None
            self._insert(self.last, statement)
        elif isinstance(statement, syntax.Default):
            self._default(statement)
        elif isinstance(statement, syntax.Input):
            if not self._replace(statement):
                self.last_input = self._insert(self.last_input, statement)
        elif isinstance(statement, Own):
            self.own.append(statement)
        elif isinstance(statement, syntax.Broken):
            self._lose(statement)
        elif not isinstance(statement, syntax.Net) and not self._replace(statement):
            self._insert(self.last, statement)

    def _lose(self, statement: syntax.Broken) -> None:
        """Put a lost statement in the place of the rows that it may have changed.

        Without a known place it comes before all rows, whose sizes are then unknown: what the base
        says of them is not reported as wrong.
        """
        if statement.keyword == "drop":
            for name in statement.names:
                self._replace(syntax.Broken("row", (name,), statement.at))
        elif not self._replace(statement):
            is_placed = statement.keyword not in ("row", "")
            self._insert(self.last if is_placed else self.last_input, statement)

    def _take_header(self, header: syntax.Net) -> None:
        """Inherit the parameters of the base that the variant does not redefine."""
        own = {p.name.text: p for p in header.parameters}
        for name in own:
            slot = self.slots.get(f"{DEFINITION}{name}")
            if slot is not None and isinstance(slot.statement, syntax.Let):
                slot.statement = None
        parameters = [own.pop(p.name.text, p) for p in self.header.parameters]
        self.inherited = {p.name.text for p in self.header.parameters}
        title = header.title or self.header.title
        self.header = replace(header, parameters=(*parameters, *own.values()), title=title)

    # -------------------------------------------------------------------------------------- slots

    def _insert(self, previous: _Slot, statement: syntax.Statement) -> _Slot:
        """Insert a statement directly after a slot."""
        slot = _Slot(statement, self.level)
        slot.next, previous.next = previous.next, slot
        if previous is self.last:
            self.last = slot
        for key in kinds_of(statement):
            self.repeated.setdefault(key, []).append(slot)
        for key in names_of(statement):
            if self._slot(key) is None:
                self.slots[key] = slot
        if len(self.slots) > 2 * MAX_STAGES:
            span = self.files.sources.span(statement.at)
            message = f"the net has more than {MAX_STAGES:,} rows"
            self.files.problems.add("NS005", message, span, help="use shorter ranges")
            raise SpecError(self.files.problems.diagnostics)
        return slot

    def _slot(self, key: str) -> _Slot | None:
        """Return the slot of the statement with a label or name."""
        slot = self.slots.get(key)
        return slot if slot is not None and slot.statement is not None else None

    def _row_slot(self, label: str) -> _Slot | None:
        """Return the slot of the row, head or input with a label; split a range to find its row."""
        slot = self._slot(label)
        if slot is None or not isinstance(slot.statement, syntax.Row):
            return slot
        first, *others = single_rows(slot.statement)
        slot.statement, previous = first, slot
        for row in others:
            if self.slots[row.first.text] is slot:
                del self.slots[row.first.text]
            previous = self._insert(previous, row)
            previous.level = slot.level
        return self._slot(label)

    def _replace(self, statement: syntax.Statement) -> bool:
        """Replace the base's statement of the same name; return True if there is one."""
        slots = [self._row_slot(key) for key in names_of(statement)]
        replaced = [slot for slot in slots if slot is not None and slot.level < self.level]
        for slot in replaced:
            slot.statement, slot.level = statement if slot is replaced[0] else None, self.level
        return bool(replaced)

    def _taken(self, kind: str) -> list[_Slot]:
        """Remove the statements of a kind from the index; return those of the base."""
        return [slot for slot in self.repeated.pop(kind, []) if slot.level < self.level]

    # --------------------------------------------------------------------------------------- rows

    def _row(self, statement: syntax.Row) -> None:
        if statement.after is not None:
            slot = self._row_slot(statement.after.text)
            if slot is None:
                self._no_row(statement.after, "NS111", "`after` names a row of the base")
                self._lose(lost(single_rows(statement)))
            else:
                self._insert(slot, statement)
                for label in labels_of(statement):
                    self.dropped.pop(label, None)
            return
        rows = single_rows(statement)
        for i, row in enumerate(rows):
            slot = self._row_slot(labels_of(row)[0])
            if slot is None:
                help = f"say where it goes: `{written(row.first.text)} after ROW: ...`"
                at = (statement.first.at[0], (statement.last or statement.first).at[1])
                self._no_row(syntax.Name(row.first.text, at), "NS105", help)
                self._lose(lost(rows[i:]))
                return
            if slot.level == self.level:  # used twice in one file: kept, so that it is reported
                self._insert(self.last, row)
            else:
                slot.statement, slot.level = row, self.level

    def _drop(self, name: syntax.Name) -> None:
        slot = self._row_slot(name.text)
        if slot is None:
            self._no_row(name, "NS111", "`drop` names a row of the base", "drop it once")
            self._lose(syntax.Broken("row", (), name.at))
        else:
            slot.statement = None
            self.dropped[name.text] = name.at

    def _no_row(
        self, name: syntax.Name, code: str, help: str, help_dropped: str = _WITHOUT_DROP
    ) -> None:
        span = self.files.sources.span(name.at)
        message, notes = f"`{self.base}` has no row `{name.text}`", []
        if name.text in self.dropped:
            message, help = f"the row `{name.text}` is dropped", help_dropped
            notes = [Note("it is dropped here", self.files.sources.span(self.dropped[name.text]))]
        else:
            problems = self.files.problems
            if any(is_counted(name.text, key) for key in self._row_labels()):
                help = "replace the whole range: its length is computed, so its rows have no names"
            help = problems.did_you_mean(name.text, self._row_labels()) or help
            if len(problems.diagnostics) < SHOWN_AT_MOST:
                notes = [Note(f"`{self.base}` has {_listed(list(self._row_labels()))}")]
        self.files.problems.add(code, message, span, help=help, notes=notes)

    def _row_labels(self) -> Iterator[str]:
        """Yield the labels of the rows, heads and inputs."""
        for key, slot in self.slots.items():
            if slot.statement is not None and not key.startswith(DEFINITION):
                yield key

    # -------------------------------------------------------------------------------- definitions

    def _name(self, statement: Named) -> None:
        """A definition replaces the base's of the same name, or its parameter.

        A new one comes after those of the base, which it may use, or before the next one that is
        replaced, which may use it.
        """
        name = statement.name.text
        slot = self._slot(f"{DEFINITION}{name}")
        if slot is not None and slot.level < self.level:
            slot.statement, previous = None, slot
        elif name in self.inherited:
            parameters = tuple(p for p in self.header.parameters if p.name.text != name)
            self.header = replace(self.header, parameters=parameters)
            self.inherited.discard(name)
            slot, previous = None, self.last_parameter
        else:
            self.new.append(statement)
            return
        for definition in (*self.new, statement):
            previous = self._insert(previous, definition)
        self.new = []
        if slot is None:
            self.last_parameter = previous

    def _default(self, statement: syntax.Default) -> None:
        for kind in kinds_of(statement):
            for slot in self._taken(kind):
                default = slot.statement
                if isinstance(default, syntax.Default):
                    arguments = [
                        a
                        for a in default.arguments
                        if a.key and not kind.endswith(f":{a.key.text}")
                    ]
                    slot.statement = replace(default, arguments=tuple(arguments))
        self._insert(self.last, statement)


def _listed(labels: list[str]) -> str:
    """Return labels as text, a long list shortened in the middle."""
    if len(labels) > ROWS_SHOWN:
        labels = [*labels[: ROWS_SHOWN - 4], "...", *labels[-3:]]
    return ", ".join(labels)
