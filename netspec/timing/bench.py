"""Time nets: the calls of ``netspec bench``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch

from netspec.errors import DataError, require_type
from netspec.ir.arguments import choice, whole
from netspec.language.definitions import Setting
from netspec.net import Net, net_of, require_net
from netspec.printing import Printed, printer
from netspec.runtime.dtypes import dtype_name
from netspec.timing import DEVICES, DTYPES, PEERS, ROUNDS, layers, measure

Nets: TypeAlias = Net | str | Path | Sequence[Net | str | Path]
"""One net or several: checked nets, paths of specs, or names of bundled specs."""

Progress = Callable[[int], AbstractContextManager[Callable[[str], None]]]
"""From the number of steps to a context whose value is called with the name of each step."""


def _silent(steps: int) -> AbstractContextManager[Callable[[str], None]]:
    return nullcontext(lambda step: None)


@dataclass(frozen=True, repr=False)
class Bench(Printed):
    """Times of nets.

    Attributes:
        results: The machine, its rates, and a case for each net and batch; docs/json.md has the
            keys.
    """

    results: dict[str, Any]

    def chart(self, format: str = "png") -> bytes:
        """Return the cases as a chart, ``png`` or ``svg``; not of :func:`bench_layers`."""
        choice("format", format, ("png", "svg"))
        if "layers" in self.results["cases"][0]:
            raise ValueError("times of layers have no chart: print the result, or call bench")
        content: bytes = printer("Chart").rendered(self.results, format)
        return content


def bench(
    nets: Nets,
    *,
    batch: int | Sequence[int] = 1,
    dtype: torch.dtype | str = "float32",
    device: str = "cpu",
    against: str | Sequence[str] | None = None,
    rounds: int = ROUNDS,
    settings: Mapping[str, Setting] | None = None,
    progress: Progress = _silent,
) -> Bench:
    """Time compiled nets and their peers in turns, with the same weights and images.

    Outputs are compared with float64 first.

    Args:
        nets: one net or several: checked nets, paths of specs, or names of bundled specs.
        batch: images per batch, one size or several.
        dtype: ``float32`` or ``bfloat16``.
        device: ``cpu`` or ``cuda``.
        against: the peers, of ``netspec.timing.PEERS``; by default all that the device has.
        rounds: number of rounds of a measurement.  It is repeated at most three times if other
            processes run or times vary.
        settings: values of the parameters of specs.
        progress: called with the number of steps; returns a context whose value is called with the
            name of each step.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: a spec has mistakes.
        DataError: the machine does not have the device.
    """
    case = _options(nets, batch, dtype, device, rounds, settings)
    named = DEVICES[device] if against is None else against
    require_type("against", named, (str, list, tuple), "the name of a peer, or a list of names")
    peers = (named,) if isinstance(named, str) else tuple(named)
    for peer in peers:
        choice("each of against", peer, PEERS)
        if peer not in DEVICES[device]:
            raise ValueError(f"the peer {peer} does not run on {device}: remove it from against")
    length = measure.steps(len(case["specs"]), len(case["batches"]), len(peers), rounds)
    with progress(length) as advance:
        return Bench(measure.bench(**case, against=peers, advance=advance))


def bench_layers(
    nets: Nets,
    *,
    batch: int | Sequence[int] = 1,
    dtype: torch.dtype | str = "float32",
    device: str = "cpu",
    rounds: int = ROUNDS,
    settings: Mapping[str, Setting] | None = None,
    progress: Progress = _silent,
) -> Bench:
    """Time compiled nets alone, step by step, as ``netspec bench --layers`` does.

    Arguments and errors are those of :func:`bench`.
    """
    case = _options(nets, batch, dtype, device, rounds, settings)
    length = layers.steps(len(case["specs"]), len(case["batches"]), rounds)
    with progress(length) as advance:
        return Bench(layers.bench(**case, advance=advance))


def _options(
    nets: Nets,
    batch: int | Sequence[int],
    dtype: torch.dtype | str,
    device: str,
    rounds: int,
    settings: Mapping[str, Setting] | None,
) -> dict[str, Any]:
    """Return checked arguments; specs are loaded, so that none fails after others were timed."""
    listed: list[Any] = list(nets) if isinstance(nets, list | tuple) else [nets]
    if not listed:
        raise ValueError("nets must be one net or several, not an empty sequence")
    for net in listed:  # the types of all, before any is read
        require_net(net, "each of nets")
    sizes = list(batch) if isinstance(batch, list | tuple) else [batch]
    if not sizes:
        raise ValueError("batch must be an integer, or a list of integers, not an empty sequence")
    batches = [whole("batch", size, 1, 100_000) for size in sizes]
    name = dtype_name(dtype, DTYPES)
    choice("device", device, DEVICES)
    rounds = whole("rounds", rounds, 1, 10_000)
    if device == "cuda" and not torch.cuda.is_available():
        # Triton's interpreter could run the kernels, but not show their times
        raise DataError(
            "--device cuda needs an NVIDIA GPU and a CUDA build of PyTorch, and there is none"
        )
    for net in listed:
        net_of(net, settings, argument="each of nets").require_numbers()
    return {
        "specs": [net if isinstance(net, Net) else str(net) for net in listed],
        "settings": settings or {},
        "batches": batches,
        "dtype": name,
        "device": device,
        "rounds": rounds,
    }
