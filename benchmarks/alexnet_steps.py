"""Train AlexNet on a fixed batch of synthetic images by its own recipe: time, memory, loss.

    python benchmarks/alexnet_steps.py [--batch N] [--steps N]

Images are uniform noise around 0, in the range of photographs minus their mean; each has one of the
1000 classes.  Weights, learning rates, decay and dropout are those of the recipe.  The parts of a
step, forward, backward and update, are timed separately.  Memory is the largest resident memory of
the process.  The result is stored in benchmarks/results/alexnet_steps-<cpu>.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

import torch

from benchmarks.results import FOLDER, path_for, write
from netspec import load
from netspec.compiler import compile as compile_net
from netspec.ir.randomness import generator, masks
from netspec.timing.machine import Others, machine
from netspec.timing.memory import resident
from netspec.training.initial import initial_tensors
from netspec.training.loss import loss
from netspec.training.optimizer import optimizer
from netspec.training.trainee import Trainee

BATCH, STEPS = 128, 20
SEED = 0
RANGE = 128
"""Half of the range of pixels: about the largest magnitude after the mean is subtracted."""


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--steps", type=int, default=STEPS)
    asked = parser.parse_args(arguments)
    others = Others()
    rows = learned(asked.batch, asked.steps)
    seconds = median(sum(row[part] for part in ("forward", "backward", "update")) for row in rows)
    host, taken = machine(), others.share()
    kept = {
        "machine": host,
        "date": date.today().isoformat(),
        "batch": asked.batch,
        "images_per_second": round(asked.batch / seconds, 3),
        "peak_gb": round(resident("VmHWM") / 1e9, 3),
        "others": None if taken is None else round(taken, 3),
        "steps": rows,
    }
    write(path_for(host["cpu"], folder, "alexnet_steps"), kept)
    print(
        f"{kept['images_per_second']} images/s, at most {kept['peak_gb']} GB resident; loss "
        f"{rows[0]['loss']:.4f} -> {rows[-1]['loss']:.4f}"
    )


def learned(batch: int, steps: int) -> list[dict[str, Any]]:
    """Return the loss before the update, and the seconds of each part, for each step."""
    net = load("alexnet")
    recipe = net.recipe
    assert recipe is not None
    model = compile_net(net)
    tensors, _ = initial_tensors(net, recipe, seed=SEED, run_weights=dict)
    model.load_state_dict(tensors)
    trainee, update = Trainee(model), optimizer(net, model, recipe)
    drawn = generator(SEED, "synthetic images")
    pixels = drawn.uniform(-RANGE, RANGE, (batch, 3, 224, 224)).astype("float32")
    images = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(drawn.integers(0, 1000, batch))
    rows = []
    for step in range(steps):
        times = [perf_counter()]
        with masks(SEED, step, torch.arange(batch)):
            logits, heads = trainee(images)
            value = loss(net, recipe, logits, heads, labels)
        times.append(perf_counter())
        value.backward()
        times.append(perf_counter())
        update.step()
        update.zero_grad()
        times.append(perf_counter())
        parts = (round(b - a, 3) for a, b in pairwise(times))
        row = dict(zip(("forward", "backward", "update"), parts, strict=True))
        rows.append({"loss": round(value.item(), 5), **row})
        shown = " ".join(f"{name}={figure}" for name, figure in rows[-1].items())
        print(f"step {step + 1}: {shown}", flush=True)
    return rows


if __name__ == "__main__":
    main()
