"""A change of parameters counts whole or not at all, whatever is raised, and at whatever line."""

from __future__ import annotations

import gc
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netspec
from netspec import loads
from netspec.runtime.compiled import Compiled
from netspec.runtime.packed import Packed
from netspec.runtime.weights import save_tensors

NET = loads("net small\ninput image 5x5x2\na: conv 3x3, 3, bias=off | bn eps=0.1 | relu\nF: fc 4\n")
X = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(1))
NEAR = {"rtol": 1e-5, "atol": 1e-5}
"""For float32 values of size one, that three stages computed from packed or folded weights."""

State = dict[str, Tensor]


def state_of(seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)
    shapes = netspec.reference(NET).state_dict()
    return {n: torch.rand(t.shape, generator=generator) + 0.5 for n, t in shapes.items()}


OLD, NEW = state_of(1), state_of(2)


PLAIN, LOWERED = netspec.reference(NET), netspec.compile(NET).lowered


def answer(state: State) -> Tensor:
    PLAIN.load_state_dict(state)
    return PLAIN(X).detach()


def fresh(is_held: bool) -> Compiled:
    model = Compiled(NET, LOWERED, {name: tensor.clone() for name, tensor in OLD.items()})
    if is_held:
        list(model.parameters())
    return model


def clones(state: State) -> State:
    """For a load that assigns them, after which they are the model's."""
    return {name: tensor.clone() for name, tensor in state.items()}


def same(a: State, b: State) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def assert_is(model: Compiled, *states: State) -> None:
    """It runs, saves and loads, is one of these states, and sees what changes after that."""
    model.eval()
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert any(same(kept, state) for state in states)
    torch.testing.assert_close(model(X).detach(), answer(kept), **NEAR)
    model.load_state_dict(NEW)
    assert same(model.state_dict(), NEW)
    torch.testing.assert_close(model(X).detach(), answer(NEW), **NEAR)
    with torch.no_grad():
        model.F.weight.copy_(OLD["F.weight"])
    changed = NEW | {"F.weight": OLD["F.weight"]}
    torch.testing.assert_close(model(X).detach(), answer(changed), **NEAR)


# ------------------------------------------------------------------------ what cannot be loaded


def resized(tensor: Tensor) -> Tensor:
    copied = tensor.clone()
    copied.untyped_storage().resize_(4)
    return copied


WRONG: dict[str, Callable[[Tensor], Any]] = {
    "sparse": lambda t: t.to_sparse(),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "NumPy": lambda t: t.numpy(),
    "a list": lambda t: t.tolist(),
    "None": lambda t: None,
    "complex": lambda t: t * 1j,
    "meta": lambda t: t.to("meta"),
    "another shape": lambda t: t.flatten(),
    "a module": lambda t: nn.Linear(2, 2),
}


@pytest.mark.filterwarnings("ignore:.*quantiz")
@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", ["a.conv.weight", "F.weight"])
def test_what_cannot_be_loaded_changes_nothing(name: str, kind: str, is_held: bool) -> None:
    model = fresh(is_held)
    with pytest.raises(RuntimeError, match=rf"(?s)loading state_dict for Compiled.*{name}"):
        model.load_state_dict(NEW | {name: WRONG[kind](NEW[name])})
    assert model.is_unpacked == is_held
    assert_is(model, OLD)


def test_a_storage_that_is_too_small_is_not_read() -> None:
    model = fresh(False)
    with pytest.raises(RuntimeError, match=r"F.weight.*a tensor whose storage of 4 bytes"):
        model.load_state_dict(NEW | {"F.weight": resized(NEW["F.weight"])})
    assert_is(model, OLD)


@pytest.mark.parametrize("is_held", [False, True])
def test_missing_and_unexpected_names_change_nothing(is_held: bool) -> None:
    for wrong in (
        {name: t for name, t in NEW.items() if name != "F.bias"},
        NEW | {"G.weight": torch.ones(1)},
    ):
        model = fresh(is_held)
        with pytest.raises(RuntimeError, match=r"Missing key|Unexpected key"):
            model.load_state_dict(wrong)
        assert_is(model, OLD)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("is_held", [False, True])
