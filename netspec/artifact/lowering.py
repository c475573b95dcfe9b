"""The plan of an artifact, and the net lowered to it again."""

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
    """Return ``plan.json``: the implementation of each stage, and the plan."""
    chosen = {stage: choice.implementation for stage, choice in lowered_net.choices.items()}
    return canonical({"choices": chosen, "plan": lowered_net.plan.as_json()})


def backend_for(manifest: Manifest) -> Backend:
    """Return the backend that an artifact was compiled for.

    Raises:
        DataError: this machine cannot run it.
    """
    try:
        return backend_of(manifest.target)
    except DataError as error:
        raise DataError(_elsewhere(manifest, error)) from None


def lowered_as(plan: bytes, net: Net, manifest: Manifest, backend: Backend) -> Lowered:
    """Lower a net with the choices that are stored.

    Raises:
        DataError: the plan is not the stored one, or the backend does not have an implementation
            that was chosen.
    """
    if net.name != manifest.name:
        raise DataError(f"its spec is of {net.name!r}, not of {manifest.name!r}: {AGAIN}")
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
            f"its plan, made by netspec {by}, is not the one that netspec makes of its spec here: "
            f"{AGAIN}"
        )
    return lowered_net


def _elsewhere(manifest: Manifest, error: DataError) -> str:
    by = manifest.made_by["netspec"]
    return (
        f"it was compiled by netspec {by} for {manifest.target}, and cannot run here: {error}: "
        f"{AGAIN}"
    )
