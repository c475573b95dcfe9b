"""Plans, run over an arena of numbers that say whose values they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netspec import loads
from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Graph, Stage
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.relu import Relu
from netspec.ir.shapes import Shape
from netspec.lowering.passes import optimise
from netspec.lowering.plan import COPY, Ability, Plan, is_view
from netspec.lowering.plan import plan as make_plan
from tests.examples import examples
from tests.helpers import load_rows
from tests.lowering.passes.strategy import specs

Tags = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""[pixels, channels]: a number for each element, different in every stage."""

EVERYTHING = Ability(into_slices=True, apart=True)


# ----------------------------------------------------------------------------------- simulation


def sides(shape: Shape) -> tuple[int, int]:
    return shape.elements // shape.channels, shape.channels


def values(graph: Graph) -> dict[str, Tags]:
    """What each stage holds, as it would lie in memory of its own."""
    tags: dict[str, Tags] = {}
    count = 0
    for stage in graph.stages():
        read = [tags[operand] for operand in graph.operands(stage.name)]
        if isinstance(stage.op, Slice):
            tags[stage.name] = read[0][:, stage.op.start :][:, : stage.op.count]
        elif isinstance(stage.op, Concat):
            tags[stage.name] = np.concatenate(read, axis=1)
        elif is_view(graph, stage.name):
            tags[stage.name] = read[0].reshape(sides(stage.known_shape))
        else:
            size = stage.known_shape.elements
            tags[stage.name] = np.arange(count, count + size).reshape(sides(stage.known_shape))
            count += size
    return tags


class Simulation:
    """An arena, in which every read is checked."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.values = graph, plan, values(graph)
        self.memory = np.full(plan.arena, -1)

    def place(self, number: int) -> Tags:
        """The memory of a slot."""
        slot = self.plan.slots[number]
        buffer = self.plan.buffers[slot.buffer]
        whole = self.memory[buffer.offset :][: buffer.shape.elements].reshape(sides(buffer.shape))
        part = whole[:, slot.start :][:, : slot.shape.channels]
        assert part.shape == sides(slot.shape)
        return part

    def write(self, number: int) -> None:
        self.place(number)[:] = self.values[self.plan.slots[number].stage]

    def read(self, number: int) -> None:
        slot = self.plan.slots[number]
        assert np.array_equal(self.place(number), self.values[slot.stage]), slot

    def copy(self, name: str, reads: tuple[int, ...], into: int) -> None:
        """Write the parts of a concatenation that were not written in place."""
        left, start = list(reads), 0
        whole = self.plan.slots[into]
        for operand in self.graph.operands(name):
            count = self.graph.stage(operand).known_shape.channels
            if left and self.plan.slots[left[0]].stage == operand:
                self.place(into)[:, start : start + count] = self.values[operand]
                left.pop(0)
            else:
                (there,) = (s for s in self.plan.slots if s.stage == operand)
                assert (there.buffer, there.start) == (whole.buffer, whole.start + start)
            start += count
        assert not left

    def run(self) -> None:
        for number in self.plan.inputs:
            self.write(number)
        for step in self.plan.steps:
            for number in step.reads:
                self.read(number)
            if step.op == Concat.name:
                self.copy(step.stage, step.reads, *step.writes)
            else:
                for number in step.writes:
                    self.write(number)
            for number in step.reads:  # a step must not write over what it reads
                self.read(number)
            for number in step.frees:
                self.place(number)[:] = -2
        for number in self.plan.outputs:
            self.read(number)


def planned(graph: Graph, abilities: dict[str, Ability]) -> Plan:
    chosen = {
        stage.name: f"implementation of {stage.op.name}"
        for stage in graph.stages()
        if graph.operands(stage.name) and not is_view(graph, stage.name)
    }
    plan = make_plan(graph, chosen, abilities)
    Simulation(graph, plan).run()
    assert_freed_when_last_used(plan)
    assert [plan.slots[i].stage for i in plan.inputs] == graph.inputs
    assert [plan.slots[i].stage for i in plan.outputs] == graph.outputs
    assert len({slot.stage for slot in plan.slots}) == len(plan.slots)
    assert plan.bound <= plan.arena <= plan.total
    return plan


def assert_freed_when_last_used(plan: Plan) -> None:
    uses: dict[int, int] = {}
    for number, step in enumerate(plan.steps):
        uses |= {plan.slots[i].buffer: number for i in (*step.reads, *step.writes)}
    kept = {plan.slots[i].buffer for i in plan.outputs}
    for number, step in enumerate(plan.steps):
        ended = [b for b, last in uses.items() if last == number and b not in kept]
        assert sorted(step.frees) == [i for i, s in enumerate(plan.slots) if s.buffer in ended]


def all_able(graph: Graph) -> dict[str, Ability]:
    return {stage.name: EVERYTHING for stage in graph.stages() if stage.name not in graph.inputs}


def steps(plan: Plan) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Stage, reads and writes of each step, by the labels of rows of one operator each."""
    named = [label(slot.stage) for slot in plan.slots]
    return [
        (label(s.stage), tuple(named[i] for i in s.reads), tuple(named[i] for i in s.writes))
        for s in plan.steps
    ]