def test_a_load_replaces_only_what_may_be_replaced(is_held: bool, assign: bool) -> None:
    """Optimisers go on with the parameters that they know, unless others are assigned."""
    model = fresh(is_held)
    before = model.F.weight if is_held else None
    model.load_state_dict(clones(NEW), assign=assign)
    if is_held:
        assert (model.F.weight is before) == (not assign)
        assert isinstance(model.F.weight, nn.Parameter)
    assert_is(model, NEW)


@pytest.mark.parametrize("is_held", [False, True])
def test_tensors_that_are_assigned_count_when_they_change(is_held: bool) -> None:
    model = fresh(is_held)
    state = {name: tensor.clone() for name, tensor in OLD.items()}
    model.load_state_dict(state, assign=True)
    torch.testing.assert_close(model(X), answer(OLD), **NEAR)
    for name, tensor in state.items():
        tensor.copy_(NEW[name])
    torch.testing.assert_close(model(X), answer(NEW), **NEAR)


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize(
    "extra", [torch.ones(3), nn.Parameter(torch.ones(3)), nn.Linear(2, 3)], ids=type
)
def test_what_a_user_adds_is_saved_and_loaded(extra: Tensor | nn.Module, is_held: bool) -> None:
    model = fresh(is_held)
    if isinstance(extra, nn.Module | nn.Parameter):
        model.extra = extra
    else:
        model.register_buffer("extra", extra)
    twice = {name: 2 * tensor.clone() for name, tensor in model.state_dict().items()}
    assert len(twice) > len(OLD)
    model.load_state_dict(twice)
    state = model.state_dict()
    assert sorted(state) == sorted(twice)
    assert all(torch.equal(state[name], tensor) for name, tensor in twice.items())


@pytest.mark.parametrize("is_held", [False, True])
def test_no_memory_changes_nothing(is_held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Packed) -> None:
        raise MemoryError

    model = fresh(is_held)
    with monkeypatch.context() as patch:
        patch.setattr(Packed, "executor", fails)
        if is_held:
            model.load_state_dict(NEW)  # and is packed when it runs
        with pytest.raises(MemoryError):
            model(X) if is_held else model.load_state_dict(NEW)
    assert_is(model, NEW if is_held else OLD)


def test_a_file_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    for is_held in (False, True):
        model = fresh(is_held)
        for wrong in (
            NEW | {"F.weight": torch.ones(3)},
            {name: t for name, t in NEW.items() if name != "F.bias"},
            NEW | {"F.bias": torch.ones(4, dtype=torch.int32)},
        ):
            save_tensors(wrong, tmp_path / "w.safetensors")
            with pytest.raises(netspec.DataError, match="are not this net's"):
                netspec.load_weights(model, tmp_path / "w.safetensors")
        assert_is(model, OLD)


# ---------------------------------------------------------------------------------- inside others


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("is_held", [False, True])
def test_inside_another_module_it_is_whole_as_well(is_held: bool, assign: bool) -> None:
    model = fresh(is_held)
    outer = nn.Sequential(model, nn.Linear(4, 2))
    ends = {f"1.{name}": t for name, t in outer[1].state_dict().items()}

    def load(state: dict[str, Any], **options: bool) -> Any:
        named = {f"0.{name}": t for name, t in clones(state).items()}
        return outer.load_state_dict(named | ends, assign=assign, **options)

    with pytest.raises(RuntimeError, match=r"(?s)size mismatch for 0.F.weight: copying a param"):
        load(NEW | {"F.weight": torch.ones(2)})
    assert same(model.state_dict(), OLD)
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"0.G.weight"'):
        load(OLD | {"G.weight": torch.ones(2)})
    some = {"F.bias": NEW["F.bias"]}
    missing = load(some, strict=False).missing_keys
    assert sorted(missing) == sorted(f"0.{name}" for name in NEW if name != "F.bias")
    assert same(model.state_dict(), OLD | some)
    load(NEW)
    assert_is(model, NEW)


# ------------------------------------------------------------------------------------ interrupts


HOME = Path(netspec.__file__).parent
COMPILED = str(HOME / "backends" / "compiled.py")
CHANGING = {
    *(str(HOME / "backends" / f"{name}.py") for name in ("loading", "parameters", "packed")),
    *(COMPILED, nn.modules.module.__file__),
}
"""Where what is changed is."""

ALL = (CHANGING | {str(path) for path in HOME.rglob("*.py")}) - {
    str(HOME / "backends" / "cpu" / name) for name in ("pages.py", "executor.py")
}
"""Not where a lock is held that all nets share: an exception that is raised on the way out of
``with`` keeps ``__exit__`` from running, which no signal does."""

