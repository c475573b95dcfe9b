"""Compare nets that differ in one thing: the call of ``netspec compare``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netspec.comparing import comparing
from netspec.comparing.comparing import FIGURE, Asked, Telling
from netspec.comparing.differences import require_scipy
from netspec.errors import require_type
from netspec.files.writing import write_whole
from netspec.ir.arguments import choice, place, whole
from netspec.printing import Printed, printer


@dataclass(frozen=True, repr=False)
class Comparison(Printed):
    """The result of a comparison.

    Attributes:
        folder: Folder with the runs, ``results.json`` and ``figure.png``.
        results: What ``results.json`` holds: arms, measures and differences.
    """

    folder: Path
    results: dict[str, Any]

    def figure(self, format: str = "png") -> bytes:
        """Return the results as a figure, ``png`` or ``svg``."""
        choice("format", format, ("png", "svg"))
        content: bytes = printer("Figure").rendered(self.results, format)
        return content


def compare(
    experiment: str,
    data: str,
    to: str | Path,
    *,
    seeds: int = Asked.seeds,
    epochs: int | None = None,
    batch: int | None = None,
    workers: int = 0,
    device: str = "cpu",
    telling: Telling | None = None,
) -> Comparison:
    """Train the arms of a comparison with several seeds, and measure whether they differ.

    Called again, it continues where it stopped; with more seeds it adds to the runs that exist.

    Args:
        experiment: the name of a comparison; ``netspec compare --list`` prints them.
        data: a data set, such as ``"digits"`` or ``"cifar10:DIR"``.
        to: the folder of runs, results and figure.
        seeds: number of seeds that each arm is trained with.
        epochs: number of epochs, in place of that of the recipe.
        batch: images per step, in place of those of the recipe.
        workers: number of processes that load data while the device computes.
        device: ``cpu`` or ``cuda``.
        telling: receives the progress; by default there is none.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: there is no such comparison, it is not for such data, or a run cannot
            continue.
        netspec.training.stopping.Stopped: a signal ended it; the same call continues.
    """
    require_type("experiment", experiment, str, "the name of a comparison")
    require_type("data", data, str, "a data set, such as digits or cifar10:DIR")
    folder = place("to", to, "the path of a folder")
    seeds = whole("seeds", seeds, 1, 1000)
    epochs = None if epochs is None else whole("epochs", epochs, 1, 1_000_000)
    batch = None if batch is None else whole("batch", batch, 1, 100_000)
    workers = whole("workers", workers, 0, 1024)
    choice("device", device, ("cpu", "cuda"))
    require_scipy()
    printer("Figure").require_matplotlib()  # before hours of training
    asked = Asked(
        experiment=experiment,
        data=data,
        seeds=seeds,
        epochs=epochs,
        batch=batch,
        workers=workers,
        device=device,
    )
    result = Comparison(folder, comparing.compare(asked, folder, telling))
    write_whole(folder / FIGURE, result.figure())
    return result
