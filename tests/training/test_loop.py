"""Runs: the same bits from the same seed, with pauses or without; and what stops them."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from netspec.artifact.manifest import WEIGHTS
from netspec.data import open_data
from netspec.errors import DataError
from netspec.net import load
from netspec.training import directory as runs
from netspec.training import loop, stopping
from netspec.training.checkpoint import Checkpoint
from netspec.training.loop import resume, train
from netspec.training.progress import Moment, Report
from netspec.training.run import Run
from netspec.training.settings import Settings, recipe_json
from netspec.training.stopping import Stopped
from tests.training.runs import NET, RECIPE, metrics, settings, started, weights


class Interrupting(Report):
    """Sends a signal to its own process behind some step."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.left, self.number = step, number

    def step(self, moment: Moment) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(settings(folder), folder / "run")
    return folder / "run"


def test_a_net_learns(whole: Path) -> None:
    first, *_, last = metrics(whole)
    assert last["loss"] < first["loss"] / 2
    assert last["top1"] < 20
    assert last["steps"] == 3 * 23


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, whole: Path) -> None:
    result = train(settings(tmp_path), tmp_path / "again")
    assert weights(tmp_path / "again") == weights(whole)
    assert metrics(tmp_path / "again") == metrics(whole)
    assert result.top1 == metrics(whole)[-1]["top1"]


def test_another_seed_gives_others(tmp_path: Path, whole: Path) -> None:
    train(settings(tmp_path, seed=1), tmp_path / "other")
    assert weights(tmp_path / "other") != weights(whole)


