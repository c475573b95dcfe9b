"""Run the parts of a stage in processes of their own, several at once.

    python -m benchmarks.gpu.spread compile | smoke | memcheck | whole

A part that dies or hangs costs only itself: it is named in the journal, and the others go on.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.journal import FOLDER, Log, left
from benchmarks.gpu.processes import Ended, run, several

ROOT = Path(__file__).parents[2]
NETS = ("alexnet", "vgg16_3", "googlenet")

END = 3.0
"""Seconds before the limit of the stage at which the parts are ended."""

PROCESSES = max(2, (os.cpu_count() or 2) - 2)

FOUND = 7
SANITIZER = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", str(FOUND))

TRIAL = """
from ctypes import CDLL, byref, c_int, c_void_p
cuda, device, context, memory = CDLL("libcuda.so.1"), c_int(), c_void_p(), c_void_p()
failed = cuda.cuInit(0) or cuda.cuDeviceGet(byref(device), 0)
failed = failed or cuda.cuDevicePrimaryCtxRetain(byref(context), device)
failed = failed or cuda.cuCtxSetCurrent(context) or cuda.cuMemAlloc_v2(byref(memory), 4096)
raise SystemExit(failed and f"allocating memory failed with error {failed}")
"""
"""A program that allocates memory on the GPU.  On some virtual machines compute-sanitizer prints
``UNSUPPORTED``, and then every allocation fails."""
UNSUPPORTED = "Device not supported"
TRIAL_LIMIT = 10.0

STARTS = 3
"""How often a part that dies is started: each time it goes on with the cases after the deadly one,
if there are more than ``WORTH`` seconds left."""
WORTH = 8.0

HARDEST = (
    "implicit", "tiled", "narrow", "persistent", "input_gradient", "packed", "split", "pointwise",
    "weight_gradient", "fc", "sums", "lrn", "lrn_maxpool", "maxpool", "avgpool", "subsample",
)  # fmt: skip
"""The families, those first whose kernels have 8 warps or loops over taps."""


class Part(NamedTuple):
    """A part of a stage: its name, its command, and variables of its environment."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = {}


def parts(stage: str, capability: int) -> tuple[list[Part], int]:
    """Return the parts of a stage, and how many run at once."""
    python = (sys.executable, "-m")
    match stage:
        case "compile":
            command = (*python, "benchmarks.gpu.warm", str(capability))
            numbers = range(PROCESSES)
            every = [Part(str(n), (*command, str(n), str(PROCESSES))) for n in numbers]
            return every, PROCESSES
        case "smoke":
            return [Part(f, (*python, "benchmarks.gpu.smoke", f)) for f in HARDEST], 8
        case "memcheck":
            # Without PyTorch's cache, every tensor is an allocation whose bounds are checked.
            own = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
            once = (*SANITIZER, *python, "benchmarks.gpu.smoke")
            return [Part(f, (*once, f, "--once"), own) for f in HARDEST], 8
        case _:
            return [Part(net, (*python, "benchmarks.gpu.whole", net)) for net in NETS], len(NETS)


def main() -> int:
    (stage,) = sys.argv[1:]
    log = Log.of_environment()
    if stage == "memcheck" and (why := lacks_sanitizer(log.journal.folder)):
        log.result("tool", skipped=why)
        return 0
    machine = log.journal.lines("probe", "result")
    capability = int(float(machine[-1].get("capability", 9.0)) * 10) if machine else 90
    every, at_once = parts(stage, capability)
    return spread(log, every, at_once, left())


def lacks_sanitizer(folder: Path) -> str:
    """Return the reason why compute-sanitizer cannot be used, or ""."""
    if shutil.which(SANITIZER[0]) is None:
        return f"{SANITIZER[0]} is not installed"
    output = folder / "trial.log"
    ended = run((*SANITIZER, sys.executable, "-c", TRIAL), TRIAL_LIMIT, {}, output, ROOT)
    text = output.read_text(errors="replace")
    _gather(folder, output, "trial")
    # After another failure the stage is tried: the next trial or its parts may go well.
    is_unsupported = ended.code != 0 and UNSUPPORTED in text
    return f"{SANITIZER[0]} does not work here: {UNSUPPORTED}" if is_unsupported else ""


def spread(log: Log, every: Sequence[Part], at_once: int, limit: float) -> int:
    """Run the parts; return 0 if all of them ended well, otherwise 1."""
    folder = Path(os.environ.get(FOLDER, "build/gpu"))
    outputs = {part.name: folder / f"{log.stage}-{part.name}.log" for part in every}

    def start(command: Sequence[str], granted: float, variables: Mapping[str, str]) -> Ended:
        part = next(part for part in every if part.command == tuple(command))
        total = 0.0
        for _ in range(STARTS):
            ended = run(command, granted - total, variables, outputs[part.name], ROOT)
            total += ended.seconds
            if ended.code in (0, None, FOUND) or granted - total < WORTH:
                break
        return Ended(ended.code, total)

    commands = [(part.command, part.variables) for part in every]
    failed = 0
    for part, ended in zip(every, several(commands, at_once, limit - END, start), strict=True):
        text = outputs[part.name].read_text(errors="replace") if ended.seconds else ""
        found = re.search(r"ERROR SUMMARY: (\d+) error", text)
        if found and int(found[1]):
            log.result(f"part {part.name}", wrong=f"memcheck: {found[1]} errors: {_first(text)}")
        elif ended.code:
            last = (text.strip().splitlines() or [""])[-1][:160]
            log.result(f"part {part.name}", error=f"exit code {ended.code}: {last}")
        elif ended.code is None:
            late = "was not started in time" if not ended.seconds else "did not end in time"
            log.result(f"part {part.name}", error=late)
        failed += ended.code != 0
        _gather(folder, outputs[part.name], part.name)
    return 1 if failed else 0


def _first(text: str) -> str:
    """Return the first error that compute-sanitizer reports."""
    lines = [line.strip("= ") for line in text.splitlines() if line.startswith("=========")]
    return next((line for line in lines if "Invalid" in line or "Error" in line), "")[:160]


def _gather(folder: Path, output: Path, name: str) -> None:
    """Move what a part printed to the one log file: few files are easier to bring back."""
    if output.exists():
        with (folder / "log.txt").open("ab") as log:
            log.write(f"--- {name}\n".encode() + output.read_bytes()[-20_000:])
        output.unlink()


if __name__ == "__main__":
    sys.exit(main())
