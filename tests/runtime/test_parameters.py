"""A compiled net answers with the parameters that it has now, or says what is wrong with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import netspec
from netspec import loads
from netspec.runtime.compiled import Compiled

TEXT = """net small
input image 6x6x2
a: conv 3x3, 4 | bn eps=0.1 | relu
b: conv 1x1, 3 | relu
F: fc 5
"""
NET = loads(TEXT)
X = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))
NEAR = {"rtol": 1e-4, "atol": 1e-4}
"""For float32 values of size 1 to 10 that went through four stages in two orders; each step below
moves the answer by 1e-2 at least."""


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def model() -> Compiled:
    compiled = netspec.compile(NET)
    compiled(X)
    return compiled


def plain_answer(model: Compiled) -> Tensor:
    """The reference with what the state dict shows, or, for what a parametrisation computes, with
    what PyTorch finds under the name."""
    plain = netspec.reference(NET)
    state = model.state_dict()
    for name in plain.state_dict():
        path, _, last = name.rpartition(".")
        if name not in state:
            state[name] = getattr(model.get_submodule(path), last).detach()
    plain.load_state_dict(state, strict=False)
    return plain(X)


def assert_current(model: Compiled) -> None:
    torch.testing.assert_close(model(X), plain_answer(model), **NEAR)


# ------------------------------------------------------------------------- addresses used again


def fully_connected() -> tuple[Compiled, Tensor]:
    compiled = netspec.compile(loads("net b\ninput image 8x8x4\nF: fc 16, bias=off\n"))
    return compiled, torch.ones(1, 4, 8, 8)


def full(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((16, 256), value))


def test_parameters_of_a_call_count_for_this_call() -> None:
    model, x = fully_connected()
    before = model(x)
    for i in range(100):
        given_parameters = {"F.weight": torch.full((16, 256), float(i))}
        assert torch.func.functional_call(model, given_parameters, (x,))[0, 0] == 256 * i
    torch.testing.assert_close(model(x), before, **NEAR)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_parameters_set_twice_between_runs_are_the_last(is_deleted: bool) -> None:
    model, x = fully_connected()
    for i in range(100):
        model.F.weight = full(-1.0)
        if is_deleted:
            del model.F.weight
        model.F.weight = full(float(i))
        assert model(x)[0, 0] == 256 * i


def test_data_set_twice_between_runs_is_the_last() -> None:
    """The storage of the first run is free then, and its address would be used again."""
    model, x = fully_connected()
    weight = model.F.weight
    for i in range(100):
        weight.data = torch.full((16, 256), -1.0)
        weight.data = torch.full((16, 256), float(i))
        assert model(x)[0, 0] == 256 * i


def test_a_module_may_be_replaced_or_deleted_and_set() -> None:
    for is_held in (False, True):
        model, x = fully_connected()
        if is_held:
            list(model.parameters())
        for value in (5.0, 6.0):
            row = nn.Linear(256, 16, bias=False)
            row.weight = full(value)
            model.F = row
            assert model.is_unpacked
            assert model(x)[0, 0] == 256 * value
            del model.F
            with pytest.raises(ValueError, match=r"F.weight is missing, but b is compiled for"):
                model(x)


def test_a_view_of_the_same_storage_is_another_parameter() -> None:
    model, x = fully_connected()
    weight = model.F.weight
    with torch.no_grad():
        weight.copy_(torch.arange(16 * 256).view(16, 256))
    x = drawn(1, 4, 8, 8)
    rounding = {"rtol": 1e-4, "atol": 0.1}  # 256 products of up to 4095, each off by 6e-8 of it
    model(x)
    weight.data = weight.data.view(256, 16).t()  # same address and version, other strides
    torch.testing.assert_close(model(x), model.as_reference()(x), **rounding)
    before = model(x)
    weight.data = torch._neg_view(weight.data.contiguous())
    for one in (model, copy.deepcopy(model)):
        torch.testing.assert_close(one(x), -before, **rounding)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("how", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_a_step_of_an_optimiser_counts_in_evaluation_mode(
    model: Compiled, kind: type[torch.optim.Optimizer], how: dict[str, bool]
) -> None:
    optimiser = kind(model.parameters(), lr=0.1, **how)  # type: ignore[call-arg]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for _ in range(3):
        before = model(X)
        optimiser.step()
        assert not torch.allclose(model(X), before, **NEAR)
        assert_current(model)


def test_what_pytorch_keeps_no_record_of_counts_after_eval(model: Compiled) -> None:
    weight = model.F.weight
    for change in (
        weight.data.zero_,
        lambda: weight.detach().numpy().fill(2),
        lambda: weight.untyped_storage().copy_(drawn(5, 48).untyped_storage()),
        lambda: torch.from_dlpack(weight.detach()).numpy().fill(3),
    ):
        model(X)
        change()
        model.eval()
        assert_current(model)


def test_what_changes_in_training_mode_counts(model: Compiled) -> None:
    for _ in range(2):
        model.train()(X)
        model.F.weight.data.mul_(2)
        model.eval()
        assert_current(model)


def test_parameters_of_inference_mode_have_no_version(model: Compiled) -> None:
    with torch.inference_mode():
        model.F.weight = nn.Parameter(drawn(5, 48))
        assert_current(model)
        model.F.weight.mul_(2)
    assert_current(model)


def test_parametrisations_count_and_go(model: Compiled) -> None:
    class Twice(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    weight = model.F.weight
    before = model(X)
    parametrize.register_parametrization(model.F, "weight", Twice())
    assert not torch.allclose(model(X), before, **NEAR)
    assert_current(model)
    with torch.no_grad():
        weight.add_(1)
    assert_current(model)
    with parametrize.cached():
        assert_current(model)
    copied = copy.deepcopy(model)
    torch.testing.assert_close(copied(X), model(X), **NEAR)
    model.load_state_dict(copied.state_dict())
    parametrize.remove_parametrizations(model.F, "weight")
    assert_current(model)


def test_a_history_is_not_kept_alive(model: Compiled) -> None:
    """A parameter that was computed holds what it was computed from, so it must not be held."""
    freed = Event()

    class Tracked(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, dy: Tensor) -> Tensor:
            return dy

    weight = Tracked.apply(model.F.weight)
    weight.grad_fn.register_hook(_Freed(freed))
    torch.func.functional_call(model, {"F.weight": weight}, (X,))
    del weight
    assert freed.is_set()


class _Freed:
    def __init__(self, event: Event) -> None:
        self.event = event

    def __call__(self, *gradients: object) -> None:
        pass

    def __del__(self) -> None:
        self.event.set()


# ------------------------------------------------------------------------- what cannot be packed


def quantised() -> Tensor:
    return torch.quantize_per_tensor(drawn(5, 48), 0.1, 0, torch.qint8)


def fake() -> Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.zeros(5, 48)


def without_memory() -> Tensor:
    weight = drawn(5, 48)
    weight.untyped_storage().resize_(0)
    return weight


def escaped() -> Tensor:
    kept: list[Tensor] = []
    torch.func.grad(lambda x: [kept.append(x), x.sum()][1])(drawn(5, 48))
    return kept[0]


WRONG: dict[str, tuple[Callable[[], Tensor], type[Exception], str]] = {
    "smaller": (lambda: torch.zeros(1), ValueError, r"has become \[1\]"),
    "larger": (lambda: torch.zeros(5, 49), ValueError, r"has become \[5, 49\]"),
    "transposed": (lambda: torch.zeros(48, 5), ValueError, r"has become \[48, 5\]"),
    "expanded": (lambda: torch.zeros(1, 5, 48), ValueError, r"has become \[1, 5, 48\]"),
    "scalar": (lambda: torch.tensor(1.0), ValueError, r"has become \[\]"),
    "meta": (lambda: torch.zeros(5, 48, device="meta"), TypeError, "a tensor on meta"),
    "double": (lambda: drawn(5, 48).double(), TypeError, "has become torch.float64"),
    "half": (lambda: drawn(5, 48).half(), TypeError, "has become torch.float16"),
    "complex": (lambda: drawn(5, 48) * 1j, TypeError, "has become torch.complex64"),
    "integer": (lambda: torch.zeros(5, 48, dtype=torch.int32), TypeError, "torch.int32"),
    "sparse": (lambda: drawn(5, 48).to_sparse(), TypeError, "torch.sparse_coo, not dense"),
    "rows": (lambda: drawn(5, 48).to_sparse_csr(), TypeError, "torch.sparse_csr, not dense"),
    "mkldnn": (lambda: drawn(5, 48).to_mkldnn(), TypeError, "torch._mkldnn, not dense"),
    "quantised": (quantised, TypeError, r"quantised \(torch.qint8\)"),
    "fake": (fake, TypeError, "a FakeTensor"),
    "lazy": (nn.UninitializedParameter, TypeError, "a UninitializedParameter"),
    "nested": (lambda: torch.nested.nested_tensor([drawn(5, 48)]), TypeError, "nested, not dense"),
    "no memory": (without_memory, TypeError, r"storage of 0 bytes does not hold \[5, 48\]"),
    "zeros": (lambda: torch._efficientzerotensor((5, 48)), TypeError, "without memory"),
}


def put(model: Compiled, tensor: Tensor) -> None:
    is_parameter = isinstance(tensor, nn.Parameter)
    model.F.weight = tensor if is_parameter else nn.Parameter(tensor, requires_grad=False)


@pytest.mark.filterwarnings("ignore:Sparse .*beta state", "ignore:.*quantize", "ignore:.*quantiz")
@pytest.mark.filterwarnings("ignore:.*nested tensors")
@pytest.mark.parametrize("kind", WRONG)
def test_a_parameter_of_another_kind_is_refused_by_name(model: Compiled, kind: str) -> None:
    make, error, message = WRONG[kind]
    before, state = model(X), model.state_dict()
    row, features = model.F, model.features("F")
    put(model, make())
    wanted = r"but small is compiled for torch.float32 \[5, 48\] on cpu: set it to a parameter of"
    for call in (lambda: model(X), lambda: features(X), lambda: model.profile(X)):
        with pytest.raises(error, match=rf"^F.weight .*{message}.*{wanted}"):
            call()
    with pytest.raises(error, match=message):
        copy.deepcopy(model)
    row.weight = nn.Parameter(state["F.weight"])
    torch.testing.assert_close(model(X), before, **NEAR)


def test_a_tensor_that_outlived_its_transform_is_refused(model: Compiled) -> None:
    before = model(X)
    with pytest.raises(TypeError, match=r"F.weight has become a tensor of a torch.func transform"):
        torch.func.functional_call(model, {"F.weight": escaped()}, (X,))
    torch.testing.assert_close(model(X), before, **NEAR)


@pytest.mark.parametrize("name", ["a.conv.weight", "a.bn.running_var", "F.bias"])
def test_every_parameter_and_buffer_is_checked(model: Compiled, name: str) -> None:
    path, _, last = name.rpartition(".")
    row = model.get_submodule(path)
    before = getattr(row, last)
    for wrong in (torch.zeros(7), before.detach().double()):
        setattr(row, last, nn.Parameter(wrong) if isinstance(before, nn.Parameter) else wrong)
        with pytest.raises((ValueError, TypeError), match=f"^{name} has become"):
            model(X)
    delattr(row, last)
    with pytest.raises(ValueError, match=f"^{name} is missing"):
        model(X)
    setattr(row, last, before)
    assert_current(model)


def test_sizes_are_checked_where_gradients_are_as_well(model: Compiled) -> None:
    """A bias of one number would be broadcast, and the answer would be another net's."""
    bias = model.F.bias
    model.F.bias = nn.Parameter(torch.zeros(1))
    for call in (model.eval(), model.train()):
        with pytest.raises(ValueError, match=r"F.bias has become \[1\]"):
            call(X.clone().requires_grad_())
    del model.F.bias
    with pytest.raises(ValueError, match=r"F.bias is missing"):
        model(X)
    model.F.bias = bias
    model(X).sum().backward()
    assert bias.grad is not None


