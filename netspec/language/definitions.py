"""The definitions of a spec: its header, parameters, constants, blocks and defaults.

Definitions apply to the whole file, but a constant can only use constants above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite

from netspec.ir.guess import did_you_mean
from netspec.ir.operator import Operator
from netspec.ir.ops import OPERATORS
from netspec.ir.shapes import Kernel
from netspec.ir.source import Source, Span
from netspec.ir.symbols import is_symbolic, symbol
from netspec.ir.values import OFF, ON, Value, Word
from netspec.language import foreign, syntax
from netspec.language.binding import read
from netspec.language.diagnostics import Note
from netspec.language.drawn import Drawn, drawn
from netspec.language.expressions import value_or_unknown
from netspec.language.files import Files
from netspec.language.incoming import CHANNELS
from netspec.language.parse import parse_value
from netspec.language.scope import WORDS, Budget, Macro, Reported, Scope, Unknown
from netspec.language.variant import derive

Setting = Value | str | float | bool
"""A parameter's value from outside; a string is parsed as in a spec."""


@dataclass(slots=True)
class Definitions:
    """The names that a file defines: its parameters, constants, blocks, tables and defaults."""

    name: str
    title: str
    scope: Scope
    spans: dict[str, Span] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    """The parameters in the header with their defaults; without a default, a symbol."""
    is_changed: bool = False
    """True if a setting differs from the parameter's default."""


def collect(tree: syntax.Tree, files: Files, settings: Mapping[str, Setting]) -> Definitions:
    """Return the definitions of a spec; ``settings`` are values of its parameters."""
    return _Collector(files, Budget(), {}).collect(tree, settings)


@dataclass(slots=True)
class _Collector:
    """Collects the definitions of a net, and of the files that it imports, each once."""

    files: Files
    budget: Budget
    imported: dict[syntax.At, Scope]

    def collect(self, tree: syntax.Tree, settings: Mapping[str, Setting] | None) -> Definitions:
        """Return the definitions of a file; ``settings`` are None for an imported one."""
        scope = Scope(self.files.sources, self.files.problems, budget=self.budget)
        broken = [s for s in tree.statements if isinstance(s, syntax.Broken)]
        scope.is_broken = bool(broken)
        scope.lost_names = any(
            s.keyword in ("net", "import", "") or (s.keyword == "input" and not s.names)
            for s in broken
        )
        scope.dropped = tree.dropped
        header = _header(tree, scope, is_imported=settings is None)
        name, title = (header.name.text, header.title) if header else ("", "")
        definitions = Definitions(name, title, scope)
        for statement in tree.statements:
            if isinstance(statement, syntax.Block) and _declare(definitions, statement.name):
                if _check_parameters(statement, scope):
                    scope.blocks[statement.name.text] = Macro(statement, scope)
                else:
                    scope.bound[statement.name.text] = Unknown()
            elif isinstance(statement, syntax.Broken) and statement.keyword in _DEFINING:
                scope.bound |= {name.text: Unknown() for name in statement.names}
            elif isinstance(statement, syntax.Broken) and statement.keyword == "default":
                operators = [n.text for n in statement.names if n.text in OPERATORS]
                scope.lost_defaults.append((operators[0] if operators else "", ""))
        for statement in tree.statements:
            if isinstance(statement, syntax.Import):
                self._import(statement, tree, definitions)
        _parameters(tree, header, definitions, settings or {})
        scope.below = {s.name.text for s in tree.statements if isinstance(s, syntax.Let)}
        for statement in tree.statements:
            if isinstance(statement, syntax.Let):
                if _declare(definitions, statement.name):
                    scope.bound[statement.name.text] = value_or_unknown(statement.value, scope)
                scope.below.discard(statement.name.text)
            if isinstance(statement, Drawn) and _declare(definitions, statement.name):
                scope.bound[statement.name.text] = drawn(statement, scope)
        for statement in tree.statements:
            if isinstance(statement, syntax.Default):
                _default(statement, definitions)
        return definitions

    def _import(
        self, statement: syntax.Import, tree: syntax.Tree, definitions: Definitions
    ) -> None:
        """Import the blocks of another file; they use the names and defaults of that file."""
        scope = definitions.scope
        with self.files.reading(tree):
            library = self.files.find(statement.path)
            if library is None:
                scope.lost_names = True
                return
            if library.at not in self.imported:
                whole = derive(library, self.files)
                self.imported[library.at] = self.collect(whole, None).scope
        home = self.imported[library.at]
        scope.lost_names |= home.is_broken
        own = {name: macro for name, macro in home.blocks.items() if macro.home is home}
        if not own and not home.is_broken:
            message = f"`{library.source.name}` has no blocks to import"
            help = "an import gives the blocks that the file itself defines"
            scope.problem("NS012", message, statement.at, help=help)
            scope.lost_names = True
        for name, macro in own.items():
            first = definitions.spans.get(name)
            if first is not None:
                notes = [Note(f"first defined on line {first.line}", first)]
                message = f"the import brings a block `{name}`, which is defined already"
                help = "rename one of the two"
                scope.problem("NS110", message, statement.at, help=help, notes=notes)
            else:
                definitions.spans[name] = scope.span(macro.block.at)
                scope.blocks[name] = macro


