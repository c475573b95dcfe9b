"""Measured times, stored on disk so that each problem is measured once.

Times of other machines, versions or sources are not used, and a warning says so.  If a file is
deleted, its problems are measured again.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from threading import Lock

from netspec.files.cache import Store
from netspec.files.members import either, number, table, text
from netspec.ir.words import plural
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Implementation, Problem

OUTCOMES = table(
    either(
        "a time above 0, or the reason of a failure",
        number(0, 1e6).where(lambda time: time > 0, "a time above 0"),
        text(),
    )
)
"""The outcomes of the implementations of a problem."""

_lock = Lock()
"""Held while a problem is measured: two measurements at the same time would disturb each other,
and each would overwrite the file of the other."""


class Tuning:
    """The measured times of one backend.

    Args:
        backend: its name.
        made_with: everything that the times depend on except the problem: sources, versions, the
            device.
    """

    def __init__(self, backend: str, made_with: Mapping[str, str]) -> None:
        self._backend = backend
        self._store = Store(backend, made_with, OUTCOMES)
        self.path = self._store.path

    def times(
        self,
        problem: Problem,
        implementations: Sequence[Implementation],
        measure: Callable[[], Outcomes],
    ) -> Outcomes:
        """Return the outcome of each implementation, from the file or measured and stored.

        A file that cannot be read or written is ignored with a warning.
        """
        name, names = described(problem), [one.name for one in implementations]
        with _lock:
            outcomes = self._store.read().get(name, {})
            if not outcomes.keys() >= set(names):
                self._report_others()
                outcomes = dict(measure())
                if any(str(one).startswith("OutOfMemoryError") for one in outcomes.values()):
                    return outcomes  # not stored: with more free memory it may run
                # Read again: another process may have written during the measurement.
                self._store.write({**self._store.read(), name: outcomes})
        return {implementation: outcomes[implementation] for implementation in names}

    def known(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        """Return the stored outcome of each implementation; nothing if one was not measured.

        The file is read once.
        """
        outcomes = self._stored.get(described(problem), {})
        names = [one.name for one in implementations]
        return {name: outcomes[name] for name in names} if outcomes.keys() >= set(names) else {}

    @cached_property
    def _stored(self) -> dict[str, dict[str, float | str]]:
        return self._store.read()

    def _report_others(self) -> None:
        """Warn once, before the first file of this kind is written, that others are not used."""
        if os.path.lexists(self.path):
            return
        others = len(list(self.path.parent.glob(f"{self._backend}-*.json")))
        if others:
            warnings.warn(
                f"stored times of another version, source or machine are not used "
                f"({others} {plural('file', others)} in {self.path.parent}): measuring again",
                stacklevel=2,
            )


def described(problem: Problem) -> str:
    """Return a problem in one line: operator, sizes, batch and type; and its places, if not whole
    buffers."""
    sizes = ", ".join(map(str, problem.inputs))
    line = f"{problem.op!r} of {sizes} at batch {problem.batch} in {problem.dtype}"
    if problem.places is None:
        return line
    reads, writes = (
        ", ".join(f"{place.channels} from {place.start} of {place.width}" for place in places)
        for places in (problem.places.reads, problem.places.writes)
    )
    return f"{line}, reads channels {reads}, writes {writes}"
