"""Data that is not there, from real files: counted and named, and never an error of 0.00 %."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from netspec.cli import main

SPEC = """net small(classes=2)
input image 24x24x3
C1: conv 5x5/2, 4 | relu
G: gap
out: fc classes | softmax
train {
    prepare   shorter 24 | center 24 | range low=0, high=1
    loss      cross_entropy
    optimizer sgd lr=0.05
    batch     4
    epochs    1
}
"""


def netspec(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def train(folder: Path, *options: str, spec: str = SPEC) -> Result:
    (folder / "small.net").write_text(spec)
    data, run = f"images:{folder}", folder / "run"
    return netspec("train", folder / "small.net", "--data", data, "-o", run, *options)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def test_what_cannot_be_read_is_counted_and_named(photographs: Path, tmp_path: Path) -> None:
    cut_off(photographs / "train" / "flower" / "flower_1.JPEG")
    (photographs / "val" / "palace" / "palace_2.JPEG").unlink()
    (photographs / "val" / "palace" / "palace_2.JPEG").symlink_to("/mnt/away/palace_2.JPEG")
    (photographs / "val" / "palace" / "palace_3.heic").write_bytes(b"x")
    done = train(photographs, "--epochs", "2")
    assert done.exit_code == 0, done.output
    assert f"note: skipped in {photographs / 'val'}: 1 file .heic (palace/palace_3.heic)" in (
        done.stderr
    )
    for name in ("example 1, flower/flower_1.JPEG", "example 5, palace/palace_2.JPEG"):
        assert done.stderr.count(f"note: {name}: cannot read ") == 1, "once, in all epochs"
    assert done.stdout.count("\n       skipped: 1 for training, 1 for validation\n") == 2
    assert " (1 image skipped); weights in " in done.stdout
    lines = (photographs / "run" / "metrics.jsonl").read_text().splitlines()
    assert [(row["corrupt"], row["untested"]) for row in map(json.loads, lines)] == [(1, 1)] * 2

    evaluated = netspec("eval", photographs / "run", "--json", "--rows", tmp_path / "rows.csv")
    assert {"images": 5, "untested": 1}.items() <= json.loads(evaluated.stdout)["ensemble"].items()
    assert "note: skipped in " in evaluated.stderr
    assert "note: example 5, palace/palace_2.JPEG: cannot read " in evaluated.stderr
    assert netspec("eval", photographs / "run").stdout.endswith(" of 5, 1 skipped\n")
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5


@pytest.mark.parametrize("split", ["train", "val"])
def test_where_none_can_be_read_there_is_no_run(photographs: Path, split: str) -> None:
    for path in (photographs / split).rglob("*.JPEG"):
        cut_off(path)
    done = train(photographs)
    assert done.exit_code == 1
    use = {"train": "training", "val": "validation"}[split]
    assert f"error: no image of {photographs}, 6 for {use} can be used, such as: " in done.stderr
    assert "0.00 %" not in done.output
    assert not (photographs / "run").exists()


def test_eval_of_nothing_is_an_error(photographs: Path, tmp_path: Path) -> None:
    assert train(photographs).exit_code == 0
    for path in (photographs / "val").rglob("*.JPEG"):
        path.write_bytes(b"0" * path.stat().st_size)
    done = netspec("eval", photographs / "run", "--rows", tmp_path / "rows.csv")
    assert done.exit_code == 1
    assert "6 for validation can be used, such as: example 0, flower/flower_0.JPEG: " in done.stderr
    assert "%" not in done.stdout
    assert not (tmp_path / "rows.csv").exists()


def test_an_epoch_without_an_image_is_no_loss_of_zero(photographs: Path) -> None:
    """All are as large as the net, and smaller than what the recipe cuts out of them."""
    for path in (photographs / "train").rglob("*.JPEG"):
        with Image.open(path) as image:
            image.resize((24, 24)).save(path)
    done = train(
        photographs, spec=SPEC.replace("    loss", "    augment   crop 26 | crop 24\n    loss")
    )
    assert done.exit_code == 1
    assert "6 for training can be used, such as: example " in done.stderr
    assert "smaller than the 26x26 pixels of the crop" in done.stderr
    assert "0.0000" not in done.output
    assert not (photographs / "run").exists(), "nothing was learned in it"


# -------------------------------------------------------------------------------- classes, outputs


def test_more_classes_than_outputs_leave_no_run(photographs: Path) -> None:
    done = train(photographs, "--set", "classes=1")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "error: the data has 2 classes (flower, palace), but row out of small has 1 output: "
        "use --set classes=2"
    )
    assert not (photographs / "run").exists()
    assert train(photographs, "--set", "classes=2").exit_code == 0


def test_outputs_without_a_class_are_named_by_their_number(
    photographs: Path, tmp_path: Path
) -> None:
    done = train(photographs, "--set", "classes=7")
    assert done.exit_code == 0
    assert "note: outputs 2 to 6 of row out have no class, since the data has 2 classes" in (
        done.stderr
    )
    picture = photographs / "val" / "flower" / "flower_0.JPEG"
    answers = json.loads(netspec("run", photographs / "run", picture, "--top", 9, "--json").stdout)
    names = {answer["class"]: answer["name"] for answer in answers["results"][0]["top"]}
    without = {number: f"output {number}" for number in range(2, 7)}
    assert names == {0: "flower", 1: "palace"} | without
    rows = tmp_path / "rows.csv"
    evaluated = netspec("eval", photographs / "run", "--json", "--rows", rows)
    told = json.loads((photographs / "run" / "metrics.jsonl").read_text())
    assert json.loads(evaluated.stdout)["ensemble"]["top1"] == told["top1"]
    with rows.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["class"] for row in table} == {"flower", "palace"}
    assert {row["answer"] for row in table} <= {*names.values()}


def test_runs_with_other_numbers_of_outputs_are_not_averaged(photographs: Path) -> None:
    assert train(photographs).exit_code == 0
    (photographs / "run").rename(photographs / "two")
    assert train(photographs, "--set", "classes=3").exit_code == 0
    done = netspec("eval", photographs / "two", photographs / "run")
    assert done.exit_code == 1
    assert "cannot be averaged: one has 3 of them, the other 2; test each alone" in done.stderr


@pytest.mark.filterwarnings("always")
def test_classes_without_an_image_that_can_be_read_are_named(photographs: Path) -> None:
    for number in range(3):
        cut_off(photographs / "train" / "flower" / f"flower_{number}.JPEG")
        cut_off(photographs / "val" / "palace" / f"palace_{number}.JPEG")
    done = train(photographs, "--epochs", "2", "--json")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("warning: class flower has no image that can be read, ") == 1
    told = json.loads(done.stdout)
    assert (told["left_out"], told["untested_classes"]) == (3, ["palace"])
    again = netspec("train", "--resume", photographs / "run")
    assert "; no image of class palace was tested; weights in " in again.stdout
    evaluated = netspec("eval", photographs / "run")
    assert evaluated.stdout.endswith("\nno image of class palace was tested\n")
    told = json.loads(netspec("eval", photographs / "run", "--json").stdout)
    assert told["ensemble"]["untested_classes"] == ["palace"]


def test_names_that_are_not_utf8_are_escaped(photographs: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder = photographs / split / "palace"
        folder.rename(os.fsdecode(os.fsencode(folder) + b"\xff"))
    assert train(photographs).exit_code == 0
    (photographs / "run").rename(run := os.fsdecode(os.fsencode(tmp_path) + b"/run\xfe"))
    rows = tmp_path / "rows.csv"
    done = netspec("eval", run, "--rows", rows, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["runs"][0]["run"] == run
    head, *table = rows.read_text().splitlines()
    assert head.endswith("run\\xfe")
    assert {row.split(",")[1] for row in table} == {"flower", "palace\\xff"}
    assert netspec("eval", run).exit_code == 0


# ---------------------------------------------------------------------------- among the images


@pytest.mark.parametrize("place", ["train/run", "val/flower/run", "train/link/run"])
def test_a_run_and_shards_cannot_lie_among_the_images(photographs: Path, place: str) -> None:
    for split in ("train", "val"):
        (photographs / split / "palace").rename(photographs.parent / split)
        (photographs / split / "link").symlink_to(photographs.parent / split)
    if "link" in place:
        place = "../train/run"
    (photographs / "small.net").write_text(SPEC)
    data, output = f"images:{photographs}", photographs / place
    for arguments in (("train", photographs / "small.net", "--data", data), ("pack", data)):
        done = netspec(*arguments, "-o", output)
        assert done.exit_code == 1, done.output
        assert " cannot be written into the data, and " in done.stderr
        assert not output.exists()


def test_a_table_cannot_lie_among_the_images(photographs: Path) -> None:
    assert train(photographs).exit_code == 0
    rows = photographs / "val" / "flower" / "rows.csv"
    done = netspec("eval", photographs / "run", "--rows", rows)
    assert done.exit_code == 1
    assert "a table cannot be written into the data" in done.stderr
    assert not rows.exists()


def test_snapshots_after_the_last_epoch_are_told(photographs: Path) -> None:
    done = train(photographs, "--snapshots", "1,5,9", "--batch", "6")
    assert "note: no snapshot is written after epochs 5, 9: the run has 1 epoch\n" in done.stderr
    assert "1 epoch of 1 step, batch 6" in done.stdout