Line = tuple[str, int]


class Interrupter:
    """Raises KeyboardInterrupt as a line begins, the n-th time that it is run."""

    def __init__(self, at: tuple[Line, int] | None, files: set[str]) -> None:
        self.at, self.files, self.lines = at, files, Counter[Line]()
        self.is_done = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        file = frame.f_code.co_filename
        if file not in self.files:
            return None
        if event == "line":
            line = file, frame.f_lineno
            self.lines[line] += 1
            if (line, self.lines[line]) == self.at:
                self.is_done = True
                raise KeyboardInterrupt
        return self


def interrupted(
    call: Callable[[], object], at: tuple[Line, int] | None, files: set[str]
) -> Interrupter:
    """What a call ran, up to the line that interrupted it."""
    interrupter, before = Interrupter(at, files), sys.gettrace()
    sys.settrace(interrupter)
    try:
        call()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
        torch.set_grad_enabled(True)  # as ``ALL`` says, ``no_grad`` may not have ended
        gc.enable()  # nor ``without_collecting``
    return interrupter


def load(model: Compiled) -> None:
    model.load_state_dict(NEW)


def load_part(model: Compiled) -> None:
    model.load_state_dict({n: NEW[n] for n in ("a.conv.weight", "F.bias")}, strict=False)


def assign(model: Compiled) -> None:
    model.load_state_dict(clones(NEW), assign=True)


def load_inside(model: Compiled) -> None:
    nn.Sequential(model).load_state_dict({f"0.{name}": t for name, t in NEW.items()})


def unpack(model: Compiled) -> None:
    model._unpack()


def train(model: Compiled) -> None:
    model.train()


def record(model: Compiled) -> None:
    model(X.clone().requires_grad_())


def run_again(model: Compiled) -> None:
    model.load_state_dict(NEW)
    model(X)


def replace(model: Compiled) -> None:
    model.F.weight = nn.Parameter(NEW["F.weight"])
    model(X)


PART = OLD | {name: NEW[name] for name in ("a.conv.weight", "F.bias")}
REPLACED = OLD | {"F.weight": NEW["F.weight"]}

CALLS: list[tuple[Callable[[Compiled], None], State]] = [
    *[(load, NEW), (load_part, PART), (assign, NEW), (load_inside, NEW), (run_again, NEW)],
    *[(unpack, OLD), (train, OLD), (record, OLD), (replace, REPLACED)],
]


SEED = {call: i for i, (call, _) in enumerate(CALLS)}


def interrupt(
    call: Callable[[Compiled], None], after: State, is_held: bool, every: int, files: set[str]
) -> dict[tuple[Line, int], bool]:
    """Whether each place was reached again and interrupted, after which the state is old or new.

    At one in so many lines, the first time that one is run and the last, but at every line of
    ``Compiled._hold``, which switches from packed to held parameters.
    """

    def attempt(at: tuple[Line, int] | None) -> Interrupter:
        model = fresh(is_held)
        interrupter = interrupted(lambda: call(model), at, files)
        assert_is(model, OLD, after)
        return interrupter

    lines, attempts = attempt(None).lines, dict[tuple[Line, int], bool]()
    code, start = inspect.getsourcelines(Compiled._hold)
    switch = {(COMPILED, number) for number in range(start, start + len(code))} & {*lines}
    for line in {*list(lines)[(1 + is_held + 2 * SEED[call]) % every :: every], *switch}:
        places = {(line, 1), (line, lines[line])}
        attempts |= {place: attempt(place).is_done for place in places}
    return attempts


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize(("call", "after"), CALLS)
def test_an_interrupt_leaves_the_old_state_or_the_new_one(
    call: Callable[[Compiled], None], after: State, is_held: bool
) -> None:
    assert all(interrupt(call, after, is_held, 11, CHANGING).values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in finalisers
@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize(("call", "after"), CALLS)
def test_an_interrupt_at_any_line_leaves_the_old_state_or_the_new_one(
    call: Callable[[Compiled], None], after: State, is_held: bool
) -> None:
    reached = interrupt(call, after, is_held, 1, ALL).values()
    # Lines that make what all nets share, such as layouts of oneDNN, do not run each time.
    assert sum(reached) > 0.9 * len(reached) > 0
