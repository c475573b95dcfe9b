"""Syntax tree to graph: rows become named stages, connected by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netspec.ir.expects import Expects
from netspec.ir.graph import Columns, Graph, Head, Input, Row, Stage
from netspec.ir.ops.identity import Identity
from netspec.ir.recipe import Recipe
from netspec.ir.symbols import is_symbolic, may_count
from netspec.ir.values import Value, describe
from netspec.language import claims as claimed
from netspec.language import expressions, syntax
from netspec.language.binding import Bound
from netspec.language.body import Body, Label, Operands
from netspec.language.definitions import Definitions, Setting, collect, refuse_word
from netspec.language.diagnostics import Note
from netspec.language.expand import Expander, Lost, Plan, Planned, PlannedRows
from netspec.language.expects import read_expects
from netspec.language.files import Files
from netspec.language.limits import MAX_STAGES
from netspec.language.naming import Names, label_range
from netspec.language.recipe import read_recipe
from netspec.language.scope import Reported, Scope


class Elaborated(NamedTuple):
    """A net as a graph without shapes, with the other parts of its spec.

    Attributes:
        parameters: the parameters in the header with their defaults.
        is_changed: True if a setting differs from a default.
        documents: the printed tables and sentences, not checked yet.
        recipe: the learning recipe, if there is one.
        expects: the preparation of images and the names of classes.
    """

    name: str
    title: str
    graph: Graph
    parameters: Mapping[str, Value]
    is_changed: bool
    scope: Scope
    documents: tuple[syntax.Document, ...]
    recipe: Recipe | None
    expects: Expects


def elaborate(tree: syntax.Tree, files: Files, settings: Mapping[str, Setting]) -> Elaborated:
    """Return the graph of a syntax tree; mistakes are added to the problems of ``files``."""
    definitions = collect(tree, files, settings)
    scope, graph = definitions.scope, Graph()
    _Net(definitions, graph).statements(tree.statements)
    documents = tuple(s for s in tree.statements if isinstance(s, syntax.Document))
    recipe = read_recipe(tree.statements, graph, scope)
    expects = read_expects(tree.statements, graph, scope, files, recipe)
    return Elaborated(
        definitions.name,
        definitions.title,
        graph,
        definitions.parameters,
        definitions.is_changed,
        scope,
        documents,
        recipe,
        expects,
    )


class _Within(NamedTuple):
    """Properties of all stages of a row: its head, and whether it is inherited."""

    head: str
    is_inherited: bool


class _Net:
    """The graph of a net while its statements are elaborated."""

    def __init__(self, definitions: Definitions, graph: Graph) -> None:
        self.definitions = definitions
        self.graph = graph
        self.expander = Expander()

    # -------------------------------------------------------------------------------- statements

    def statements(self, statements: Sequence[syntax.Statement]) -> None:
        scope = self.definitions.scope
        body = Body(scope, "")
        outputs: list[syntax.Name] = []
        for statement in statements:
            if isinstance(statement, syntax.Input):
                self._input(statement, body)
            elif isinstance(statement, syntax.Row):
                self._row(statement, body)
            elif isinstance(statement, syntax.Head):
                self._head(statement, body)
            elif isinstance(statement, syntax.Output):
                outputs += statement.labels
            elif isinstance(statement, syntax.Claim):
                self.graph.claims += claimed.measures(statement.measures, scope, self.graph.claims)
            elif isinstance(statement, syntax.Columns):
                self._columns(statement, scope)
            elif isinstance(statement, syntax.Broken):
                self._broken(statement, body)
        self.graph.outputs += self._outputs(outputs, body, statements)

    def _input(self, statement: syntax.Input, body: Body) -> None:
        name = statement.name
        try:
            shape = expressions.shape(statement.size, body.scope)
            if any(is_symbolic(size) and not may_count(size) for size in shape):
                message = (
                    f"a dimension of an input must be a whole number, and {shape} may be a fraction"
                )
                help = "use // to divide and round down"
                raise body.scope.problem("NS142", message, statement.size.at, help=help)
            if len(shape) == 2:
                help = "write height x width x channels, or one number for a vector"
                message = f"an input has three dimensions or one, and this has {len(shape)}"
                raise body.scope.problem("NS142", message, statement.size.at, help=help)
        except Reported:
            body.define(name, None, "input")
            return
        if name.text not in body.labels:
            span = body.scope.span(name.at)
            size = {"size": body.scope.span(statement.size.at)}
            self.graph.add(Stage(name.text, Input(size=shape), span, spans=size))
            self.graph.inputs.append(name.text)
        body.define(name, (name.text,), "input")

    def _columns(self, statement: syntax.Columns, scope: Scope) -> None:
        try:
            count = expressions.whole(statement.number, scope, "the number of columns", minimum=1)
            if is_symbolic(count):
                message = f"the number of columns is {describe(count)}"
                help = "write the number of devices"
                raise scope.problem("NS142", message, statement.number.at, help=help)
        except Reported:
            return
        if self.graph.columns is not None:
            first = self.graph.columns.span
            notes = [Note(f"first given on line {first.line}", first)]
            message, help = "`columns` is given twice", "keep one of the two"
            scope.problem("NS131", message, statement.at, help=help, notes=notes)
            return
        self.graph.columns = Columns(count, scope.span(statement.at))

    def _broken(self, statement: syntax.Broken, body: Body) -> None:
        """Define the labels of a broken statement, so that they are not reported as missing.

        The rows after a lost one read an unknown size, so that no false size is reported for them.
        A statement without a known keyword may have been a row.
        """
        if statement.keyword in ("row", "input", "head"):
            for name in statement.names:
                label = body.define(name, None, statement.keyword)
                label.is_used = True
        if statement.keyword in ("row", ""):
            body.previous = Label(None, statement.at, "row", is_used=True)

    def _head(self, statement: syntax.Head, body: Body) -> None:
        scope, name = body.scope, statement.name
        operands = body.use(statement.source, "`from`")
        weight = 1.0
        for position, argument in enumerate(statement.arguments):
            assert argument.key is not None
            if position and argument.key.text == "weight":
                message = "`weight` is given twice"
                scope.problem("NS131", message, argument.at, help="keep one of the two")
                continue
            if argument.key.text != "weight":
                message = f"a head has no `{argument.key.text}`"
                scope.problem(
                    "NS130",
                    message,
                    argument.key.at,
                    help="the only attribute of a head is weight=",
                )
                continue
            try:
                value = expressions.number(argument.value, scope)
                if is_symbolic(value) or value < 0:
                    message = (
                        f"weight of a head: expected at least 0, and this is {describe(value)}"
                    )
                    help = "the loss adds the head's loss times its weight"
                    raise scope.problem("NS132", message, argument.value.at, help=help)
                weight = float(value)
            except Reported:
                pass
        label = body.define(name, None, "head")
        label.is_used = True
        if body.labels[name.text] is not label:
            return
        output = self._pipe_of_row(name, statement, body, operands, name.text)
        if output is not None and len(output) > 1:
            message = f"the head `{name.text}` ends in {len(output)} outputs"
            help = "a head is one classifier: join the outputs first"
            scope.problem("NS208", message, name.at, help=help)
        elif output is not None:
            self.graph.heads[name.text] = Head(name.text, output[0], weight)

    def _outputs(
        self,
        names: Sequence[syntax.Name],
        body: Body,
        statements: Sequence[syntax.Statement],
    ) -> tuple[str, ...]:
        if not any(isinstance(statement, syntax.Row) for statement in statements):
            if self.definitions.name and not body.scope.is_broken:
                help = "add rows such as `C1: conv 5x5, 6`"
                at = statements[0 if body.scope.dropped else -1].at
                body.scope.problem("NS009", "the net has no rows", at, help=help)
            return ()
        return body.returned(names, statements[-1].at) or ()

    # -------------------------------------------------------------------------------------- rows

    def _row(self, statement: syntax.Row, body: Body) -> None:
        operands = self._operands(statement, body)
        try:
            labels = self._labels(statement, body.scope)
        except Reported:
            names = tuple(name for name in (statement.first, statement.last) if name is not None)
            self._broken(syntax.Broken("row", names, statement.at), body)
            return
        for i, name in enumerate(labels):
            if i > 0 and body.previous is not None:
                body.previous.is_used = True
            label = body.define(name, None, "row")
            if body.labels.get(name.text) is label:
                label.operands = self._pipe_of_row(name, statement, body, operands)
            operands = label.operands
            body.previous = label

    def _operands(self, statement: syntax.Row, body: Body) -> Operands:
        """Return the stages that a row reads: those of the rows it names, or of the row before."""
        if statement.sources:
            return body.read(statement.sources, statement.at)
        if body.previous is not None:
            body.previous.is_used = True
            return body.previous.operands
        inputs = [name for name, label in body.labels.items() if label.kind == "input"]
        if len(inputs) == 1:
            return body.use(syntax.Name(inputs[0], statement.at), "`from`")
        body.is_broken = True
        if inputs:
            message = (
                f"the net has {len(inputs)} inputs, and the first row does not say which it reads"
            )
            help = f"name one, as in `{statement.first.text} from {inputs[0]}: ...`"
            body.scope.problem("NS119", message, statement.at, help=help)
        elif not body.scope.is_broken:
            help = "put `input image 224x224x3` above the first row"
            message = "the first row has no input to read"
            body.scope.problem("NS119", message, statement.at, help=help)
        return None

    def _labels(self, statement: syntax.Row, scope: Scope) -> list[syntax.Name]:
        """Return the labels of a row: one, or a range such as ``5b..5e`` or ``1..4``."""
        first, last = statement.first, statement.last
        if last is None:
            return [first]
        names = label_range(first.text, last.text)
        if names is None:
            message = f"`{first.text}..{last.text}` is not a range of labels"
            help = "a range counts the last letter or number up, as in 5b..5e or r1..r4"
            raise scope.problem("NS117", message, (first.at[0], last.at[1]), help=help)
        if len(names) > MAX_STAGES:
            message = f"`{first.text}..{last.text}` is {len(names):,} rows"
            help = f"a net has at most {MAX_STAGES:,} stages"
            raise scope.stop("NS005", message, (first.at[0], last.at[1]), help=help)
        return [syntax.Name(text, first.at) for text in names.labels()]

    def _pipe_of_row(
        self,
        name: syntax.Name,
        statement: syntax.Row | syntax.Head,
        body: Body,
        operands: Operands,
        head: str = "",
    ) -> Operands:
        """Add a row and its pipe to the graph; return the stages that it ends in."""
        pipe, label = statement.pipe, f"{body.prefix}{name.text}"
        is_inherited = body.is_inherited or statement.is_inherited
        head = head or body.head
        named = self.expander.named(pipe, body.scope)
        plans = [plan for _, planned in named for plan in planned]
        if not plans:
            plans = [Planned(Bound(Identity(), {}, {}), pipe.at, body.scope)]
        stages: list[str] = []
        output = self._add_plans(plans, label, operands, stages, _Within(head, is_inherited))
        own = [stage for plan in plans for stage in plan.placed]
        body.stages += stages
        body.own_stages += own
        claims = claimed.of_row(statement.claims, body.scope)
        if output is None or operands is None:
            return None
        if len(output) > 1 and any(claim.kind == "size" for claim in claims):
            message = (
                f"row {label} ends in {len(output)} outputs, so it does not have a single size"
            )
            help = "claim the sizes inside the block, or join the outputs first"
            body.scope.problem("NS208", message, name.at, help=help)
            return None
        span = body.scope.span(name.at)
        words = tuple(word for word, _ in named)
        is_inner = bool(body.prefix)
        self.graph.rows[label] = Row(
            label,
            span,
            words,
            operands,
            stages,
            own,
            output[-1],
            claims,
            head,
            is_inner,
            is_inherited,
        )
        return output

    # ------------------------------------------------------------------------------------ stages

    def _add_plans(
        self, plans: list[Plan], prefix: str, operands: Operands, stages: list[str], within: _Within
    ) -> Operands:
        """Add planned stages to the graph; return the stages that they end in."""
        names = Names(prefix, plans)
        for plan in plans:
            if isinstance(plan, Lost):
                operands = None
            elif isinstance(plan, PlannedRows):
                operands = self._inner_rows(plan, names.of_rows(plan), operands, stages, within)
            else:
                if plan.branches is not None:
                    ends = [
                        self._add_plans(branch, names.of_branch(), operands, stages, within)
                        for branch in plan.branches
                    ]
                    lost = any(end is None for end in ends)
                    operands = None if lost else tuple(n for end in ends for n in end or ())
                operands = self._add(plan, names.of(plan.bound.value), operands, stages, within)
        return operands

    def _add(
        self, plan: Planned, name: str, operands: Operands, stages: list[str], within: _Within
    ) -> Operands:
        if operands is None:
            return None
        (op, written, spans), scope = plan.bound, plan.scope
        if (op.takes == "one") != (len(operands) == 1):
            count = f"{len(operands)} inputs" if len(operands) > 1 else "one input"
            takes = "one input" if op.takes == "one" else "several"
            message = f"{op.name} takes {takes}, and has {count} here"
            help = "join several inputs with concat, add or mul: `LABEL from A, B: add | relu`"
            scope.problem("NS208", message, plan.at, help=help)
            return None
        if name in self.graph:
            message = f"two stages would have the name `{name}`"
            scope.problem("NS110", message, plan.at, help="change the label inside the block")
            return None
        span = scope.span(plan.at)
        stage = Stage(name, op, span, scope.calls, within.head, spans, written)
        self.graph.add(stage, operands)
        plan.placed.append(name)
        stages.append(name)
        return (name,)

    def _inner_rows(
        self, plan: PlannedRows, prefix: str, operands: Operands, stages: list[str], within: _Within
    ) -> Operands:
        """Add the rows of a block, with labels inside the row that calls it."""
        body = Body(plan.scope, f"{prefix}.", head=within.head, is_inherited=within.is_inherited)
        start = Label(operands, plan.block.at, "input", is_used=True)
        body.labels["input"] = body.previous = start
        outputs: list[syntax.Name] = []
        for statement in plan.body:
            if isinstance(statement, syntax.Row):
                self._row(statement, body)
            elif isinstance(statement, syntax.Let):
                self._inner_let(statement, plan.scope)
            else:
                outputs += statement.labels
        stages += body.stages
        plan.placed += body.own_stages
        return body.returned(outputs, plan.at)

    def _inner_let(self, statement: syntax.Let, scope: Scope) -> None:
        """Define a constant inside the rows of a block."""
        name = statement.name
        if name.text in scope.bound:
            message = f"`{name.text}` is defined twice"
            scope.problem("NS110", message, name.at, help="rename one of the two")
        if not refuse_word(name, scope):
            scope.bound[name.text] = expressions.value_or_unknown(statement.value, scope)
