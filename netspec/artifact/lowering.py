"""Write the plan of an artifact, and lower its net to the same plan again."""

from __future__ import annotations

import torch

from netspec.artifact.manifest import PLAN, Manifest, canonical
from netspec.artifact.messages import AGAIN
from netspec.compiler import backend_of
from netspec.errors import DataError
from netspec.files.members import member, parsed
from netspec.lowering.backend import Backend
from netspec.lowering.choices import CHOICES
from netspec.lowering.lowered import Lowered, lowered
from netspec.net import Net


def plan_bytes(lowered_net: Lowered) -> bytes:
    """Return the content of ``plan.json``: the implementation of each stage, and the plan."""
    chosen = {stage: choice.implementation for stage, choice in lowered_net.choices.items()}
    return canonical({"choices": chosen, "plan": lowered_net.plan.as_json()})


def backend_for(manifest: Manifest) -> Backend:
    """Return the backend for which an artifact was compiled.

    Raises:
        DataError: this machine cannot run the backend.
    """
    try:
        return backend_of(manifest.target)
    except DataError as error:
        raise DataError(_elsewhere(manifest, error)) from None


def lowered_as(plan: bytes, net: Net, manifest: Manifest, backend: Backend) -> Lowered:
    """Lower a net with the stored choices of implementations.

    Args:
        plan: the content of ``plan.json``.
        net: the net of the artifact.
        manifest: of the artifact.
        backend: for which it was compiled.

    Raises:
        DataError: the plan differs from the stored one, or the backend does not have a chosen
            implementation.
    """
    if net.name != manifest.name:
        raise DataError(
            f"its spec describes {net.name!r}, and its manifest {manifest.name!r}: {AGAIN}"
        )
    choices = parsed(plan, PLAN, member("choices", CHOICES), AGAIN)
    by = manifest.made_by["netspec"]
    try:
        lowered_net = lowered(
            net.graph,
            backend,
            dtype=getattr(torch, manifest.dtype),
            batch=manifest.batch,
            decided=choices,
        )
    except DataError as error:
        raise DataError(_elsewhere(manifest, error)) from None
    if plan_bytes(lowered_net) != plan:
        raise DataError(
            f"its plan was made by netspec {by}, but the installed version makes another plan from "
            f"its spec: {AGAIN}"
        )
    return lowered_net


def _elsewhere(manifest: Manifest, error: DataError) -> str:
    by = manifest.made_by["netspec"]
    return (
        f"it was compiled by netspec {by} for {manifest.target}, and cannot run on this machine: "
        f"{error}: {AGAIN}"
    )