@pytest.mark.parametrize("is_training", [False, True])
def test_a_row_that_is_missing_is_named(is_training: bool) -> None:
    model = netspec.compile(NET)
    del model.F
    model.train(is_training)
    for x in (X, X.clone().requires_grad_()):
        with pytest.raises(ValueError, match=r"^F.weight is missing, but small is compiled for"):
            model(x)
    with pytest.raises(ValueError, match=r"^F.weight is missing"):
        model.state_dict() and model.canonical()


def test_a_row_that_moved_away_is_refused(model: Compiled) -> None:
    state = model.state_dict()
    model.F.to("meta")
    with pytest.raises(TypeError, match=r"F.weight has become a tensor on meta"):
        model(X)
    model.load_state_dict(state, assign=True)
    assert_current(model)


# --------------------------------------------------------------------------------------- threads


def test_a_run_has_old_or_new_parameters_never_a_mixture() -> None:
    """All parameters are one number, and the answer tells whether it was the same for all."""
    net = loads("net deep\ninput x 8\na: fc 8\nb: fc 8\nc: fc 8\nd: fc 8\n")
    for is_held in (False, True):
        model = netspec.compile(net)
        states = [
            {name: torch.full_like(t, value) for name, t in model.state_dict().items()}
            for value in (0.5, 2.0)
        ]
        x = torch.ones(1, 8)
        model.load_state_dict(states[0])
        if is_held:
            list(model.parameters())
        wanted = []
        for state in states:
            model.load_state_dict(state)
            wanted.append(model(x))
        done = Event()

        def load(model: Compiled = model, states: list[dict[str, Tensor]] = states) -> None:
            for i in range(150):
                model.load_state_dict(states[i % 2])
            done.set()  # noqa: B023

        def run(model: Compiled = model, wanted: list[Tensor] = wanted) -> int:
            runs = 0
            while not done.is_set():  # noqa: B023
                y = model(x)  # noqa: B023
                assert any(torch.equal(y, one) for one in wanted)
                runs += 1
            return runs

        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(run) for _ in range(3)]
            pool.submit(load).result()
            assert all(one.result() for one in runs)


def test_the_packed_parameters_share_nothing_with_those_of_the_spec(model: Compiled) -> None:
    """Or a run would see half of a change that is made in place meanwhile."""
    plain = netspec.compile(NET, choices=dict.fromkeys(model.lowered.problems, "torch"))
    for one in (model, plain):
        own = {t.untyped_storage().data_ptr() for t in [*one.parameters(), *one.buffers()]}
        with torch.no_grad():
            one.F.weight.add_(1)
        one(X)
        packed = [t for tensors in one.packed.tensors.values() for t in tensors.values()]
        assert packed
        assert not own & {t.untyped_storage().data_ptr() for t in packed if not t.is_mkldnn}
