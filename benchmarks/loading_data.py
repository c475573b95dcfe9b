"""Measure how many images per second one core can decode, prepare and augment for AlexNet.

    python benchmarks/loading_data.py [--rounds N]

The images are 256 crops of 256x256 pixels from scikit-learn's two photographs, as JPEG in memory.
The steps take turns in one process on one thread; each turn is a pass over all images.  Then whole
batches of 128 are made with 0, 1 and 2 worker processes.  The result is stored in
benchmarks/results/loading_data-<cpu>.json.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

import numpy as np
from PIL import Image

from benchmarks.results import FOLDER, path_for, write
from netspec import load
from netspec.data.dataset import Dataset, Example, Pixels
from netspec.data.images import read_image
from netspec.ir.randomness import generator
from netspec.ir.shapes import Shape
from netspec.timing.machine import machine
from netspec.timing.timing import Pass, interleaved
from netspec.training.augment import for_training
from netspec.training.batches import Batches
from netspec.training.statistics import measured

COUNT = 256
SIDE = 256
QUALITY = 90
BATCH = 128
WORKERS = (0, 1, 2)
SHAPE = Shape((224, 224, 3))


class Photographs(Dataset):
    """Crops of two photographs, as JPEG."""

    def __init__(self) -> None:
        super().__init__(f"{COUNT} crops of photographs", ("china", "flower"))

    @cached_property
    def files(self) -> list[bytes]:
        import sklearn.datasets

        folder = Path(sklearn.datasets.__path__[0]) / "images"
        whole = [np.asarray(Image.open(folder / f"{name}.jpg")) for name in self.classes]
        drawn = generator(0, "crops of photographs")
        return [_crop_as_jpeg(whole[number % 2], drawn) for number in range(COUNT)]

    def __len__(self) -> int:
        return COUNT

    def example(self, number: int) -> Example:
        return Example(decoded(self.files[number]), number % 2)

    def contents(self) -> Iterable[bytes]:
        return self.files

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "files"}


def _crop_as_jpeg(whole: Pixels, drawn: np.random.Generator) -> bytes:
    top, left = (int(drawn.integers(0, whole.shape[axis] - SIDE)) for axis in (0, 1))
    file = io.BytesIO()
    crop = Image.fromarray(whole[top : top + SIDE, left : left + SIDE])
    crop.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def decoded(file: bytes) -> Pixels:
    return np.asarray(read_image(io.BytesIO(file), "a photograph"))


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args(arguments).rounds
    recipe = load("alexnet").recipe
    assert recipe is not None
    data = Photographs()
    prepare, augment = for_training(recipe, SHAPE, measured(data, recipe, SHAPE))
    images = [data.example(number).pixels for number in range(COUNT)]
    prepared = [prepare(pixels) for pixels in images]

    def augmented(number: int, values: Any) -> Any:
        return augment(values, generator(0, "augment", 0, number))

    steps: dict[str, Pass] = {
        "decode": each(lambda i: decoded(data.files[i])),
        "prepare": each(lambda i: prepare(images[i])),
        "augment": each(lambda i: augmented(i, prepared[i])),
        "prepare and augment": each(lambda i: augmented(i, prepare(images[i]))),
        "all": each(lambda i: augmented(i, prepare(decoded(data.files[i])))),
    }
    cases = []
    for step, timing in interleaved(steps, rounds=rounds).items():
        milliseconds = [round(1e3 * seconds, 4) for seconds in timing[:3]]
        times = dict(zip(("median_ms", "low_ms", "high_ms"), milliseconds, strict=True))
        cases.append({"step": step, **times, "images_per_s": round(1 / timing.median, 1)})
    for workers in WORKERS:
        batches = Batches(data, prepare, augment, SHAPE, batch=BATCH, seed=0, workers=workers)
        seconds = sorted(epochs(batches, rounds))[rounds // 2]
        cases.append({"step": f"batches, {workers} workers", "images_per_s": round(1 / seconds, 1)})
        batches.close()
    host = machine()
    format = {"images": COUNT, "side": SIDE, "format": f"JPEG of quality {QUALITY}", "batch": BATCH}
    kept = {"machine": host, "date": date.today().isoformat(), **format, "cases": cases}
    write(path_for(host["cpu"], folder, "loading_data"), kept)
    for case in cases:
        print(" ".join(f"{key}={value}" for key, value in case.items()), flush=True)


def each(call: Callable[[int], Any]) -> Pass:
    """Return a pass over all images, in seconds per image."""

    def seconds() -> float:
        started = time.perf_counter()
        for number in range(COUNT):
            call(number)
        return (time.perf_counter() - started) / COUNT

    return seconds


def epochs(batches: Batches, rounds: int) -> list[float]:
    """Return the seconds per image of each epoch except the first, in which workers start."""
    seconds = []
    for epoch in range(rounds + 1):
        started = time.perf_counter()
        for _ in batches.epoch(epoch):
            pass
        seconds.append((time.perf_counter() - started) / COUNT)
    return seconds[1:]


if __name__ == "__main__":
    main()
