"""Small nets, and engines that do as they are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from netspec.bench.case import Case
from netspec.bench.engine import Engine
from netspec.bench.engines import inferring
from netspec.bench.timing import Call

TINY = "net tiny\ninput image 8x8x3\na: conv 3x3, 4 | relu\nout: fc 5 | softmax\n"


def case_of(
    folder: Path,
    text: str = TINY,
    *,
    batch: int = 2,
    dtype: str = "float32",
    device: str = "cpu",
) -> Case:
    path = folder / "tiny.net"
    path.write_text(text, encoding="utf-8")
    return Case(str(path), {}, batch, dtype, folder, device)


class Changed(Engine):
    """The reference, its output changed."""

    def __init__(self, name: str, change: Callable[[Any], Any] = lambda y: y) -> None:
        self.name, self.change = name, change  # type: ignore[misc]

    def compile(self, case: Case) -> Call:
        run = inferring(case.reference(), case)
        return lambda: self.change(run())
