"""The list of stages, the most telling first: correctness, then times of nets, then details."""

from __future__ import annotations

from benchmarks.gpu.runner import NEEDED, Stage

NETS = (
    ("alexnet", 1),
    ("alexnet", 256),
    ("googlenet", 1),
    ("googlenet", 32),
    ("vgg16_3", 32),
)
"""The nets and batches that are timed."""

TUNED = (("alexnet", 1), ("alexnet", 256), ("googlenet", 32))
MAXIMUM = (("alexnet", 1), ("googlenet", 32))


def peers(net: str) -> tuple[str, str]:
    """Return the peers of a net; Inductor's kernels for GoogLeNet take longer than a stage may."""
    inductor = "inductor-extern" if net == "googlenet" else "inductor-aten"
    return "eager-channels-last", inductor


def stage(name: str, module: str, *arguments: str, usual: float, limit: float) -> Stage:
    return Stage(name, ("-m", f"benchmarks.gpu.{module}", *arguments), usual, limit)


def nets(name: str, net: str, batch: int, *engines: str, usual: float, limit: float) -> Stage:
    """Return a stage that times engines in turns."""
    command = (net, str(batch), *engines)
    return stage(f"{name}-{net}-{batch}", "nets", *command, usual=usual, limit=limit)


def stages() -> list[Stage]:
    """Return all stages in order.

    ``usual`` is an estimate, as no stage has run on a GPU yet.  The estimates of the first call add
    up to less than 330 s, and those of the second to less than 300 s.
    """
    return [
        # The first import of PyTorch on a machine reads gigabytes, and without this nothing starts.
        stage(NEEDED, "probe", usual=8, limit=60),
        stage("compile", "spread", "compile", usual=20, limit=40),
        stage("smoke", "spread", "smoke", usual=35, limit=60),
        stage("memcheck", "spread", "memcheck", usual=30, limit=45),
        stage("whole", "spread", "whole", usual=40, limit=70),
        stage("floors", "rates", usual=10, limit=20),
        *(
            nets("nets", net, batch, "netspec", *peers(net), usual=30, limit=50)
            for net, batch in NETS
        ),
        # What follows is meant for the second call.
        stage("layers", "profiles", *(f"{n}-{b}" for n, b in NETS), usual=20, limit=40),
        stage("against", "against", usual=25, limit=50),
        *(
            nets("tuned", net, batch, "netspec-tuned", *peers(net), usual=30, limit=60)
            for net, batch in TUNED
        ),
        *(
            nets("maximum", net, batch, "netspec-tuned", "inductor", usual=60, limit=100)
            for net, batch in MAXIMUM
        ),
        stage("counters", "counters", usual=20, limit=45),
    ]


SECOND = "layers"
"""The stage with which the second call begins, if the first one needed all its time."""
