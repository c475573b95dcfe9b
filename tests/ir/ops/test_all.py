from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import netspec.ir.ops
from netspec import loads
from netspec.ir.operator import Operator, pool_padding
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.parameter_names import RESERVED
from netspec.ir.shapes import Kernel, Shape
from tests.ir.ops.helpers import (
    HEADER,
    example_rows,
    images,
    random_buffers,
    random_parameters,
    sample,
)

MAP = Shape((4, 5, 6))
NAMES = [operator.name for operator in pkgutil.iter_modules(netspec.ir.ops.__path__)]

every_operator = pytest.mark.parametrize("kind", OPERATORS.values(), ids=OPERATORS)


def test_every_operator_holds_the_operator_it_is_named_after() -> None:
    assert {name: kind.__module__ for name, kind in OPERATORS.items()} == {
        operator: f"netspec.ir.ops.{operator}" for operator in NAMES
    }


def test_every_operator_has_a_test_file_and_every_test_file_an_operator() -> None:
    files = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    missing = {f"tests/ir/ops/test_{name}.py" for name in {*OPERATORS} - files}
    assert not missing, f"write {missing}, which holds the reference against loops in float64"
    assert files - {*OPERATORS} == {"all"}


@every_operator
def test_every_test_file_compares_gradients_with_finite_differences(kind: type[Operator]) -> None:
    test = Path(__file__).parent / f"test_{kind.name}.py"
    assert "assert_gradients(" in test.read_text(encoding="utf-8")


@every_operator
def test_the_example_is_a_net_whose_last_operator_it_is(kind: type[Operator]) -> None:
    rows = HEADER + example_rows(kind)
    graph = loads(rows).graph
    assert type(graph.stage(graph.outputs[0]).op) is kind, kind.example


@every_operator
def test_the_bound_of_the_result_is_said(kind: type[Operator]) -> None:
    assert kind.growth is not Operator.growth, (
        f"netspec/ir/ops/{kind.name}.py: define growth, how much the result can exceed the "
        "operands; return UNKNOWN if there is no bound"
    )


@every_operator
def test_the_first_line_of_the_docstring_is_a_sentence(kind: type[Operator]) -> None:
    first, *_ = inspect.cleandoc(kind.__doc__ or "").split("\n")
    assert first.endswith(".")


@every_operator
def test_every_attribute_has_a_help_text(kind: type[Operator]) -> None:
    assert [a.name for a in kind.attributes() if not a.help.strip()] == []


@every_operator
def test_positional_attributes_come_first(kind: type[Operator]) -> None:
    places = [a.is_positional for a in kind.attributes()]
    assert places == sorted(places, reverse=True)


@every_operator
def test_trained_operators_are_those_with_parameters(kind: type[Operator]) -> None:
    op, inputs = sample(kind)
    assert kind.is_trained == bool(op.parameters(inputs))


@every_operator
def test_the_shape_rule_says_what_the_reference_makes(kind: type[Operator]) -> None:
    op, inputs = sample(kind)
    tensors = random_parameters(op, inputs) | random_buffers(op, inputs)
    x = [images(shape, batch=3) for shape in inputs]
    for reference in (op.reference, op.training_reference):
        assert tuple(reference(inputs, *x, **tensors).shape) == (3, *op.shape(inputs).torch)


@every_operator
def test_no_label_can_take_the_place_of_a_parameter(kind: type[Operator]) -> None:
    op, inputs = sample(kind)
    assert {*op.parameters(inputs), *op.buffers(inputs)} <= RESERVED


def test_importing_the_operators_does_not_import_torch() -> None:
    program = "import sys, netspec.ir.ops; print('torch' in sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert printed.strip() == "False"


MODULES = {
    **{
        word: (kind(), MAP)
        for word, kind in OPERATORS.items()
        if word in ("relu", "relu6", "sigmoid", "tanh", "softmax")
        or word in ("silu", "hardsigmoid", "hardswish")
    },
    "clip": (OPERATORS["clip"](low=-0.5, high=1.5), MAP),
    "leaky_relu": (OPERATORS["leaky_relu"](slope=0.2), MAP),
    "elu": (OPERATORS["elu"](alpha=0.7), MAP),
    **{f"gelu {form}": (OPERATORS["gelu"](form=form), MAP) for form in ("exact", "tanh")},
    "softmax of a vector": (OPERATORS["softmax"](), Shape((7,))),
    **{
        f"maxpool {kernel}/{stride} {pad} {round}": (
            OPERATORS["maxpool"](kernel=Kernel(kernel, kernel, None, stride), pad=pad, round=round),
            size,
        )
        for kernel in (1, 2, 3)
        for stride in (1, 2, 3)
        for pad in ((0, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1))
        for round in ("floor", "ceil")
        for size in (Shape((7, 8, 2)),)
        if max(pad) < kernel
    },
}


@pytest.mark.parametrize(("op", "size"), MODULES.values(), ids=MODULES)
def test_pytorchs_own_module_computes_the_same_to_the_bit(op: Operator, size: Shape) -> None:
    x = images(size).requires_grad_()
    module = op.module([size])
    y = op.reference([size], x)
    if module is None:
        assert isinstance(op, MaxPool)
        assert pool_padding(op.windows([size])) is None
        return
    z = module(x)
    assert torch.equal(y, z)
    dy = images(op.shape([size]), seed=1)
    gradients = [torch.autograd.grad(out, x, dy)[0] for out in (y, z)]
    assert torch.equal(*gradients)


def test_there_is_no_module_for_what_pytorch_does_not_have() -> None:
    assert OPERATORS["tanh"](scale=1.7159).module([MAP]) is None
    assert OPERATORS["tanh"](slope=0.5).module([MAP]) is None
