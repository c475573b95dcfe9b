"""Ranks: the processes that train one net together, as torchrun starts them.

They form a mesh of two axes, ``data`` x ``column``: along the first each rank has a part of every
batch, along the second a part of the net (``netspec/training/columns.py``).  A process that is
alone is a mesh of one, and everything here does nothing.

Gradients are added in buckets that never change.  PyTorch's DistributedDataParallel orders its
buckets anew after the first step: with three ranks and more a resumed run would round otherwise.
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
"""Bytes of gradients that are added in one call."""

SLOWEST = timedelta(hours=6)
"""The time that ranks wait for one that is alive: the first reads the whole data once alone.
One that has died is noticed at once, by its machine's torchrun or by a connection that ends."""


MOST = 100_000
"""Processes."""
ALONE = "start the processes with torchrun, which sets it, or unset WORLD_SIZE to train in one"


class Parted(DataError):
    """This rank cannot go on because of another, which is named."""


@dataclass(frozen=True)
class Ranks:
    """One process among those that train a net.

    Attributes:
        rank: which part of each batch it has, of ``ranks`` parts.
        column: which column of the net it has, of ``columns``.
        device: where it computes, ``cpu`` or ``cuda:N``.
        others: the others; None if there are none.
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
        """The number of the process among all, as torchrun counts them."""
        return self.rank * self.columns + self.column

    @property
    def processes(self) -> int:
        """The number of processes."""
        return self.ranks * self.columns

    def average(self, parameters: Iterable[Tensor]) -> None:
        """Add the gradients of all ranks up, in place; one that is missing counts as zero.

        Each rank divides its loss by the images of the whole batch, so that the sum is the gradient
        of the mean, however uneven the parts are, and even where a part is empty.
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
        """Add a tensor of all ranks up, in place; columns have the same images, and count once."""
        if self.ranks > 1:
            dist.all_reduce(tensor, group=collectives.GROUPS["data"])
        return tensor

    def most(self, *numbers: int) -> list[int]:
        """Return the greatest of each number over all processes, so that all decide alike."""
        tensor = torch.tensor(numbers, device=self.device)
        if self.processes > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        greatest: list[int] = tensor.tolist()
        return greatest

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first rank, of each column, to all others, in place."""
        if self.ranks == 1:
            return
        group = collectives.GROUPS["data"]
        for tensor in tensors:
            contiguous = tensor.detach().contiguous()
            dist.broadcast(contiguous, group=group, group_src=0)
            tensor.detach().copy_(contiguous)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.processes > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the others; no operation of several ranks is possible afterwards."""
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
        """Leave the others, and tell them why.

        Raises:
            Parted: this rank cannot go on because of another.
        """
        message = ""
        if error is not None and self.others is not None:
            message = self.others.leave(error)
        self.close()
        if message:
            raise Parted(message) from error


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield gradients in their order, as many at once as a bucket holds, and at least one."""
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
    """Return whether this process is the one that prints, before or after it meets the others."""
    is_alone = os.environ.get("WORLD_SIZE", "") in ("", "1")
    return is_alone or os.environ.get("RANK", "0") == "0"


def _variable(name: str, least: int, most: int) -> int:
    """Return the number in an environment variable that torchrun sets.

    Raises:
        DataError: it is not set, or holds no number from ``least`` to ``most``.
    """
    text = _text(name)
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        raise DataError(f"{name} is {text!r}, not a number from {least:,} to {most:,}: {ALONE}")
    return int(text)


def _text(name: str) -> str:
    text = os.environ.get(name, "")
    if not text:
        raise DataError(f"WORLD_SIZE is set, and {name} is not: {ALONE}")
    return text


def start(device: str = "cpu", *, columns: int = 1) -> Ranks:
    """Meet the other processes that torchrun started; a process by itself meets nobody.

    Args:
        device: ``cpu`` (gloo) or ``cuda`` (NCCL; each process of a machine takes a GPU).
        columns: how many ranks share one net.

    Raises:
        DataError: the number of processes is not a multiple of ``columns``, a variable that
            torchrun sets is missing or wrong, or the others cannot be met.
    """
    processes = _variable("WORLD_SIZE", 1, MOST) if os.environ.get("WORLD_SIZE") else 1
    if processes % columns:
        raise DataError(
            f"{columns} columns need {columns} processes, or a multiple, and there "
            f"{'is' if processes == 1 else 'are'} {processes}: "
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
        store = PrefixStore(f"attempt {attempt}", kept)  # torchrun's own has what the last one left
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
            f"cannot meet the other processes at {address}:{port} (MASTER_ADDR, MASTER_PORT): "
            f"{reason}"
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