_OF_NETS = (syntax.Input, syntax.Row, syntax.Head, syntax.Broken)
"""Statements of nets; a file without them is for imports."""

_DEFINING = ("block", "let", "connect", "codes")


def _header(tree: syntax.Tree, scope: Scope, *, is_imported: bool) -> syntax.Net | None:
    headers = [s for s in tree.statements if isinstance(s, syntax.Net)]
    if headers:
        return headers[0]
    is_lost = any(isinstance(s, syntax.Broken) and s.keyword == "net" for s in tree.statements)
    if not is_lost and not is_imported:
        message = "the file is empty" if not tree.statements else "the file does not name its net"
        at = tree.statements[0].at if tree.statements else tree.at
        help = 'begin with a line such as: net lenet5 "its title"'
        if tree.statements and not any(isinstance(s, _OF_NETS) for s in tree.statements):
            help = f"a file of definitions is for imports: check a net that imports it, or {help}"
        scope.problem("NS008", message, at, help=help)
    return None


def refuse_word(name: syntax.Name, scope: Scope) -> bool:
    """Report a name that would hide an operator or a word of values; return True if it would."""
    if name.text not in OPERATORS and name.text not in ("on", "off", CHANNELS):
        return False
    kind = "an operator" if name.text in OPERATORS else "a word of the language"
    message = f"`{name.text}` is {kind} and cannot be defined again"
    scope.problem("NS115", message, name.at, help="choose another name")
    return True


def _declare(definitions: Definitions, name: syntax.Name) -> bool:
    """Record the place of a definition; return False after reporting that it is not allowed."""
    scope = definitions.scope
    if refuse_word(name, scope):
        scope.bound[name.text] = Unknown()
        return False
    if name.text in definitions.spans:
        first = definitions.spans[name.text]
        notes = [Note(f"first defined on line {first.line}", first)]
        message = f"`{name.text}` is defined twice"
        scope.problem("NS110", message, name.at, help="rename one of the two", notes=notes)
        scope.bound[name.text] = Unknown()
        return False
    definitions.spans[name.text] = scope.span(name.at)
    return True


def _parameters(
    tree: syntax.Tree,
    header: syntax.Net | None,
    definitions: Definitions,
    settings: Mapping[str, Setting],
) -> None:
    """Bind the net's parameters, and the symbols in the dimensions of its inputs.

    Symbols are parameters without a default, and dimensions that begin with a capital and that
    nothing defines, unless ``settings`` has a value for them.
    """
    scope, parameters = definitions.scope, header.parameters if header else ()
    for parameter in parameters:
        name = parameter.name
        if not _declare(definitions, name):
            continue
        default: Value | Unknown = symbol(name.text)
        if parameter.default:
            default = value_or_unknown(parameter.default, scope)
        scope.bound[name.text] = default
        if not isinstance(default, Unknown):
            definitions.parameters[name.text] = default
        if name.text in settings:
            value = _setting(name.text, settings[name.text], default, scope)
            definitions.is_changed |= not is_symbolic(default) and value != default
            scope.bound[name.text] = value
    known = [p.name.text for p in parameters]
    lets = {s.name.text for s in tree.statements if isinstance(s, syntax.Let)}
    for name in _dimensions(tree):
        if name.text[0].isupper() and name.text not in scope.bound and name.text not in lets:
            default = symbol(name.text)
            known.append(name.text)
            is_set = name.text in settings
            value = _setting(name.text, settings[name.text], default, scope) if is_set else default
            scope.bound[name.text] = value
    for key in settings:
        if key not in known and not scope.is_broken:
            has = f"its parameters are {', '.join(known)}" if known else "it has no parameters"
            span = Span(Source(f"--set {key}", key), 0, len(key))
            message = f"the net has no parameter `{key}`"
            help = did_you_mean(key, known) or has
            scope.problems.add("NS120", message, span, help=help)


