"""Work in other processes, in order: PyTorch's loader, given keys instead of data.

Workers start from a server that holds no threads and no device (``forkserver``).  A fork of a
process that trains would copy the locks of PyTorch's thread pools in whatever state they are, and
hang at the first one that was held.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from netspec.data.following import end_with_the_parent
from netspec.errors import DataError
from netspec.training.stopping import SIGNALS

Key = TypeVar("Key")
Result = TypeVar("Result")


class Workers(Generic[Key, Result]):
    """``task(key)`` for each key, in the order of the keys, on ``count`` processes.

    A script that has workers needs ``if __name__ == "__main__":``, since they import it.

    Args:
        task: picklable, and a function of its key alone.
        count: processes; 0 works in this one, when a result is asked for.
        pinned: tensors come in memory from which a GPU copies while it computes.

    Attributes:
        waited: seconds that the consumer has waited for results.
    """

    def __init__(self, task: Callable[[Key], Result], count: int, *, pinned: bool = False) -> None:
        self.waited = 0.0
        self._keys: list[Key] = []
        options: dict[str, Any] = {}
        if count:
            options = {
                "multiprocessing_context": _context(),
                "persistent_workers": True,
                "worker_init_fn": _follow_the_trainer,
            }
        with _as_many_as_asked():
            self._loader: DataLoader[Any] = DataLoader(
                _Tasks(task),
                batch_size=None,
                sampler=self._keys,
                num_workers=count,
                collate_fn=_unchanged,
                pin_memory=pinned,
                generator=torch.Generator(),  # or it would draw from the one that all share
                **options,
            )

    def results(self, keys: Iterable[Key]) -> Iterator[Result]:
        """Yield the result of each key.  This ends an earlier iteration, even if results are left.

        Raises:
            DataError: a worker ended before its work.
        """
        self._keys[:] = keys
        started = time.perf_counter()
        with _as_many_as_asked():
            iterator = self._guarded(lambda: iter(self._loader))
        while True:
            try:
                result = self._guarded(lambda: next(iterator))
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - started
            yield result
            started = time.perf_counter()

    def close(self) -> None:
        """End the processes."""
        self._loader = DataLoader(())  # type: ignore[arg-type]

    @staticmethod
    def _guarded(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (RuntimeError, ConnectionError, EOFError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
                raise
            raise DataError(
                f"a process that reads the data has ended ({error}): it was killed, or memory ran "
                "out; take fewer workers, smaller batches, or a larger /dev/shm"
            ) from None


class _Tasks(Dataset[Any]):
    """A data set of results, by their keys."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.task = task

    def __getitem__(self, key: Any) -> Any:
        return self.task(key)


@contextmanager
def _as_many_as_asked() -> Iterator[None]:
    """Silence PyTorch's warning of more processes than cores, which help where files are slow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        yield


def _unchanged(result: Any) -> Any:
    return result


def _follow_the_trainer(_worker: int) -> None:
    """Begins a worker: when the process that trains is killed, the worker ends.

    PyTorch's own watch sees the server still alive, and so would the server see its workers.
    """
    end_with_the_parent()


def _context() -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = _Context()
    # the second is imported once, not once a worker
    context.set_forkserver_preload(["netspec.training.serving", "netspec.training.batches"])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


class _Worker(multiprocessing.context.ForkServerProcess):
    """A process that leaves signals which ask a run to stop to the process that trains."""

    def run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # PyTorch has a handler of its own
        super().run()

    def terminate(self) -> None:
        """End it, where SIGTERM does not."""
        self.kill()


class _Context(multiprocessing.context.ForkServerContext):
    Process = _Worker
