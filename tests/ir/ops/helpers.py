"""What the tests of operators share: random tensors, drawn windows, and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, reject
from hypothesis import strategies as st
from torch import Tensor

from netspec import loads
from netspec.ir.operator import Operator
from netspec.ir.shapes import Kernel, Pair, Shape, ShapeError

Test = Callable[..., None]

HEADER = "net example\ninput image 9x8x6\n"
CODES = "codes signs 2x2 {\nXX .X .. \n.X XX .X \n}\n"


def example_rows(kind: type[Operator]) -> str:
    """The rows of a spec that ``HEADER`` begins, with the operator's example."""
    file = f"netspec/ir/ops/{kind.name}.py"
    assert "example" in vars(kind), (
        f"{file}: {kind.__name__} needs an example of its own, stages as a spec writes them after "
        f'a map of 9x8x6: example = "{kind.name}"'
    )
    return f"{CODES if 'signs' in kind.example else ''}a: {kind.example}\n"


@cache
def sample(kind: type[Operator]) -> tuple[Operator, list[Shape]]:
    """The operator of its example, and the shapes of its operands there."""
    graph = loads(HEADER + example_rows(kind), "example.net").graph
    stages = [stage for stage in graph.stages() if type(stage.op) is kind]
    assert stages, f"the example of {kind.name} has no {kind.name}: {kind.example}"
    inputs = [graph.stage(name).known_shape for name in graph.operands(stages[-1].name)]
    return stages[-1].op, inputs


def normal(*size: int, seed: int = 0) -> Tensor:
    """Float64 values from N(0, 1)."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size))


def images(shape: Sequence[int], batch: int = 2, seed: int = 0) -> Tensor:
    """A random batch of the shape, in PyTorch's order of axes."""
    return normal(batch, *Shape(shape).torch, seed=seed)


def random_parameters(op: Operator, inputs: Sequence[Shape]) -> dict[str, Tensor]:
    parameters = op.parameters(inputs).items()
    return {name: normal(*p.shape, seed=seed) for seed, (name, p) in enumerate(parameters, start=1)}


def random_buffers(op: Operator, inputs: Sequence[Shape]) -> dict[str, Tensor]:
    """Positive, so that they pass for variances."""
    buffers = op.buffers(inputs).items()
    return {name: normal(*b.shape, seed=9 + i).exp() for i, (name, b) in enumerate(buffers)}


def assert_same(actual: Tensor, expected: Tensor | np.ndarray) -> None:
    """Equal up to the order of float64 operations.

    One operation is exact to 1.1e-16.  The tests add at most a hundred terms of size one, so
    another order of adding moves a sum by some 1e-14, and 1e-12 leaves room without hiding a
    wrong term.
    """
    torch.testing.assert_close(actual, torch.as_tensor(expected), rtol=1e-12, atol=1e-12)


def assert_elementwise(op: Operator, formula: Callable[[float], float], x: Tensor) -> None:
    """The operator maps every value by ``formula``, and keeps the shape."""
    inputs = [shape_of(x)]
    assert op.shape(inputs) == inputs[0]
    expected = np.vectorize(formula, otypes=[float])(x.numpy())
    assert_same(op.reference(inputs, x), expected)


def shape_of(x: Tensor) -> Shape:
    """The shape of one image of the batch."""
    size = tuple(x.shape[1:])
    return Shape((size[1], size[2], size[0]) if len(size) == 3 else size)


def assert_gradients(op: Operator, *x: Tensor, training: bool = False) -> None:
    """The gradients for operands and parameters agree with finite differences."""
    inputs = [shape_of(operand) for operand in x]
    parameters, buffers = random_parameters(op, inputs), random_buffers(op, inputs)

    def run(*tensors: Tensor) -> Tensor:
        named = dict(zip(parameters, tensors[len(x) :], strict=True)) | buffers
        reference = op.training_reference if training else op.reference
        return reference(inputs, *tensors[: len(x)], **named)

    leaves = [tensor.clone().requires_grad_() for tensor in (*x, *parameters.values())]
    assert torch.autograd.gradcheck(run, leaves)