def _dimensions(tree: syntax.Tree) -> Iterator[syntax.Name]:
    """Yield the names that are dimensions of inputs."""
    for statement in tree.statements:
        if isinstance(statement, syntax.Input):
            for dimension in statement.size.dimensions:
                if isinstance(dimension, syntax.Name):
                    yield dimension


def _setting(key: str, setting: Setting, default: Value | Unknown, scope: Scope) -> Value | Unknown:
    if isinstance(setting, bool):
        return ON if setting else OFF
    if isinstance(setting, float) and not isfinite(setting):
        span = Span(Source(f"--set {key}", str(setting)), 0, len(str(setting)))
        message, help = "this number is out of range", "give a finite number"
        scope.problems.add("NS007", message, span, help=help)
        return Unknown()
    if isinstance(setting, int | float | Fraction):
        exact = Fraction(str(setting))
        return int(exact) if exact.denominator == 1 else exact
    if isinstance(setting, Kernel | Word):
        return setting
    source = Source(f"--set {key}", str(setting).strip())
    node = parse_value(source, scope.problems, scope.sources.add(source))
    outside = Scope(scope.sources, scope.problems, blocks=scope.blocks)
    if node is None:
        return Unknown()
    value = value_or_unknown(node, outside)
    if isinstance(value, Word) and not scope.knows_word(value.text):
        free = isinstance(default, Word) and not scope.knows_word(default.text)
        if not free:  # otherwise the net has words of its own for this parameter
            names = [*OPERATORS, *WORDS, *scope.blocks]
            guess = scope.problems.did_you_mean(value.text, names)
            help = guess or "give a number, a kernel, an operator, a block, on or off"
            outside.problem("NS113", f"`{value.text}` is not defined", node.at, help=help)
            return Unknown()
    return value


def _check_parameters(block: syntax.Block, scope: Scope) -> bool:
    """Report parameters that cannot have their names; return True if there are none."""
    is_right = True
    seen: set[str] = set()
    for parameter in block.parameters:
        name = parameter.name
        is_right &= not refuse_word(name, scope)
        if name.text in seen:
            message = f"`{name.text}` is defined twice"
            scope.problem("NS110", message, name.at, help="rename one of the two")
            is_right = False
        seen.add(name.text)
    return is_right


def _default(statement: syntax.Default, definitions: Definitions) -> None:
    scope = definitions.scope
    operator = ""
    if statement.operator is not None:
        operator = statement.operator.text
        if operator not in OPERATORS:
            help = foreign.operator(operator) or did_you_mean(operator, OPERATORS)
            help = help or "a default is for an operator: `netspec ops` lists them"
            at = statement.operator.at
            scope.problem("NS112", f"there is no operator `{operator}`", at, help=help)
            scope.lost_defaults += [("", a.key.text) for a in statement.arguments if a.key]
            return
    operators = [OPERATORS[operator]] if operator else list(OPERATORS.values())
    known = {a.name for r in operators for a in r.attributes() if not a.is_positional}
    for argument in statement.arguments:
        assert argument.key is not None
        key = argument.key
        if key.text not in known:
            whose = f"{operator} has" if operator else "no operator has"
            message = f"{whose} {'no ' if operator else ''}`{key.text}` that may have a default"
            help = foreign.attribute(key.text, known) or did_you_mean(key.text, known)
            help = help or "`netspec ops` lists operators and attributes"
            scope.problem("NS130", message, key.at, help=help)
            scope.lost_defaults.append((operator, ""))
        elif (operator, key.text) in scope.defaults:
            first = scope.span(scope.defaults[operator, key.text][0].at)
            notes = [Note(f"first given on line {first.line}", first)]
            message = f"the default `{key.text}` is given twice"
            scope.problem("NS131", message, argument.at, help="keep one of the two", notes=notes)
            scope.lost_defaults.append((operator, key.text))
        elif _is_readable(argument, operators, scope):
            scope.defaults[operator, key.text] = (argument, scope)
        else:
            scope.lost_defaults.append((operator, key.text))


def _is_readable(
    argument: syntax.Argument, operators: Sequence[type[Operator]], scope: Scope
) -> bool:
    """Return True if a default is valid for its attribute; report it once if it is not."""
    assert argument.key is not None
    key = argument.key.text
    operator, attribute = next((r, a) for r in operators for a in r.attributes() if a.name == key)
    try:
        read(operator, attribute, argument, scope)
    except Reported:
        return False
    return True
