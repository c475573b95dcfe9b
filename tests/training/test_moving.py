"""Runs that are moved, or whose data is, go on from any folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from netspec.cli import main
from netspec.data.opening import from_anywhere
from netspec.errors import DataError
from netspec.inference.testing import evaluate
from netspec.training import directory as directories
from netspec.training.directory import ABOUT, SNAPSHOTS
from netspec.training.loop import resume, train
from netspec.training.run import Run
from netspec.training.settings import Settings
from netspec.training.stopping import Stopped
from tests.training.damage import EARLIER
from tests.training.runs import weights
from tests.training.test_loop import Interrupting

SPEC = """net small
input image 24x24x3
C1: conv 5x5/2, 4 | relu
G: gap
out: fc 2 | softmax
train {
    prepare   shorter 24 | center 24 | subtract mean channel
    loss      cross_entropy
    init      {init}
    optimizer sgd lr=0.0001
    batch     4
    epochs    2
}
"""


@pytest.fixture
def paused(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was begun with paths relative to its folder, and another where it is whole."""
    monkeypatch.chdir(photographs.parent)
    Path("small.net").write_text(SPEC.replace("{init}", "he"))
    asked = Settings(spec="small.net", data="images:photographs", seed=2)
    train(asked, Path("whole"))
    with pytest.raises(Stopped):
        train(asked, Path("run"), report=Interrupting(1))
    return photographs.parent / "run"


def test_a_run_goes_on_from_any_folder(
    paused: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Run.open(paused).settings
    assert kept.data == f"images:{photographs}"
    assert kept.spec == str(photographs.parent / "small.net")
    monkeypatch.chdir("/")
    resume(paused)
    assert weights(paused) == weights(photographs.parent / "whole")


def test_data_that_has_moved_is_asked_for_and_kept(
    paused: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = photographs.rename(photographs.with_name("moved"))
    with pytest.raises(DataError, match=f"no folder {photographs / 'train'}.*--resume .* --data"):
        resume(paused)
    with pytest.raises(DataError, match="say where it is, --data DATA"):
        evaluate([paused])
    monkeypatch.chdir(moved)
    done = CliRunner().invoke(main, ["train", "--resume", str(paused), "--data", "images:."])
    assert done.exit_code == 0, done.output
    assert weights(paused) == weights(moved.parent / "whole")
    monkeypatch.chdir("/")
    assert Run.open(paused).settings.data == f"images:{moved}"
    assert evaluate([paused]).ensemble.images == 6
    again = moved.rename(photographs)
    resume(paused, data=f"images:{again}")  # of a run that is finished, for eval
    assert evaluate([paused]).ensemble.images == 6


def test_other_data_is_refused(paused: Path, photographs: Path) -> None:
    other = photographs.with_name("other")
    shutil.copytree(photographs, other)
    with Image.open(other / "val" / "palace" / "palace_0.JPEG") as image:
        image.rotate(90).save(other / "val" / "palace" / "palace_0.JPEG")
    before = (paused / ABOUT).read_bytes()
    with pytest.raises(DataError, match=f"images:{other} .*validation split is not the one that"):
        resume(paused, data=f"images:{other}")
    with pytest.raises(DataError, match=r"digits:8 .*train split is not the one that"):
        resume(paused, data="digits:8")
    assert (paused / ABOUT).read_bytes() == before


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_change_that_is_cut_off_leaves_a_whole_run(
    paused: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    moved = photographs.rename(photographs.with_name("moved"))
    run, left, write = (
        Run.open(paused).with_data(f"images:{moved}"),
        [writes],
        (directories.write_whole),
    )

    def writing(path: Path, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(directories, "write_whole", writing)
        with pytest.raises(KeyboardInterrupt):
            run.keep_data()
    data = Run.open(paused).settings.data
    assert data == f"images:{moved if writes == 2 else photographs}"


def test_a_run_of_an_earlier_version_takes_its_data_elsewhere(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(EARLIER / "paused", directory)
    about = json.loads((directory / ABOUT).read_bytes())
    about["settings"]["data"] = "digits:9"
    (directory / ABOUT).write_text(json.dumps(about))
    assert resume(directory, data="digits:8").epochs == 2
    assert Run.open(directory).settings.data == "digits:8"


@pytest.mark.parametrize("asked_by", ["--init-from", "recipe"])
def test_weights_of_a_run_are_found_from_any_folder(
    paused: Path, monkeypatch: pytest.MonkeyPatch, asked_by: str
) -> None:
    """Also where the run had no time to take them, and goes on elsewhere."""
    init = 'from "whole"' if asked_by == "recipe" else "he"
    Path("from.net").write_text(SPEC.replace("{init}", init))
    init_from = "whole" if init == "he" else None
    data = "images:photographs"
    asked = Settings(spec="from.net", data=data, init_from=init_from, snapshots=(0,))
    Run.create(Path("later"), asked)
    wanted = Run.open(Path("whole")).weights()
    later = paused.with_name("later")
    monkeypatch.chdir("/")

    class Looking(Interrupting):
        def note(self, text: str) -> None:
            notes.append(text)

    notes: list[str] = []
    with pytest.raises(Stopped):
        resume(later, report=Looking(1))
    assert notes[0].startswith("copied from ")
    taken = load_file(later / SNAPSHOTS / "epoch-0000.safetensors")
    assert all(torch.equal(taken[name], tensor) for name, tensor in wanted.items())


def test_names_of_data_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "d").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", "/home/somebody")
    for given, wanted in {
        "digits": "digits",
        "digits:16": "digits:16",
        "images:d": f"images:{tmp_path}/here/d",
        "images:../d/../e": f"images:{tmp_path}/d/../e",
        "images:/d": "images:/d",
        "mnist:~/mnist": "mnist:/home/somebody/mnist",
        "shards:d": f"shards:{tmp_path}/here/d",
        "shards:d/{train-{000..012},val-000}.tar": (
            f"shards:{tmp_path}/here/d/{{train-{{000..012}},val-000}}.tar"
        ),
        "shards:{/a,/b}/train-0.tar": "shards:{/a,/b}/train-0.tar",
    }.items():
        assert from_anywhere(given) == wanted


def test_a_run_keeps_what_was_passed_over(photographs: Path) -> None:
    (photographs / "val" / "palace" / "a.heic").write_bytes(b"x")
    spec = photographs / "small.net"
    spec.write_text(SPEC.replace("{init}", "he"))
    run = Run.create(photographs / "run", Settings(spec=str(spec), data=f"images:{photographs}"))
    (told,) = run.about["passed_over"]
    assert told == f"skipped in {photographs / 'val'}: 1 file .heic (palace/a.heic)"
