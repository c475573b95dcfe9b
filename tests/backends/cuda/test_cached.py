"""Kernels of an artifact are those that launches run, in processes without the interpreter.

What comes after a launch has found its machine code, the GPU's driver, is a stand-in.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import triton

import netspec
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.cached import LEFT_OUT
from tests.backends.cuda.helpers import MAP, ON_GPU
from tests.forked import compiling

ROWS = """
a: conv 3x3, 16, pad=1 | relu | lrn 5 | maxpool 2x2/2
b: concat { conv 1x1, 8 | relu ; conv 3x3, 8, pad=1 | relu }
c: fc 24 | softmax
"""

SCRIPT = """
import json, sys
from pathlib import Path
import torch, triton
from triton import knobs
from triton.runtime import driver
import netspec
from netspec.artifact import lowering
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.ahead import _packed_stage, compiled_kernels
from netspec.backends.cuda.lanes import apart
from netspec.backends.cuda.binding import bound_steps
from netspec.backends.memory import PlanMemory, in_batches
from netspec.kernels.launch import Launch
from benchmarks.gpu.stand_in import StandIn

folder, batch = Path(sys.argv[1]), 4  # the bucket of 3 images
knobs.cache.dir = str(folder / "where it was compiled")
net = netspec.loads(sys.argv[2], "small.net")
model = netspec.compile(net, device="sm_90", dtype=torch.float16, batch=3)
kernels = compiled_kernels(model.lowered, 90)
root = netspec.save_artifact(model, folder / "it", kernels=kernels)

lowering.backend_of = lambda target: CudaBackend("cpu")  # the GPU is not there
knobs.cache.dir = str(folder / "where it runs")
netspec.load_artifact(folder / "it")
unexpected = list((folder / "where it runs").rglob("*"))
loaded = netspec.load_artifact(folder / "it", expect=root).lowered
put = [path.name for path in (folder / "where it runs").rglob("*.cubin")]
netspec.load_artifact(folder / "it", expect=root)  # again

ours = {code for name, code in kernels.items() if name.endswith(".cubin")}
events = []
gpus = {90: StandIn(90), 80: StandIn(80)}
knobs.compilation.listener = lambda **told: events.append((told["src"].name, told["cache_hit"]))


def run(capability, plan, count=None):
    events.clear()
    gpu = gpus[capability]
    gpu.launched.clear()
    driver.set_active(gpu)
    arena = torch.empty(plan.arena * batch, dtype=loaded.dtype, device="meta")
    memory = PlanMemory(plan, in_batches(plan, batch), arena)
    stages = {n: _packed_stage(loaded, n, problem) for n, problem in loaded.problems.items()}
    calls = [call for _, calls in bound_steps(loaded.graph, plan, stages, memory) for call in calls]
    launches = [call for call in calls if isinstance(call, Launch)]
    for launch in launches[:count]:
        launch()
    assert gpu.launched == [(*launch.grid, 1, 1)[:3] for launch in launches[:count]]
    return {
        "launches": len(launches),
        "hits": [name for name, is_hit in events if is_hit],
        "compiled": [name for name, is_hit in events if not is_hit],
        "are_ours": ours == set(gpu.utils.loaded),
    }


print(json.dumps({
    "unexpected": len(unexpected),
    "put": len(put),
    "ours": len(ours),
    "same": run(90, loaded.plan),
    "side by side": run(90, apart(loaded.plan)),
    "other GPU": run(80, loaded.plan, count=1),
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cached")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """What the script says, of a net of :data:`ROWS`."""
    done = compiling().python("-c", SCRIPT, str(folder), MAP + ROWS)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_launches_run_the_kernels_of_an_expected_artifact(report: dict[str, Any]) -> None:
    assert report["put"] >= report["ours"] >= 4
    same = report["same"]
    assert same["launches"] >= 4
    assert same["compiled"] == []
    assert len(same["hits"]) == report["put"]
    assert same["are_ours"]
    # As steps that run side by side they lie elsewhere, and what a process found is kept by it.
    assert report["side by side"]["launches"] == same["launches"]
    assert report["side by side"]["hits"] == report["side by side"]["compiled"] == []


def test_kernels_of_an_artifact_that_was_not_expected_are_not_put(report: dict[str, Any]) -> None:
    assert report["unexpected"] == 0


def test_another_gpu_builds_its_kernels(report: dict[str, Any]) -> None:
    other = report["other GPU"]
    assert (other["hits"], len(other["compiled"]), other["are_ours"]) == ([], 1, False)


@pytest.mark.usefixtures("report")
def test_nothing_in_an_artifact_names_a_folder_of_the_machine(folder: Path) -> None:
    members = [file.read_bytes() for file in (folder / "it" / "kernels").iterdir()]
    (index,) = (data for data in members if b'"cache"' in data)
    places = [triton.__file__, netspec.__file__, folder / "it"]
    for place in (str(Path(place).parent).encode() for place in places):
        assert not any(place in data for data in members)
    assert not any(
        key in kept["metadata"] for kept in json.loads(index)["cache"].values() for key in LEFT_OUT
    )


@pytest.mark.skipif(ON_GPU, reason="kernels are not interpreted where there is a GPU")
def test_the_interpreter_uses_none() -> None:
    CudaBackend("cpu").use({"kernels.json": b"nothing that could be read"})


def test_kernels_that_netspec_did_not_compile_are_not_used() -> None:
    CudaBackend("cpu").use({"a": b"\x7fELF"})
