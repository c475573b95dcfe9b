"""Plans compiled for a GPU that is elsewhere, in processes where kernels are not interpreted."""

from __future__ import annotations

import json

import pytest
import torch

from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.ahead import compiled_kernels
from netspec.lowering.lowered import lowered
from tests.backends.cuda.helpers import MAP, ON_GPU, load_rows
from tests.forked import compiling

ROWS = "a: conv 3x3, 8, pad=1 | relu | maxpool 2x2/2\nb: conv 3x3, 8 | relu\nc: fc 24 | softmax"

SCRIPT = """
import json, sys, torch
from netspec import loads
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.ahead import INDEX, compiled_kernels
from netspec.lowering.lowered import lowered
how = {"dtype": torch.float16, "batch": 2, "decided": {"b.relu": "triton"}}
net = lowered(loads(sys.argv[1], "a.net").graph, CudaBackend("meta"), **how)
files = compiled_kernels(net, 90)
index = json.loads(files.pop(INDEX))
elf = {name: code[:4].hex() for name, code in files.items()}
print(json.dumps({"index": index, "elf": elf, "arena": net.plan.arena}))
"""


def test_every_launch_of_a_plan_is_compiled_and_described() -> None:
    done = compiling().python("-c", SCRIPT, MAP + ROWS)
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    index = output["index"]
    assert (index["capability"], index["batch"], index["dtype"]) == (90, 2, "float16")
    assert index["arena"] == 2 * output["arena"]
    assert set(output["elf"].values()) == {b"\x7fELF".hex()}
    assert index["kernels"].keys() == output["elf"].keys()
    stages = {step["stage"]: step["launches"] for step in index["steps"]}
    assert list(stages) == ["a.relu", "a.maxpool", "b.relu", "c", "c.softmax"]
    assert stages["c.softmax"] == [None]  # PyTorch's
    (pool,) = stages["a.maxpool"]
    assert index["kernels"][pool["kernel"]]["entry"] == pool["kernel"].rpartition("-")[0]
    named = {name: value for name, _, value in pool["arguments"]}
    assert (named["height"], named["width"], named["channels"]) == (7, 9, 8)
    assert named["x_ptr"]["in"] == named["y_ptr"]["in"] == "arena"
    *_, last = stages["c"]
    kinds = [kind for _, kind, _ in last["arguments"]]
    assert "constexpr" not in kinds
    arguments = stages["b.relu"][0]["arguments"]
    places = [value["in"] for _, _, value in arguments if isinstance(value, dict)]
    assert ["parameter", "b.relu", "weight"] in places


@pytest.mark.skipif(ON_GPU, reason="kernels are not interpreted where there is a GPU")
def test_nothing_is_compiled_in_the_interpreter() -> None:
    graph = load_rows(ROWS, MAP).graph
    lowered_net = lowered(graph, CudaBackend("meta"), dtype=torch.float16, batch=1)
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET"):
        compiled_kernels(lowered_net, 90)
