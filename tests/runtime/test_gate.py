"""The gate: what is bound to addresses, what is given at each run, and what is written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import netspec
from netspec import loads
from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.onednn.library import missing
from netspec.runtime.compiled import Compiled
from netspec.runtime.gate import address, axes_of, require, require_apart
from tests.backends.cpu.helpers import tensors
from tests.forked import forked

TWO = "net two\ninput image 6x6x3\na: conv 3x3, 4\nb from image: gap\noutput a, b\n"


@pytest.fixture(scope="module")
def model() -> Compiled:
    return netspec.compile(loads(TWO))


def images() -> Tensor:
    return torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def test_no_implementation_takes_what_is_wrong() -> None:
    """Every wrong kind for every implementation, in a process of their own: it could crash."""
    ran = forked("torch").python("-m", "tests.backends.cpu.wrong", cwd=Path(__file__).parents[2])
    last = "\n".join(ran.stdout.splitlines()[-2:])
    assert ran.returncode == 0, f"exit {ran.returncode} after {last}\n{ran.stderr[-2000:]}"
    assert last.endswith(" cases")


# ------------------------------------------------------------------------------------ the gate


def test_the_address_of_what_lies_as_declared() -> None:
    x = torch.zeros(2, 3, 4)
    axes = axes_of((2, 4, 3), (12, 1, 4))  # the same elements, the axes in another order
    assert address(x, "x", torch.float32, axes) == x.data_ptr()
    assert address(x[:, None], "x", torch.float32, axes) == x.data_ptr()
    with pytest.raises(ValueError, match=r"x is \[2, 4, 3\] of float32 with strides \[12, 3, 1\]"):
        address(torch.zeros(2, 4, 3), "x", torch.float32, axes)


@pytest.mark.filterwarnings("ignore:.*nested tensors")
def test_messages_name_the_tensor_and_the_reason() -> None:
    def refused(x: object, **options: Any) -> str:
        how = {"device": "cpu", "dtype": torch.float32, **options}
        with pytest.raises((TypeError, ValueError)) as error:
            require(x, "F.weight", **how)
        return str(error.value)

    freed = torch.zeros(4)
    freed.untyped_storage().resize_(8)
    assert refused(None) == "F.weight is a NoneType, not a tensor: pass a dense tensor in memory"
    assert "a tensor on meta, without values: " in refused(torch.empty(2, device="meta"))
    assert "is torch.sparse_coo, not dense: " in refused(torch.zeros(2, 2).to_sparse())
    assert "is torch._mkldnn, not dense: " in refused(torch.zeros(2, 2).to_mkldnn())
    assert "is nested, not dense: " in refused(torch.nested.nested_tensor([torch.zeros(2)]))
    assert "a tensor without memory: " in refused(torch._efficientzerotensor((4,)))
    assert "a tensor without memory: " in refused(torch._to_functional_tensor(torch.zeros(4)))
    assert "whose storage of 8 bytes does not hold [4] of float32: " in refused(freed)
    assert refused(torch.zeros(2).double()) == "F.weight is in torch.float64, not torch.float32"
    assert refused(torch.zeros(2), device="cuda") == "F.weight is on cpu, not on cuda"
    assert refused(torch.zeros(2), sizes=(3,)) == "F.weight is [2], not [3]"


def test_a_tensor_of_a_class_of_its_own_has_memory_as_others_have() -> None:
    class Image(torch.Tensor):
        pass

    x = torch.zeros(2).as_subclass(Image)
    assert require(x, "x", device="cpu", dtype=torch.float32) is x


# --------------------------------------------------------------------------------------- images


def freed(x: Tensor) -> Tensor:
    x.untyped_storage().resize_(0)
    return x


def shrunk(x: Tensor) -> Tensor:
    x.untyped_storage().resize_(x.untyped_storage().nbytes() - 1)
    return x


WITHOUT_MEMORY: dict[str, Callable[[Tensor], Tensor]] = {
    "on meta": lambda x: x.to("meta"),
    "sparse": Tensor.to_sparse,
    "in blocks": Tensor.to_mkldnn,
    "freed": freed,
    "shrunk": shrunk,
    "fake": lambda x: FakeTensorMode().from_tensor(x),
    "zeros without memory": lambda x: torch._efficientzerotensor(x.shape),
}


@pytest.mark.parametrize("kind", WITHOUT_MEMORY)
def test_images_without_memory_are_refused(kind: str, model: Compiled) -> None:
    with pytest.raises(TypeError, match=r"image is |two takes plain tensors, not FakeTensor"):
        model(WITHOUT_MEMORY[kind](images()))
    assert torch.equal(model(images())[0], model(images())[0])


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
        lambda x: torch._neg_view(-x),
        lambda x: x.as_subclass(type("Image", (Tensor,), {})),
    ],
)
def test_images_may_lie_as_they_like(same: Callable[[Tensor], Tensor], model: Compiled) -> None:
    wanted = model(images())
    for y, z in zip(model(same(images())), wanted, strict=True):
        assert torch.equal(y, z)
    one = images()[:1].expand(2, 3, 6, 6)
    assert torch.equal(model(one)[0], model(one.clone())[0])


def test_nothing_is_kept_of_a_mode_in_which_tensors_are_fake() -> None:
    net = loads(TWO)
    fresh, used = netspec.compile(net), netspec.compile(net)
    wanted = used(images())
    out = [torch.zeros_like(y) for y in wanted]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for model in (fresh, used):
            for x in (images(), mode.from_tensor(images())):
                with pytest.raises(RuntimeError, match="FakeTensorMode"):
                    model(x, out=out)
        with pytest.raises(RuntimeError, match="FakeTensorMode"):
            netspec.compile(net)
    assert torch.equal(fresh(images())[0], wanted[0])
    assert torch.equal(used(images())[0], wanted[0])


# ----------------------------------------------------------------------------------------- out=


def places(model: Compiled) -> list[Tensor]:
    return [torch.zeros_like(y) for y in model(images())]


@pytest.mark.parametrize("kind", WITHOUT_MEMORY)
def test_places_without_memory_are_refused(kind: str, model: Compiled) -> None:
    first, second = places(model)
    with pytest.raises(TypeError, match="out= for b"):
        model(images(), out=[first, WITHOUT_MEMORY[kind](second)])


def test_an_output_is_not_written_over_another_or_itself(model: Compiled) -> None:
    first, second = places(model)
    memory = torch.zeros(first.numel() + second.numel())
    last = memory[first.numel() - 1 :][: second.numel()].view_as(second)
    with pytest.raises(ValueError, match=r"out= for b\.gap shares memory with out= for a"):
        model(images(), out=[memory[: first.numel()].view_as(first), last])
    with pytest.raises(ValueError, match="elements that share memory"):
        model(images(), out=[first, torch.zeros(1).expand(second.shape)])
    with pytest.raises(ValueError, match="elements that share memory"):
        model(images(), out=[first, torch.zeros(4).as_strided(second.shape, (1, 1, 1, 1))])


def test_an_output_may_be_part_of_what_holds_the_other_or_the_images(model: Compiled) -> None:
    wanted = model(images())
    whole = torch.zeros(2, 7, 4, 4)  # a in the first four channels, b in a corner of the others
    out = [whole[:, :4], whole[:, 4:, :1, :1]]
    assert all(map(torch.equal, model(images(), out=out), wanted))
    x = images()
    out = [x[:, :, :4, :4].new_zeros(2, 4, 4, 4), x[:, :, :1, :1]]  # images are read before
    assert all(map(torch.equal, model(x, out=out), wanted))


def test_columns_of_one_matrix_have_nothing_in_common() -> None:
    matrix = torch.zeros(4, 6)
    require_apart([("a", matrix[:, :3]), ("b", matrix[:, 3:])])
    require_apart([("a", matrix[:, ::2]), ("b", matrix[:, 1::2])])
    with pytest.raises(ValueError, match="b shares memory with a"):
        require_apart([("a", matrix[:, :3]), ("b", matrix[:, 2:])])
    shared = torch.from_numpy(matrix.numpy())  # another storage in the same memory
    with pytest.raises(ValueError, match="b shares memory with a"):
        require_apart([("a", matrix), ("b", shared[3:, 5:])])


# -------------------------------------------------------------------------------- parameters


def test_what_is_packed_is_a_copy() -> None:
    """Parameters may be changed, moved or freed behind a compiled net."""
    net = loads("net c\ninput image 6x6x4\na: conv 3x3, 4 | relu\nb: avgpool 2x2 | conv 1x1, 3\n")
    lowered = netspec.compile(net).lowered
    implementations = {
        stage: implementation
        for stage, implementation in lowered.implementations.items()
        if isinstance(implementation, Direct)
    }
    assert implementations or missing()
    for stage, implementation in implementations.items():
        problem = lowered.problems[stage]
        parameters = tensors(problem)
        packed = implementation.pack(problem, parameters)
        kept = {name: tensor.clone() for name, tensor in packed.items()}
        for tensor in parameters.values():
            tensor.fill_(torch.nan)
        assert all(torch.equal(packed[name], kept[name]) for name in kept)