def label(stage: str) -> str:
    return stage.partition(".")[0]


# ------------------------------------------------------------------------------------- any net


@given(specs(), st.data())
@examples(150)
def test_every_step_reads_what_was_written(text: str, data: st.DataObject) -> None:
    graph = optimise(loads(text).graph).graph
    able = st.builds(Ability, st.booleans(), st.booleans())
    planned(graph, {name: data.draw(able, name) for name in all_able(graph)})


def test_a_view_is_not_written_in_place_although_it_is_said_to_be_able() -> None:
    graph = loads("net n\ninput x 2x2x3\na: fc 3\nb from a: flatten\nc from b, a: concat\n").graph
    planned(graph, all_able(graph))


@given(specs())
@examples(50)
def test_a_net_without_passes_and_abilities_has_a_buffer_for_each_value(text: str) -> None:
    graph = loads(text).graph
    plan = planned(graph, {})
    views = [stage.name for stage in graph.stages() if is_view(graph, stage.name)]
    assert len(plan.buffers) == len(graph) - len(views)
    assert [s.stage for s in plan.steps] == [
        s.name for s in graph.stages() if graph.operands(s.name) and s.name not in views
    ]


# ------------------------------------------------------------------------------------ one thing


BRANCHES = "a: conv 1x1, 4 | tanh\nb: concat { conv 1x1, 2; tanh; maxpool 3x3/1, pad=1 }"


def test_parts_of_a_concatenation_are_written_in_place() -> None:
    graph = load_rows(BRANCHES).graph
    plan = planned(graph, all_able(graph))
    assert [s.op for s in plan.steps] == ["conv", "tanh", "conv", "tanh", "maxpool"]
    whole = plan.outputs[0]
    places = {s.stage: (s.buffer, s.start) for s in plan.slots}
    buffer = plan.slots[whole].buffer
    parts = [places[name] for name in graph.operands(graph.find("b"))]
    assert parts == [(buffer, 0), (buffer, 2), (buffer, 6)]
    assert [s.frees for s in plan.steps] == [(0,), (1,), (), (), (2,)]


def test_a_part_that_cannot_be_written_in_place_is_copied() -> None:
    graph = load_rows(BRANCHES).graph
    able = all_able(graph)
    (name,) = (s.name for s in graph.stages() if s.op.name == "maxpool")
    able[name] = Ability()
    plan = planned(graph, able)
    last = plan.steps[-1]
    assert (last.op, last.implementation) == ("concat", "implementation of concat")
    assert [plan.slots[i].stage for i in last.reads] == [name]


def test_an_operand_that_is_read_twice_is_copied() -> None:
    graph = load_rows("a: relu\nb: tanh\nc from a, b, a: concat").graph
    plan = planned(graph, all_able(graph))
    assert steps(plan)[-1] == ("c", ("a", "a"), ("c",))


def test_a_part_of_two_concatenations_is_in_place_in_the_first() -> None:
    rows = "a: relu\nb from image: tanh\nc from a, b: concat\nd from b, a: concat\noutput c, d"
    graph = load_rows(rows).graph
    plan = planned(graph, all_able(graph))
    assert steps(plan)[-1] == ("d", ("b", "a"), ("d",))


