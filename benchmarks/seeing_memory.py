"""Measure the memory of ``netspec see neighbours`` by the number of images of the data set.

    python benchmarks/seeing_memory.py [--images N ...]

For each number, a new process compares ten random images with N generated ones, by F6 of lenet5 and
by pixels.  It prints the peak of its memory, and the slope: the bytes that one more image
needs.

By calculation the slope is about 11 bytes: the loader has the number of each image, 8 bytes, and an
array and a tuple for each batch of 64.  On 2026-11-30, 8,000 images needed 294.8 MiB and 128,000
needed 296.7 MiB: 16 bytes per image, so 16 MB for a million.  The other memory of a pass does not
depend on N.  For Q images, K neighbours, D activations and P values of pixels it is:

    32 Q K        bytes: squared distances and numbers, in two spaces
    8 Q (D + P)   bytes: the activations and pixels of the Q images in float64
    4 B P         bytes: a batch of B images
    48 C (D + P)  bytes: a chunk of C = 16 images in float64, its differences and their squares

For ten images of lenet5 these are 2 kB, 90 kB, 0.3 MB and 0.9 MB, and also for a million images.
For AlexNet and F7 they are 2 kB, 12 MB, 39 MB and 119 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

import numpy as np

from netspec.data.dataset import Dataset, Example

QUERIES, KEPT = 10, 6


class Generated(Dataset):
    """Random grey images of 32x32 pixels, which are generated when they are read."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count:,} generated images", ("a", "b"))
        self.count = count

    def __len__(self) -> int:
        return self.count

    def example(self, number: int) -> Example:
        random = np.random.default_rng(number)
        return Example(random.integers(0, 256, (32, 32, 1), np.uint8), number % 2)

    def contents(self) -> Iterable[bytes]:
        yield str(self.count).encode()


def measure(images: int) -> int:
    """Return the peak memory of this process in bytes, after a pass over images."""
    import resource

    from netspec.see.neighbours import Nearest
    from netspec.see.streaming import stream
    from netspec.see.subject import open_seen

    seen = open_seen("lenet5", weights="digits", prepare="range low=-0.1, high=1.175")
    pixels = np.stack([Generated(QUERIES).example(2**31 + n).pixels for n in range(QUERIES)])
    vectors = seen.features("F6", seen.batch(list(pixels))).double().numpy()
    nearest = Nearest(vectors, pixels, KEPT, seen.preparation.pixels)
    stream(seen, Generated(images), "F6", nearest)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 8_000, 32_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(measure(options.one))
        return
    peaks = []
    for images in options.images:
        command = [sys.executable, __file__, "--one", str(images)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
        print(f"{images:>9,} images: {peaks[-1] / 2**20:8.1f} MiB", flush=True)
    if len(peaks) > 1:
        slope = np.polyfit(options.images, peaks, 1)[0]
        print(
            f"slope: {slope:.1f} bytes per image; a million images: {slope / 2**20 * 1e6:.1f} MiB"
        )


if __name__ == "__main__":
    main()
