"""Local response normalisation, alone and fused with a max-pool."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from netspec.backends.cuda.conv import geometry
from netspec.backends.cuda.implementation import Call, CudaImplementation
from netspec.backends.cuda.pools import lacks_dilation
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.kernels.lrn import forward, pooled
from netspec.kernels.windows import check_pixels
from netspec.lowering.implementation import Problem, Tensors
from netspec.lowering.plan import Ability


class TritonLrn(CudaImplementation):
    """LRN by netspec's kernel."""

    name = "triton"
    ability = Ability(into_slices=True)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, LocalResponseNorm)
        return forward.launches(x[0], y[0], *attributes(problem.op))


class TritonLrnMaxPool(CudaImplementation):
    """LRN and max-pooling by netspec's fused kernel."""

    name = "triton"
    ability = Ability(into_slices=True)

    def refuses(self, problem: Problem) -> str:
        assert isinstance(problem.op, LrnMaxPool)
        return lacks_dilation(problem.op.pool)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, LrnMaxPool)
        windows = geometry(problem.op.pool, problem.inputs, len(x[0]))
        check_pixels(windows)
        return pooled.launches(x[0], y[0], *attributes(problem.op.lrn), windows)


def attributes(op: LocalResponseNorm) -> tuple[int, float, float, float, int]:
    """Return n, k, alpha, beta and groups, in the order of the kernels' arguments."""
    return op.n, op.k, op.alpha, op.beta, op.groups
