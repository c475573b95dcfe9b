"""Ranks: the processes, started by torchrun, that train one net together.

They form a mesh with two axes, ``data`` x ``column``.  Along ``data`` each rank has a part of every
batch; along ``column`` each rank has a part of the net (``netspec/training/columns.py``).  A single
process is a mesh of one rank, for which the collective operations do nothing.

Gradients are summed in buckets that never change.  PyTorch's DistributedDataParallel reorders its
buckets after the first step, so that with three or more ranks a resumed run would add in another
order and round differently.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from netspec.errors import DataError
from netspec.ir import collectives
from netspec.training.leaving import Others

BUCKET = 25 * 2**20
"""Maximum size in bytes of the gradients that are summed in one call."""

SLOWEST = timedelta(hours=6)
"""The time that ranks wait for each other.  It is long because only the first rank reads the whole
data once, for the statistics.  A dead rank is noticed at once, by torchrun on its machine or by a
closed connection."""


MOST = 100_000
"""Maximum number of processes."""
ALONE = "start the processes with torchrun, which sets it, or unset WORLD_SIZE to use one process"


class Parted(DataError):
    """Error for a rank that must stop because of another rank, which the message names."""


@dataclass(frozen=True)
class Ranks:
    """One of the processes that train a net.

    Attributes:
        rank: index of its part of each batch.
        ranks: number of parts of a batch.
        column: index of its column of the net.
        columns: number of columns of the net; 1 if each process has the whole net.
        device: the device that it computes on, ``cpu`` or ``cuda:N``.
        others: the other processes; None if there are none.
    """

    rank: int = 0
    ranks: int = 1
    column: int = 0
    columns: int = 1
    device: str = "cpu"
    others: Others | None = None

    @property
    def is_first(self) -> bool:
        """True for the process that writes and prints."""
        return self.number == 0

    @property
    def number(self) -> int:
        """Number of the process among all processes, as torchrun counts them."""
        return self.rank * self.columns + self.column

    @property
    def processes(self) -> int:
        """Number of all processes."""
        return self.ranks * self.columns

    def average(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradients of all ranks, in place; a missing gradient counts as zero.

        Each rank divides its loss by the number of images of the whole batch.  So the sum is the
        gradient of the mean loss, even if parts have different sizes or are empty.
        """
        if self.ranks == 1:
            return
        gradients = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            joined = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(joined, group=collectives.GROUPS["data"])
            pieces = joined.split_with_sizes([gradient.numel() for gradient in bucket])
            for gradient, piece in zip(bucket, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all ranks, in place.

        The sum is over ``data`` only: columns have the same images, which must count once.
        """
        if self.ranks > 1:
            dist.all_reduce(tensor, group=collectives.GROUPS["data"])
        return tensor

    def most(self, *numbers: int) -> list[int]:
        """Return the maximum of each number over all processes, so that all decide the same."""
        tensor = torch.tensor(numbers, device=self.device)
        if self.processes > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        greatest: list[int] = tensor.tolist()
        return greatest

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Copy tensors from the first rank of each column to its other ranks, in place."""
        if self.ranks == 1:
            return
        group = collectives.GROUPS["data"]
        for tensor in tensors:
            contiguous = tensor.detach().contiguous()
            dist.broadcast(contiguous, group=group, group_src=0)
            tensor.detach().copy_(contiguous)

    def wait(self) -> None:
        """Wait until every process has called this."""
        if self.processes > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the process group; collective operations are not possible afterwards."""
        if dist.is_initialized():
            collectives.GROUPS.clear()
            dist.destroy_process_group()

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the process group; after an error, write the reason for the other ranks.

        Raises:
            Parted: if the error was caused by another rank.
        """
        if error is None or self.others is None:
            self.close()
        elif message := self.others.leave(error, self.close):
            raise Parted(message) from error


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield gradients in order, in lists of at most ``BUCKET`` bytes and of one dtype."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (size + gradient.nbytes > BUCKET or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.nbytes
    if bucket:
        yield bucket


def is_first() -> bool:
    """Return True if this process is the one that prints; it need not have met the others."""
    is_alone = os.environ.get("WORLD_SIZE", "") in ("", "1")
    return is_alone or os.environ.get("RANK", "0") == "0"


def _variable(name: str, least: int, most: int) -> int:
    """Return the number in an environment variable that torchrun sets.

    Raises:
        DataError: if it is not set, or is not a number from ``least`` to ``most``.
    """
    text = _text(name)
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        raise DataError(f"{name} is {text!r}, not a number from {least:,} to {most:,}: {ALONE}")
    return int(text)


def _text(name: str) -> str:
    text = os.environ.get(name, "")
    if not text:
        raise DataError(f"WORLD_SIZE is set, but {name} is not: {ALONE}")
    return text


def start(device: str = "cpu", *, columns: int = 1) -> Ranks:
    """Connect to the other processes that torchrun started, if there are any.

    Args:
        device: ``cpu`` (gloo) or ``cuda`` (NCCL; each process of a machine uses its own GPU).
        columns: number of ranks that share one net.

    Raises:
        DataError: if the number of processes is not a multiple of ``columns``, if a variable that
            torchrun sets is missing or invalid, or if the connection fails.
    """
    processes = _variable("WORLD_SIZE", 1, MOST) if os.environ.get("WORLD_SIZE") else 1
    if processes % columns:
        raise DataError(
            f"{columns} columns need {columns} processes, or a multiple of that, but there "
            f"{'is' if processes == 1 else 'are'} {processes}: start it with "
            f"torchrun --nproc-per-node {columns} -m netspec train ..."
        )
    if processes == 1:
        return Ranks(device=device)
    number, port = _variable("RANK", 0, processes - 1), _variable("MASTER_PORT", 1, 65535)
    address = _text("MASTER_ADDR")
    is_gpu = device.startswith("cuda")
    if is_gpu:
        device = f"cuda:{_variable('LOCAL_RANK', 0, max(torch.cuda.device_count(), 1) - 1)}"
        torch.cuda.set_device(device)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        kept, _, _ = next(rendezvous("env://"))
        # after a restart, torchrun's store still holds the keys of the last attempt
        store = PrefixStore(f"attempt {attempt}", kept)
        dist.init_process_group(
            "nccl" if is_gpu else "gloo",
            timeout=SLOWEST,
            store=store,
            rank=number,
            world_size=processes,
            device_id=torch.device(device) if is_gpu else None,
        )
        is_kept_by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        is_host = number == 0 and not is_kept_by_torchrun
        others = Others(store, number, processes, is_host=is_host)
    except (RuntimeError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"cannot connect to the other processes at {address}:{port} (MASTER_ADDR, "
            f"MASTER_PORT): {reason}"
        ) from None
    mesh = init_device_mesh(
        "cuda" if is_gpu else "cpu",
        (processes // columns, columns),
        mesh_dim_names=("data", "column"),
    )
    for name, ranks in (("data", processes // columns), ("column", columns)):
        if ranks > 1:
            collectives.GROUPS[name] = mesh.get_group(name)
    rank, column = divmod(number, columns)
    return Ranks(rank, processes // columns, column, columns, device, others)


def is_started_again() -> bool:
    """Return True if torchrun has started this process again after a process ended."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
