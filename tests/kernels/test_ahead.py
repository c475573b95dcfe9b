from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from triton.tools.tensor_descriptor import TensorDescriptor

from netspec.kernels import ahead
from netspec.kernels.ahead import DIVISIBLE, Resources, specialization
from netspec.kernels.launch import Launch
from tests.forked import compiling
from tests.kernels.helpers import ON_GPU
from tests.kernels.test_launch import add

ARGUMENTS = [
    torch.empty(8),
    torch.empty(9)[1:],
    torch.empty(8, dtype=torch.float16)[4:],
    torch.empty(32, dtype=torch.bfloat16)[8:],
    torch.empty(4, dtype=torch.float64),
    torch.empty(4, dtype=torch.uint8),
    0,
    1,
    7,
    16,
    -16,
    2**31,
    2**33 + 1,
    0.5,
    True,
    None,
    TensorDescriptor(torch.empty(64, 64), [64, 64], [64, 1], [16, 32]),
]


@pytest.mark.parametrize("argument", ARGUMENTS, ids=lambda a: f"{type(a).__name__}")
def test_arguments_are_specialised_as_triton_does(argument: Any) -> None:
    """Held against the function that Triton itself calls on a GPU; it is private, hence the look
    whether it is there."""
    inside = importlib.import_module("triton._C.libtriton")
    if not hasattr(inside, "native_specialize_impl"):
        pytest.skip("this version of Triton has no native_specialize_impl")
    backend = importlib.import_module("triton.backends.nvidia.compiler").CUDABackend
    assert specialization(argument) == inside.native_specialize_impl(
        backend, argument, False, True, True
    )


def test_a_tensor_without_memory_is_as_aligned_as_its_offset() -> None:
    whole = torch.empty(64, dtype=torch.float16, device="meta")
    assert specialization(whole[8:]) == ("*fp16", DIVISIBLE)
    assert specialization(whole[4:]) == ("*fp16", "")


KEYS = """
from hashlib import sha256
import triton
from triton.compiler.compiler import make_backend
from triton.runtime import driver
from triton.runtime.cache import get_cache_key
from netspec.kernels import ahead, shipped
from benchmarks.gpu.stand_in import StandIn


class Compiled:
    "What a launch gets instead of a kernel: the key is known, and nothing has to run."
    run = lambda *arguments: None
    launch_metadata = lambda *arguments: None
    function = packed_metadata = None

    def __init__(self, source, target, options):
        backend = make_backend(target)
        text = get_cache_key(source, backend, backend.parse_options(dict(options)), {})
        keys.append(sha256(text.encode()).hexdigest())


triton.compiler.compile = Compiled
count = 0
for capability in (80, 90):
    driver.set_active(StandIn(capability))
    for family in shipped.FAMILIES:
        for dtype in shipped.DTYPES:
            for label, launch in shipped.launches(family, dtype):
                keys = []
                launch()
                assert keys in ([], [ahead.key(launch, capability)]), (label, dtype)
                count += len(keys)
print(count)
"""


def test_a_launch_has_the_key_under_which_it_was_compiled_ahead() -> None:
    """Every launch that is shipped, on its way to a GPU's driver; of equal ones the first."""
    done = compiling().python("-c", KEYS)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300


@pytest.mark.skipif(ON_GPU, reason="kernels are not interpreted where there is a GPU")
def test_nothing_is_compiled_in_the_interpreter() -> None:
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET"):
        ahead.compile(Launch(add, (1,), {}), 90)


@pytest.mark.parametrize(
    ("registers", "shared", "warps", "capability", "occupancy"),
    [
        (32, 0, 4, 90, 1.0),  # 64 warps of 1,024 registers
        (64, 0, 4, 90, 0.5),  # 32 warps of 2,048
        (255, 0, 8, 90, 0.125),  # a block of 8 warps, 8,192 registers each
        (33, 0, 4, 90, 0.75),  # 40 registers are granted: 51 warps, in fours 48
        (32, 100_000, 4, 90, 0.125),  # two blocks of shared memory
        (32, 100_000, 4, 80, 0.0625),  # one
        (16, 0, 1, 90, 0.5),  # 32 blocks at most
    ],
)
def test_occupancy_is_what_runs_out_first(
    registers: int, shared: int, warps: int, capability: int, occupancy: float
) -> None:
    resources = Resources(registers, 0, 0, shared, warps, capability, {})
    assert resources.occupancy == occupancy


def test_instructions_are_counted_by_opcode_and_modifier() -> None:
    resources = Resources(32, 0, 0, 0, 4, 90, {"LDG.E.128": 2, "LDG.E.U16": 3, "LDGSTS.E.128": 1})
    assert resources.count("LDG") == 5
    assert resources.count("LDG", "128") == 2
    assert resources.count("HGMMA") == 0