def test_workers_do_not_matter(tmp_path: Path, whole: Path) -> None:
    train(settings(tmp_path, workers=1), tmp_path / "workers")
    assert weights(tmp_path / "workers") == weights(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", [1, 24])
def test_a_pause_changes_nothing(tmp_path: Path, whole: Path, step: int, number: int) -> None:
    directory = tmp_path / "run"
    before = signal.getsignal(number)
    if before == signal.SIG_IGN:  # under nohup, which a run respects
        signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(Stopped) as caught:
            train(settings(tmp_path), directory, report=Interrupting(step, number))
    finally:
        signal.signal(number, before)
    assert caught.value.number == number
    assert not (directory / WEIGHTS).exists()
    # a signal behind the last step of an epoch is seen in the first of the next
    assert abs(_steps(directory) - step) <= 1
    resume(directory)
    assert weights(directory) == weights(whole)
    assert metrics(directory) == metrics(whole)


def _steps(directory: Path) -> int:
    state = Checkpoint.load(directory / runs.CHECKPOINT, Run.open(directory).net.graph).state
    return state.epoch * 23 + state.steps


class Twice(Report):
    """Sends a signal to its own process, and another one right after it."""

    def __init__(self, second: int) -> None:
        self.second = second

    def step(self, moment: Moment) -> None:
        # To this thread: signals to the process can reach another thread, and both as one.  The
        # pause lets Python run the first handler before the second signal is raised.
        signal.raise_signal(signal.SIGINT)
        sleep(0.01)
        signal.raise_signal(self.second)


@pytest.fixture
def interrupt() -> Iterator[None]:
    """Handle SIGINT: a shell starts programs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupt")
def test_a_second_interrupt_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AGAIN", -1.0)  # seconds that have passed
    with pytest.raises(KeyboardInterrupt) as caught:
        train(settings(tmp_path), tmp_path / "run", report=Twice(signal.SIGINT))
    assert not isinstance(caught.value, Stopped)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_come_together_are_one(tmp_path: Path, second: int) -> None:
    """As `timeout` sends SIGTERM twice, and systemd SIGTERM and SIGHUP."""
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with pytest.raises(Stopped) as caught:
        train(settings(tmp_path), tmp_path / "run", report=Twice(second))
    assert caught.value.number == signal.SIGINT
    assert Run.open(tmp_path / "run").has_begun
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


def test_a_run_that_has_finished_is_left_alone(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    result = resume(whole)
    assert result.steps == 69
    after = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    before.pop(whole / runs.LOCK), after.pop(whole / runs.LOCK)
    assert before == after


def test_a_run_knows_what_it_was_made_of(whole: Path) -> None:
    about = json.loads((whole / runs.ABOUT).read_bytes())
    assert about["settings"]["seed"] == 0
    assert about["recipe"]["optimizer"] == [
        {"step": "sgd", "lr": 0.1, "momentum": 0.9, "decay": 0.0005}
    ]
    assert about["made_by"]["torch"] == torch.__version__
    assert about["data"]["train"]["images"] == 1437
    assert about["classes"] == list("0123456789")
    assert (whole / "spec.net").read_text() == (whole.parent / "small.net").read_text()
    assert json.loads((whole / "plan.json").read_bytes())["choices"].keys() >= {"F3.softmax"}
    assert len(list(whole.glob("events.out.tfevents.*"))) == 1


def test_what_is_asked_for_is_in_place_of_the_recipe(tmp_path: Path) -> None:
    asked = settings(tmp_path, lr=0.125, decay=0.0, batch=500, epochs=1, is_augmented=False)
    result = train(asked, tmp_path / "run")
    assert result.steps == 3
    recipe = Run.open(tmp_path / "run").recipe
    assert recipe.augment == []
    assert [row["lr"] for row in metrics(tmp_path / "run")] == [0.125]
    assert json.loads((tmp_path / "run" / runs.ABOUT).read_bytes())["recipe"]["augment"] == []


def test_weights_of_another_run_are_taken_where_they_fit(tmp_path: Path, whole: Path) -> None:
    told: list[str] = []

    class Noting(Report):
        def note(self, text: str) -> None:
            told.append(text)

    asked = settings(tmp_path, init_from=str(whole), epochs=1, snapshots=(0,))
    train(asked, tmp_path / "run", report=Noting())
    first = load_file(tmp_path / "run" / "snapshots" / "epoch-0000.safetensors")
    for name, tensor in load_file(whole / WEIGHTS).items():
        assert torch.equal(first[name], tensor)
    assert told[0].startswith(f"copied from {whole}: C1.weight")


# -------------------------------------------------------------------------- what stops a run


def test_a_loss_that_is_not_finite_is_named_with_its_step(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    asked = settings(tmp_path, lr=1e20, checkpoint_every=0.0)
    message = r"the loss of step 2 is not finite \(F3 is the first row with .*\): .*--lr 1e\+19"
    with pytest.raises(DataError, match=message):
        train(asked, directory)
    checkpoint = Checkpoint.load(directory / runs.CHECKPOINT, Run.open(directory).net.graph)
    assert all(tensor.isfinite().all() for tensor in checkpoint.model.values())


def test_a_run_that_fails_in_its_first_step_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    hopeless = settings(
        tmp_path, RECIPE.replace("init      glorot", "init      gaussian 1000000000000000000")
    )
    with pytest.raises(
        DataError, match=r"loss of step 1 is not finite \(F3 is .*\): .* \(--init\)$"
    ):
        train(hopeless, directory)
    assert not directory.exists()
    with pytest.raises(DataError, match="is not a run directory"):
        resume(directory)
    directory.mkdir()  # which somebody made, or not
    with pytest.raises(DataError, match="loss of step 1"):
        train(hopeless, directory)
    train(settings(tmp_path, epochs=1), directory)


def test_a_run_that_another_rank_ends_before_it_learns_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(self: loop.Ranks) -> None:
        assert Run.open(tmp_path / "run").settings.epochs == 1
        raise DataError("rank 1 has stopped")

    monkeypatch.setattr(loop.Ranks, "wait", ended)
    with pytest.raises(DataError, match="rank 1 has stopped"):
        train(settings(tmp_path, epochs=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_gradient_that_is_not_finite_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is finite all the while, and the weights of the step before stay."""
    called: list[int] = []

    original = loop.loss

    def overflowing(*arguments: Any, **named: Any) -> torch.Tensor:
        value = original(*arguments, **named)
        called.append(0)
        if len(called) == 3:
            value.register_hook(lambda gradient: gradient * float("inf"))
        return value

    monkeypatch.setattr(loop, "loss", overflowing)
    message = r"a gradient of step 3 is not finite \(C1.weight is (NaN|infinite) at .*after step 2"
    with pytest.raises(DataError, match=message):
        train(settings(tmp_path, checkpoint_every=0.0), tmp_path / "run")


def test_a_buffer_that_is_not_finite_goes_into_no_checkpoint(tmp_path: Path) -> None:
    class Breaking(Report):
        def step(self, moment: Moment) -> None:
            if moment.step == 3:
                learner.trainee.model.get_buffer("C1.bn.running_var")[1] = float("inf")

        def begin(self, run: Run, steps: int, state: object) -> None:
            pass

    learner: Any = None
    original = loop.Learner

    class Keeping(original):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any) -> None:
            nonlocal learner
            super().__init__(*arguments)
            learner = self

    spec = NET.replace("conv 3x3, 4 |", "conv 3x3, 4 | bn eps=0.1 |") + RECIPE
    (tmp_path / "bn.net").write_text(spec, encoding="utf-8")
    asked = Settings(spec=str(tmp_path / "bn.net"), data="digits:8", checkpoint_every=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Learner", Keeping)
        message = r"weights after step 3 are not finite \(C1.bn.running_var is infinite at \[1\]"
        with pytest.raises(DataError, match=message):
            train(asked, tmp_path / "run", report=Breaking())


def test_a_checkpoint_that_is_not_finite_is_refused(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    for name, tensor in (("F3.bias", "model/F3.bias"), ("F3.weight", "velocity/F3.weight")):
        checkpoint = Checkpoint.load(whole / runs.CHECKPOINT, Run.open(whole).net.graph)
        part = checkpoint.model if tensor.startswith("model") else checkpoint.velocity
        part[name].view(-1)[1] = float("nan")
        checkpoint.save(path / runs.CHECKPOINT)
        (path / WEIGHTS).unlink(missing_ok=True)
        with pytest.raises(DataError, match=rf"checkpoint\S* are not finite: {tensor} is NaN at"):
            resume(path)


def test_a_spec_without_a_recipe_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="small does not have a training recipe: add `train"):
        train(settings(tmp_path, recipe=""), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["data", "a/deeper"])
def test_a_directory_with_other_files_is_not_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "run" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="contains other files: use another folder"):
        train(settings(tmp_path), tmp_path / "run")


