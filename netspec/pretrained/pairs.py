"""Layers of a file paired with the stages of a net that take their tensors."""

from __future__ import annotations

from dataclasses import dataclass

from netspec.pretrained.layers import Layer

REASONS = ("name", "shape", "order")
"""Why a layer is paired with a stage: names say so; kinds and shapes allow no other pairing; or
they allow several, and order decides."""


@dataclass(frozen=True)
class Pair:
    """A layer and the stage that takes its tensors.

    Attributes:
        layer: of the file.
        stage: full name of the stage, such as ``3a.b2.conv1``.
        reason: one of :data:`REASONS`.
        rivals: names of the other stages that the layer could have, if order decides.  Empty if the
            layer could only be one that the net does not have.
    """

    layer: Layer
    stage: str
    reason: str
    rivals: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        return self.reason != "order"


@dataclass(frozen=True)
class Pairing:
    """The layers of a file, paired with the stages of a net.

    Attributes:
        pairs: in the order of the stages.
        without: full names of stages of auxiliary heads that no layer has tensors for; inference
            does not use them.
        unused: layers that no stage takes, such as those of heads that the net does not have.
    """

    pairs: tuple[Pair, ...]
    without: tuple[str, ...] = ()
    unused: tuple[Layer, ...] = ()
