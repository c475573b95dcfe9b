"""A pass over a data set: the same result for all batches, workers and interruptions."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.data.dataset import Example, Pixels
from netspec.errors import DataError
from netspec.files.tensors import opened_tensors
from netspec.runtime.weights import save_tensors
from netspec.see import streaming
from netspec.see.streaming import CHUNK, Interrupted, forget, part_of, split_of, stream
from netspec.see.strongest import Strongest
from netspec.see.subject import Seen, open_seen
from tests.training.example_data import Drawn

SPEC = """net small
input image 8x8x3
C1: conv 3x3, 6, pad=1 | relu
C2: conv 3x3, 5 | relu
F3: fc 7
prepare range low=0, high=1
"""


@pytest.fixture(scope="module")
def seen() -> Seen:
    return open_seen(netspec.loads(SPEC))


def data(count: int = 75, corrupt: tuple[int, ...] = (3, 20)) -> Drawn:
    return Drawn(count, (8, 8), corrupt=corrupt)


def passed(seen: Seen, dataset: Drawn, row: str = "C2", **options: object) -> Strongest:
    strongest = Strongest(seen.shape_of(row).channels, 4)
    stream(seen, dataset, row, strongest, **options)  # type: ignore[arg-type]
    return strongest


def assert_same(one: Strongest, other: Strongest) -> None:
    """Bit for bit."""
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor, other.tensors()[name]), name


@pytest.mark.parametrize("options", [{"batch": 1}, {"batch": 33}, {"batch": 500}, {"workers": 1}])
def test_batches_and_workers_do_not_change_a_bit(seen: Seen, options: dict[str, int]) -> None:
    assert_same(passed(seen, data(), **options), passed(seen, data()))


def test_each_image_has_its_own_place_in_batches_of_one_size(seen: Seen) -> None:
    # whether a batch of another size moves last digits depends on the net and the machine
    batches: list[torch.Tensor] = []
    first = seen.model.get_submodule("C1")
    hook = first.register_forward_pre_hook(lambda _, given: batches.append(given[0].clone()))
    try:
        passed(seen, data(20), batch=500)
    finally:
        hook.remove()
    assert [len(batch) for batch in batches] == [CHUNK, CHUNK]
    images = torch.cat(batches)
    for number in range(2 * CHUNK):
        is_there = number < 20 and number not in data().corrupt
        pixels = data().pixels(number) if is_there else np.zeros((8, 8, 3), np.uint8)
        assert torch.equal(images[number], seen.batch([pixels])[0]), number


@pytest.mark.parametrize("row", ["C1", "C2", "F3"])
def test_the_result_is_that_of_the_definition(seen: Seen, row: str) -> None:
    dataset, strongest = data(), passed(seen, data(), row)
    entries: list[tuple[int, np.ndarray]] = []
    for number in range(len(dataset)):
        if number not in dataset.corrupt:
            batch = seen.batch([dataset.pixels(number)]).repeat(CHUNK, 1, 1, 1)
            y = seen.features(row, batch)[0]
            entries.append((number, y.reshape(len(y), -1).double().numpy()))
    for channel in range(seen.shape_of(row).channels):
        best = [(-y[channel].max(), number, y[channel].argmax()) for number, y in entries]
        values, numbers, places = zip(*sorted(best)[:4], strict=True)
        assert strongest.numbers[channel].tolist() == list(numbers)
        assert strongest.places[channel].tolist() == list(places)
        # an image in another place of its batch may differ by rounding in float32
        assert strongest.values[channel].numpy() == pytest.approx(-np.array(values), rel=1e-5)


class Equal(Drawn):
    """Images that are all equal, and have the same value in all pixels."""

    def pixels(self, number: int) -> Pixels:
        return np.full((8, 8, 3), 100, np.uint8)


def test_of_equal_activations_the_first_image_and_position_are_taken(seen: Seen) -> None:
    strongest = passed(seen, Equal(40, (8, 8)), "C2")
    assert strongest.numbers.tolist() == [[0, 1, 2, 3]] * 5
    assert (strongest.values == strongest.values[:, :1]).all()
    y = seen.features("C2", seen.batch([Equal(1, (8, 8)).pixels(0)] * CHUNK))[0].flatten(1)
    assert strongest.places[:, 0].tolist() == [one.tolist().index(one.max()) for one in y]


def test_fewer_images_than_are_kept(seen: Seen) -> None:
    strongest = passed(seen, data(3, ()))
    assert strongest.values.isfinite().sum(1).tolist() == [3] * 5


# ---------------------------------------------------------------------------------- interruptions


class Counting(Drawn):
    """Images that are counted when they are read."""

    def __init__(self, count: int) -> None:
        super().__init__(count, (8, 8))
        self.read: list[int] = []

    def example(self, number: int) -> Example:
        self.read.append(number)
        return super().example(number)


def interrupt(done: int, images: int) -> None:
    if done == 32:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupted_pass_continues(seen: Seen, tmp_path: Path) -> None:
    state, dataset = tmp_path / "a.pass", Counting(75)
    with pytest.raises(Interrupted) as caught:
        passed(seen, dataset, batch=16, state=state, advance=interrupt)
    assert "stopped after 32 of 75 images, and is saved in" in str(caught.value)
    assert caught.value.number == signal.SIGINT
    assert dataset.read == [*range(32)]
    continued = passed(seen, dataset, batch=48, state=state)
    assert dataset.read == [*range(75)]
    assert_same(continued, passed(seen, Counting(75)))
    dataset.read.clear()
    assert_same(continued, passed(seen, dataset, state=state))  # a finished pass
    assert not dataset.read


def test_a_signal_during_the_last_batch_stops_as_well(seen: Seen, tmp_path: Path) -> None:
    # otherwise a picture of many short passes could not be stopped
    def last(done: int, images: int) -> None:
        if done == images:
            signal.raise_signal(signal.SIGINT)

    state = tmp_path / "a.pass"
    with pytest.raises(Interrupted, match="stopped after 75 of 75 images, and is saved in"):
        passed(seen, data(), state=state, advance=last)
    assert_same(passed(seen, data(), state=state), passed(seen, data()))


def test_a_killed_pass_continues_from_the_last_save(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "SAVE_EVERY", -1.0)
    state, dataset = tmp_path / "a.pass", Counting(75)

    def kill(done: int, images: int) -> None:
        if done == 48:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        passed(seen, dataset, batch=16, state=state, advance=kill)
    dataset.read.clear()
    continued = passed(seen, dataset, state=state)
    assert dataset.read == [*range(32, 75)]
    assert_same(continued, passed(seen, Counting(75)))


def test_ctrl_c_is_not_held_up_where_nothing_is_saved(seen: Seen) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of a shell ignores it
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            passed(seen, data(), batch=16, advance=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not isinstance(caught.value, Interrupted)


def other_weights() -> Seen:
    changed = open_seen(netspec.loads(SPEC))
    with torch.no_grad():
        changed.model.C2.weight[0, 0, 0, 0] += 1
    return changed


@pytest.mark.parametrize(
    "other",
    [
        lambda seen, state: passed(seen, data(74), state=state),
        lambda seen, state: passed(seen, data(), "C1", state=state),
        lambda seen, state: passed(other_weights(), data(), state=state),
        lambda seen, state: passed(
            open_seen(netspec.loads(SPEC), prepare="range low=0, high=2"), data(), state=state
        ),
    ],
    ids=["data", "row", "weights", "prepare"],
)
def test_the_state_of_another_pass_is_refused(
    seen: Seen, tmp_path: Path, other: Callable[[Seen, Path], Strongest]
) -> None:
    state = tmp_path / "a.pass"
    passed(seen, data(), state=state)
    before = state.read_bytes()
    with pytest.raises(DataError, match=r"a\.pass is not the state of this pass: .*; remove it"):
        other(seen, state)
    assert state.read_bytes() == before


def without(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["values"]


def wider(tensors: dict[str, torch.Tensor]) -> None:
    tensors["values"] = torch.zeros(5, 9, dtype=torch.float64)


def of_another_type(tensors: dict[str, torch.Tensor]) -> None:
    tensors["counts"] = tensors["counts"].float()


@pytest.mark.parametrize("change", [without, wider, of_another_type])
def test_a_state_with_other_tensors_is_refused(
    change: Callable[[dict[str, torch.Tensor]], None], seen: Seen, tmp_path: Path
) -> None:
    state = tmp_path / "a.pass"
    passed(seen, data(), state=state)
    with opened_tensors(state) as file:
        notes, tensors = file.notes, file.read()
    notes.pop("sha256")
    change(tensors)
    save_tensors(tensors, state, notes)
    with pytest.raises(DataError, match=r"a\.pass is not the state of this pass: .*; remove it"):
        passed(seen, data(), state=state)


def test_a_damaged_state_is_refused(seen: Seen, tmp_path: Path) -> None:
    state = tmp_path / "a.pass"
    passed(seen, data(), state=state)
    state.write_bytes(state.read_bytes()[:-8] + b"damaged!")
    with pytest.raises(DataError, match=r"a\.pass: the file is damaged"):
        passed(seen, data(), state=state)
    state.write_text("not a state")
    with pytest.raises(DataError, match=r"a\.pass"):
        passed(seen, data(), state=state)


def test_a_pass_is_forgotten_with_its_parts(tmp_path: Path) -> None:
    state, other = tmp_path / "[a].pass", tmp_path / "a.pass"
    for path in (state, part_of(state, "epoch-0001"), part_of(state, "epoch-0002"), other):
        path.touch()
    forget(state)
    assert [*tmp_path.iterdir()] == [other]
    forget(state)


# --------------------------------------------------------------------------------------- bad input


def test_images_that_cannot_be_read_are_noted_and_skipped(seen: Seen) -> None:
    notes: list[str] = []
    passed(seen, data(), note=notes.append)
    assert len(notes) == 2
    assert "cannot read image-3.png" in notes[0]
    with pytest.raises(DataError, match="no image of drawn images can be used"):
        passed(seen, data(5, (0, 1, 2, 3, 4)))


def test_activations_that_are_not_finite_are_refused() -> None:
    seen = open_seen(netspec.loads(SPEC))
    with torch.no_grad():
        seen.model.C1.bias[0] = 3e38
        seen.model.C2.weight[0, 0] = 1e3
    with pytest.raises(DataError, match="C2 of small are not finite for image 0, counted from 0"):
        passed(seen, data())


def test_a_split_is_chosen(run: Path, seen: Seen) -> None:
    of_run = open_seen(run)
    assert split_of(of_run, None, "validation").name == "digits, 360 for validation"
    assert split_of(seen, "digits:8", "train").name == "digits, 1,437 for training"
    with pytest.raises(DataError, match="small does not have a data set: give one with --data"):
        split_of(seen, None, "train")
    with pytest.raises(ValueError, match="split must be one of train, validation, not 'test'"):
        split_of(seen, "digits", "test")
    with pytest.raises(DataError, match="'digit' is not a data set"):
        split_of(seen, "digit", "train")
