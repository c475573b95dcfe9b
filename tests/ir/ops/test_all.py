from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import netspec.ir.ops
from netspec.ir.operator import Operator, pool_padding
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.parameter_names import RESERVED
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.values import Codes
from tests.ir.ops.helpers import images, random_buffers, random_parameters

MAP = Shape((4, 5, 6))
REQUIRED = {
    "kernel": Kernel(3, 1), "count": 4, "rate": 0.5, "n": 3, "eps": 1e-3, "by": "mean",
    "sigma": 1.5, "codes": Codes("digits", 4, 30, ((1,) * 120, (-1,) * 120)),
}  # fmt: skip
NAMES = [operator.name for operator in pkgutil.iter_modules(netspec.ir.ops.__path__)]

every_operator = pytest.mark.parametrize("kind", OPERATORS.values(), ids=OPERATORS)


def sample(kind: type[Operator]) -> Operator:
    return kind(**{a.name: REQUIRED[a.name] for a in kind.attributes() if a.is_required})


def operands(kind: type[Operator]) -> list[Shape]:
    return [MAP] * (2 if kind.takes == "many" else 1)


def test_the_operators_are_those_of_the_language() -> None:
    assert set(OPERATORS) == {
        *("conv", "local", "fc", "maxpool", "avgpool", "gap", "subsample", "lrn", "lcn", "bn"),
        "rbf",
        *("relu", "tanh", "sigmoid", "abs", "dropout", "softmax"),
        *("concat", "add", "flatten", "identity"),
    }


def test_every_operator_holds_the_operator_it_is_named_after() -> None:
    assert {name: kind.__module__ for name, kind in OPERATORS.items()} == {
        operator: f"netspec.ir.ops.{operator}" for operator in NAMES
    }


@pytest.mark.parametrize("operator", NAMES)
def test_every_operator_has_a_test_file(operator: str) -> None:
    assert Path(__file__).with_name(f"test_{operator}.py").is_file()


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
    assert kind.is_trained == bool(sample(kind).parameters(operands(kind)))


@every_operator
def test_the_shape_rule_says_what_the_reference_makes(kind: type[Operator]) -> None:
    op, inputs = sample(kind), operands(kind)
    tensors = random_parameters(op, inputs) | random_buffers(op, inputs)
    x = [images(shape, batch=3) for shape in inputs]
    for reference in (op.reference, op.training_reference):
        assert tuple(reference(inputs, *x, **tensors).shape) == (3, *op.shape(inputs).torch)


@every_operator
def test_no_label_can_take_the_place_of_a_parameter(kind: type[Operator]) -> None:
    op, inputs = sample(kind), operands(kind)
    assert {*op.parameters(inputs), *op.buffers(inputs)} <= RESERVED


def test_importing_the_operators_does_not_import_torch() -> None:
    program = "import sys, netspec.ir.ops; print('torch' in sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert printed.strip() == "False"


MODULES = {
    **{
        word: (kind(), MAP)
        for word, kind in OPERATORS.items()
        if word in ("relu", "sigmoid", "tanh", "softmax")
    },
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