def test_concatenations_lie_in_each_other() -> None:
    rows = "a: relu\nb from image: tanh\nc from a, b: concat\nd from b: abs\n"
    graph = load_rows(rows + "e from d, c: concat\nf from c: relu\ng from e, f: concat").graph
    plan = planned(graph, all_able(graph))
    places = {label(s.stage): (s.buffer, s.start) for s in plan.slots}
    (buffer, _), *_ = {places["g"]}
    wanted = {"g": 0, "e": 0, "d": 0, "c": 3, "a": 3, "b": 6, "f": 9}
    assert {name: places[name] for name in wanted} == {n: (buffer, s) for n, s in wanted.items()}
    assert "concat" not in [s.op for s in plan.steps]


SIBLINGS = "a: concat { conv 1x1, 2; conv 1x1, 3 | conv 3x3, 4, pad=1 }"


def test_siblings_are_views_of_one_product() -> None:
    graph = optimise(load_rows(SIBLINGS).graph).graph
    plan = planned(graph, {})
    assert [s.op for s in plan.steps] == ["conv", "conv", "concat"]
    product = plan.steps[0].writes[0]
    slices = [s for s in plan.slots if isinstance(graph.stage(s.stage).op, Slice)]
    assert [(s.buffer, s.start) for s in slices] == [
        (plan.slots[product].buffer, 0),
        (plan.slots[product].buffer, 2),
    ]


def test_siblings_are_written_apart_one_of_them_in_place() -> None:
    graph = optimise(load_rows(SIBLINGS).graph).graph
    plan = planned(graph, all_able(graph))
    assert [s.op for s in plan.steps] == ["conv", "conv"]
    first, second = (plan.slots[i] for i in plan.steps[0].writes)
    assert (first.buffer, first.start) == (plan.slots[plan.outputs[0]].buffer, 0)
    assert second.buffer != first.buffer


def test_what_is_read_whole_is_not_written_apart() -> None:
    graph = load_rows("a: conv 1x1, 4\nb: relu").graph
    plan = planned(graph, all_able(graph))
    assert steps(plan) == [("a", ("image",), ("a",)), ("b", ("a",), ("b",))]


def test_what_is_read_in_slices_and_whole_is_not_written_apart() -> None:
    graph = optimise(load_rows(SIBLINGS).graph).graph
    (product,) = (s for s in graph.stages() if "+" in s.name)
    whole = Stage("whole", Relu(), product.span, shape=product.shape)
    graph.add(whole, (product.name,))
    graph.outputs.append("whole")
    plan = planned(graph, all_able(graph))
    assert [plan.slots[i].stage for i in plan.steps[0].writes] == [product.name]


def test_a_vector_of_a_single_pixel_is_a_view_and_of_a_map_is_not() -> None:
    graph = load_rows("a: gap\nb: flatten\nc from image: flatten\noutput b, c").graph
    plan = planned(graph, {})
    assert [label(s.stage) for s in plan.steps] == ["a", "c"]
    places = {label(s.stage): s.buffer for s in plan.slots}
    assert places["a"] == places["b"] != places["c"]


def test_outputs_are_kept_also_when_they_are_read_or_stand_there_twice() -> None:
    graph = load_rows("a: relu\nb: tanh\noutput b, a, image").graph
    graph.outputs.append(graph.find("a"))
    plan = planned(graph, all_able(graph))
    assert [s.frees for s in plan.steps] == [(), ()]
    assert {b.last for b in plan.buffers} == {2}


def test_an_input_can_be_the_output() -> None:
    graph = optimise(load_rows("a: identity").graph).graph
    plan = planned(graph, {})
    assert plan.inputs == plan.outputs == (0,)
    assert plan.steps == ()


def test_without_a_choice_a_concatenation_copies() -> None:
    graph = load_rows("a: relu\nb from image, a: concat").graph
    assert make_plan(graph, {"a.relu": "torch"}, {}).steps[-1].implementation == COPY


def test_a_plan_is_data() -> None:
    graph = load_rows("a: relu").graph
    plan = make_plan(graph, {"a.relu": "torch"}, {})
    assert plan == make_plan(graph, {"a.relu": "torch"}, {})
    data = plan.as_json()
    assert data["slots"][1] == {"stage": "a.relu", "shape": (8, 8, 3), "buffer": 1, "start": 0}
    assert data["steps"][0] == {
        "stage": "a.relu", "op": "relu", "implementation": "torch",
        "reads": (0,), "writes": (1,), "frees": (0,),
    }  # fmt: skip
    assert (data["arena"], data["bound"], data["total"]) == (384, 384, 384)