def test_a_run_is_not_begun_over_another(tmp_path: Path, whole: Path) -> None:
    before = weights(whole)
    with pytest.raises(DataError, match=f"already contains a run: .*--resume {whole}"):
        train(settings(tmp_path), whole)
    assert weights(whole) == before


def test_where_there_is_no_run_none_goes_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a run directory: there is no run.json in it"):
        resume(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (runs.CHECKPOINT, "the file is damaged: it has"),
        (runs.ABOUT, "run.json is damaged: its digest differs from that in members.sha256"),
        (runs.STATISTICS, "not a complete|the file is damaged"),
        ("spec.net", "spec.net is damaged: its digest differs"),
    ],
)
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, name: str, message: str) -> None:
    directory = _paused(tmp_path)
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(Exception, match=message) as caught:
        resume(directory)
    assert type(caught.value).__name__ in ("DataError", "SpecError")
    (directory / name).write_bytes(content)
    resume(directory)


def _paused(folder: Path) -> Path:
    with pytest.raises(Stopped):
        train(settings(folder), folder / "run", report=Interrupting(5))
    return folder / "run"


def test_data_that_has_changed_is_refused(tmp_path: Path) -> None:
    directory = _paused(tmp_path)
    about = json.loads((directory / runs.ABOUT).read_bytes())
    about["data"]["validation"]["digest"] = "0" * 64
    (directory / runs.ABOUT).write_text(json.dumps(about))
    (directory / runs.SUMS).unlink()
    with pytest.raises(DataError, match="digits:8 has changed: its validation split"):
        resume(directory)