def refusal(op: Operator, *inputs: Sequence[int]) -> ShapeError:
    """The error that the shape rule raises."""
    with pytest.raises(ShapeError) as caught:
        op.shape([Shape(shape) for shape in inputs])
    return caught.value


def mistakes(op: Operator) -> list[tuple[str, str]]:
    """The code and the attribute of every mistake."""
    return [(code, attribute) for code, attribute, _ in op.mistakes()]


def written_mistakes(kind: type[Operator], **written: Any) -> list[tuple[str, str]]:
    """The same for attributes as a spec may write them."""
    errors = (*kind.written_mistakes(written), *kind(**written).mistakes())
    return [(code, attribute) for code, attribute, _ in errors]


@dataclass(frozen=True)
class Sliding:
    """A map's height and width, and a window that slides over it."""

    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    round: str = "floor"

    @property
    def attributes(self) -> dict[str, Any]:
        """What makes an operator slide this window; not all operators have a dilation."""
        kernel = Kernel(*self.kernel)
        return {"kernel": kernel, "stride": self.stride, "pad": self.pad, "round": self.round}

    def shape(self, channels: int) -> Shape:
        return Shape((*self.size, channels))

    def taps(self, i: int, j: int, pad: Sequence[int] = (0,) * 4) -> Iterator[tuple[int, ...]]:
        """The taps (u, v, row, column) of window (i, j) on the map, or on the map and ``pad``."""
        top, bottom, left, right = pad
        for u, v in np.ndindex(*self.kernel):
            row = i * self.stride[0] + u * self.dilation[0] - self.pad[0]
            column = j * self.stride[1] + v * self.dilation[1] - self.pad[2]
            inside = -top <= row < self.size[0] + bottom
            if inside and -left <= column < self.size[1] + right:
                yield u, v, row, column


def fitting_shape(op: Operator, *inputs: Shape) -> Shape:
    """The output's shape; a drawn case whose window does not fit is drawn again."""
    try:
        return op.shape(inputs)
    except ShapeError:
        reject()


@st.composite
def _slidings(draw: st.DrawFn, dilations: int) -> Sliding:
    def pair(low: int, high: int) -> Pair:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, dilation = pair(1, 3), pair(1, dilations)
    sizes, pad = [], []
    for taps, apart in zip(kernel, dilation, strict=True):
        reach = (taps - 1) * apart
        before, after = pair(0, reach)
        smallest = max(apart, reach + 1 - before - after)
        sizes.append(draw(st.integers(smallest, smallest + 4)))
        pad += [before, after]
    return Sliding(
        size=(sizes[0], sizes[1]),
        kernel=kernel,
        stride=pair(1, 4),
        pad=(pad[0], pad[1], pad[2], pad[3]),
        dilation=dilation,
        round=draw(st.sampled_from(["floor", "ceil"])),
    )


ODD_SLIDINGS = (
    Sliding(size=(1, 1), kernel=(1, 1)),
    Sliding(size=(1, 1), kernel=(3, 3), pad=(1, 1, 1, 1)),
    Sliding(size=(5, 6), kernel=(1, 2), stride=(2, 4)),
    Sliding(size=(4, 5), kernel=(3, 2), pad=(2, 0, 0, 1)),
    Sliding(size=(6, 5), kernel=(3, 2), stride=(2, 2), round="ceil"),
    Sliding(size=(5, 4), kernel=(2, 3), stride=(3, 2), pad=(1, 0, 0, 2), round="ceil"),
)
DILATED_SLIDINGS = (
    Sliding(size=(5, 6), kernel=(2, 3), dilation=(3, 2)),
    Sliding(size=(6, 6), kernel=(2, 2), stride=(2, 3), dilation=(2, 1), round="ceil"),
)


def over_windows(*, dilations: int = 1) -> Callable[[Test], Test]:
    """Run a test over drawn windows, and always over the odd ones.

    Padding stays below the kernel, as a window further out would see no input.
    """

    def decorate(test: Test) -> Test:
        for case in ODD_SLIDINGS + (DILATED_SLIDINGS if dilations > 1 else ()):
            test = example(sliding=case)(test)
        return given(sliding=_slidings(dilations))(test)

    return decorate
