"""Run tasks in other processes and return the results in order, with PyTorch's DataLoader.

Workers are forked from a server process without threads or devices (``forkserver``).  A fork of the
training process would copy the locks of PyTorch's thread pools in their current state; a worker
would hang at the first lock that was held.
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
    """Processes that compute ``task(key)`` for each key, in the order of the keys.

    A script that uses workers needs ``if __name__ == "__main__":``, since workers import it.

    Args:
        task: picklable function whose result depends only on the key.
        count: number of processes; 0 computes each result in this process when it is needed.
        pinned: return tensors in pinned memory, which a GPU can copy from while it computes.

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
                generator=torch.Generator(),  # by default it would draw from the global generator
                **options,
            )

    def results(self, keys: Iterable[Key]) -> Iterator[Result]:
        """Yield the result of each key.  This ends an earlier iteration that is not finished.

        Raises:
            DataError: if a worker ended early.
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
        """Stop the processes."""
        self._loader = DataLoader(())  # type: ignore[arg-type]

    @staticmethod
    def _guarded(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (RuntimeError, ConnectionError, EOFError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
                raise
            raise DataError(
                f"a process that reads the data has ended ({error}): it was killed or ran out of "
                "memory; use fewer workers, smaller batches, or a larger /dev/shm"
            ) from None


class _Tasks(Dataset[Any]):
    """A data set for DataLoader whose items are the results of the task."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.task = task

    def __getitem__(self, key: Any) -> Any:
        return self.task(key)


@contextmanager
def _as_many_as_asked() -> Iterator[None]:
    """Silence PyTorch's warning of more processes than cores; they help if files are slow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        yield


def _unchanged(result: Any) -> Any:
    return result


def _follow_the_trainer(_worker: int) -> None:
    """Initialise a worker: it ends when the training process ends, even if that is killed.

    PyTorch's own check watches the worker's parent.  That is the fork server, which stays alive.
    """
    end_with_the_parent()


def _context() -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = _Context()
    # batches: imported once in the server instead of in each worker
    context.set_forkserver_preload(["netspec.training.serving", "netspec.training.batches"])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


class _Worker(multiprocessing.context.ForkServerProcess):
    """A worker process that leaves the signals that stop a run to the training process."""

    def run(self) -> None:
        # block them too: PyTorch installs its own handler in workers
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        super().run()

    def terminate(self) -> None:
        """Kill the process: SIGTERM, which DataLoader would send, is blocked."""
        self.kill()


class _Context(multiprocessing.context.ForkServerContext):
    Process = _Worker