# ---------------------------------------------------------------- disks, and other processes


def _report(work: str, outcome: Path, directory: Path, asked: Settings, limit: int) -> None:
    """Train with a limit on the size of files, if there is one, and with no rights of root."""
    _be_nobody_special()
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    message = "nothing went wrong"
    try:
        if work == "train":
            train(asked, directory)
        else:
            resume(directory)
    except DataError as error:
        message = str(error)
    outcome.write_text(message)


def _be_nobody_special() -> None:
    """Give up the right of root to write into what is read-only, CAP_DAC_OVERRIDE."""
    libc, capabilities = ctypes.CDLL(None), ctypes.create_string_buffer(24)
    header = struct.pack("=Ii", 0x20080522, 0)  # the third version of the structure; this process
    assert libc.capget(header, capabilities) == 0
    effective, *rest = struct.unpack("=6I", capabilities)
    assert libc.capset(header, struct.pack("=6I", effective & ~(1 << 1), *rest)) == 0


def _outcome(work: str, folder: Path, directory: Path, limit: int = 0) -> str:
    process = started(_report, work, folder / "outcome", directory, settings(folder), limit)
    process.join()
    assert process.exitcode == 0
    return (folder / "outcome").read_text()


@pytest.mark.parametrize("limit", [200, 10_000])
def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, whole: Path, limit: int) -> None:
    """A limit of bytes a file, beyond which writing fails as on a full disk."""
    directory = _paused(tmp_path)
    before = (directory / runs.CHECKPOINT).read_bytes()
    message = _outcome("resume", tmp_path, directory, limit)
    what = f"into the run {directory}" if limit < 1000 else rf".*{runs.CHECKPOINT}"
    assert re.match(rf"cannot write {what}: .*file too large", message, re.IGNORECASE), message
    assert (directory / runs.CHECKPOINT).read_bytes() == before
    resume(directory)
    assert weights(directory) == weights(whole)


def test_a_full_disk_at_the_beginning_leaves_no_run(tmp_path: Path) -> None:
    message = _outcome("train", tmp_path, tmp_path / "run", limit=300)
    assert "cannot write" in message
    assert not (tmp_path / "run").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"small.net", "outcome"}


def test_a_read_only_directory_is_told(tmp_path: Path) -> None:
    directory = _paused(tmp_path)
    directory.chmod(0o555)
    message = _outcome("resume", tmp_path, directory)
    assert message == f"cannot write into the run {directory}: permission denied"
    directory.chmod(0o755)
    resume(directory)


def test_a_run_cannot_be_made_where_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    directory = tmp_path / "closed" / "run"
    message = _outcome("train", tmp_path, directory)
    assert message == f"cannot make the run directory {directory}: permission denied"


class Waiting(Report):
    """Tells that a run goes on, and goes on for long."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def step(self, moment: Moment) -> None:
        self.flag.touch()
        signal.pause()


def _wait(directory: Path, flag: Path) -> None:
    resume(directory, report=Waiting(flag))


def test_a_second_process_is_kept_out(tmp_path: Path, whole: Path) -> None:
    directory = _paused(tmp_path)
    first = started(_wait, directory, tmp_path / "flag")
    try:
        while not (tmp_path / "flag").exists():
            assert first.is_alive()
            first.join(0.05)
        message = rf"being trained by another process or thread \(process {first.pid} on"
        with pytest.raises(DataError, match=message):
            resume(directory)
    finally:
        first.kill()
        first.join()
    resume(directory)
    assert weights(directory) == weights(whole)


# ------------------------------------------------------------------------------ recipes in specs


def test_every_bundled_recipe_can_be_read_by_a_run() -> None:
    for name in ("alexnet", "lenet5"):
        net = load(name)
        if net.recipe is not None:
            recipe = Settings(spec=name, data="digits", lr=0.5).recipe(net)
            assert recipe_json(recipe)["optimizer"][0]["lr"] == 0.5
    assert open_data("digits:8").train.classes == tuple("0123456789")
    assert "prepare" in RECIPE
