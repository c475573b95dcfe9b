"""A CUDA backend that measures at most four implementations of each layer.

A plan that measures everything times up to thirty of each.  These four are the kernel that the
model chooses, those of the libraries, and the tiles of other kernels that the model puts next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.conv import TritonConv, geometry
from netspec.backends.cuda.implementation import CudaImplementation
from netspec.ir.operator import WindowOperator
from netspec.kernels.conv import configurations, implicit, packed, tiles
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Implementation, Problem

WAYS = 4

Note = Callable[[Problem, Outcomes], None]


class ShortList(CudaBackend):
    """The CUDA backend with a short list.

    Args:
        device: of the net.
        note: called with each measured problem and the outcomes by implementation.
    """

    def __init__(self, device: str, note: Note) -> None:
        super().__init__(device)
        self.note = note

    def implementations(self, problem: Problem) -> list[CudaImplementation]:
        return shortened(problem, super().implementations(problem))

    def measure(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        outcomes = super().measure(problem, implementations)
        self.note(problem, outcomes)
        return outcomes


def shortened(
    problem: Problem, implementations: Sequence[CudaImplementation], ways: int = WAYS
) -> list[CudaImplementation]:
    """Return at most ``ways`` of the implementations, the preferred one first."""
    named = [one for one in implementations if "-" not in one.name]
    tiled = [one for one in implementations if "-" in one.name]
    if isinstance(problem.op, WindowOperator) and tiled:
        windows = geometry(problem.op, problem.inputs, problem.batch)
        chosen = configurations.choose(windows, problem.dtype, "ieee")
        product = packed.product(windows) if packed.fits(windows) else implicit.product(windows)

        ranks: dict[str, tuple[bool, bool, float]] = {}
        for one in tiled:
            known = one.configuration if isinstance(one, TritonConv) else None
            if known is not None and known != chosen:
                # First kernels that only a measurement can choose, then tiles of other kernels
                # than the chosen one, then its other tiles.
                can_be_chosen = known.kernel not in configurations.BY_DESCRIPTOR
                is_same = known.kernel == chosen.kernel
                estimate = tiles.estimate(product, known.tile)
                ranks[one.name] = can_be_chosen, is_same, estimate
        tiled = sorted((one for one in tiled if one.name in ranks), key=lambda x: ranks[x.name])
    return [*named, *tiled][:ways]
